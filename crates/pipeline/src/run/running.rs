//! What runs: waits for a wish, looks after inputs that end, and lets all of it end, within the grace period or for the pipeline
//! that replaces it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::handover::{LeftChunk, gather};
use super::meter::Meter;
use super::parts::{OutputPart, Timing};
use crate::books::Report;
use crate::flow::Task;
use crate::source::{Ended, Told, ended};
use crate::stop::Stop;
use crate::storage::Lock;

/// So many flushes after the start it is said which outputs have received nothing.
const FIRST_FLUSHES: u32 = 60;

/// What is left after the grace period gets this long to notice that it is over.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// All that runs.
pub(crate) struct Running {
    pub(crate) inputs: JoinSet<Ended>,
    /// Inputs that end by themselves, and the agent with the last of them.
    pub(crate) awaited: usize,
    /// Once one of them asks the agent to stop: the greatest of the codes to exit with.
    pub(crate) code: Option<u8>,
    /// Ends when all lanes have ended.
    pub(crate) lanes: mpsc::Receiver<()>,
    pub(crate) workers: JoinSet<(usize, Vec<Arc<Task>>)>,
    /// Ends when, while deliveries are held, none is under way any more.
    pub(crate) quiet: mpsc::Receiver<()>,
    pub(crate) timing: Timing,
    /// Asks everything here to stop.
    pub(crate) stop: Stop,
    /// Asks outputs to begin no more deliveries, because another pipeline will.
    pub(crate) hold: Stop,
    /// Asks lanes not to wait for the storage any more, and outputs that are held not to wait for deliveries.
    pub(crate) cut: Stop,
    /// Set once filters are not waited for any longer.
    pub(crate) overdue: Arc<AtomicBool>,
    /// Whether all that is stored is to be delivered before the end.
    pub(crate) is_flushed: bool,
    pub(crate) outputs: Vec<OutputPart>,
    pub(crate) lock: Option<Lock>,
}

/// What a pipeline at work is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Stop,
    Replace,
}

impl Running {
    /// Waits for a wish and looks after inputs that end before.
    pub(crate) async fn supervise(&mut self, stop: &Stop, replace: &Stop, meter: &Meter) -> Wish {
        let mut first_flushes = pin!(tokio::time::sleep(self.timing.flush_every * FIRST_FLUSHES));
        let mut are_idle_told = false;
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return Wish::Stop,
                () = replace.asked() => return Wish::Replace,
                () = &mut first_flushes, if !are_idle_told => {
                    are_idle_told = true;
                    tell_idle(&meter.read());
                }
                Some(joined) = self.inputs.join_next() => {
                    let Told { was_awaited, asks } = ended(joined);
                    self.awaited -= usize::from(was_awaited);
                    self.code = self.code.max(asks);
                    if self.code.is_some() && self.awaited == 0 {
                        stop.ask();
                    }
                }
            }
        }
    }

    /// Lets inputs, lanes and outputs end one after the other. Inputs get half of the grace period to stop; lanes and
    /// outputs get all the time they need as long as records move, and are given up when none did for a grace period; a
    /// filter that holds them up is ended first, so that its records are not lost.
    /// For records that are in storage alone nobody waits longer than a grace period.
    pub(crate) async fn drain(&mut self, meter: &Meter) {
        let grace = self.timing.grace;
        match grace {
            Some(grace) => {
                tracing::warn!("[engine] service will shutdown in max {} seconds", grace.as_secs())
            }
            None => tracing::warn!("[engine] service will shutdown when all is delivered"),
        }
        tracing::info!("[engine] pausing all inputs..");
        let after = |wait: Duration| Some(Instant::now() + wait);
        if by(grace.and_then(|grace| after(grace / 2)), self.inputs_end()).await.is_none() {
            self.cut_inputs().await;
        }
        let mut pending = meter.read().pending();
        while by(grace.and_then(after), self.rest_ends()).await.is_none() {
            let left = meter.read();
            let is_safe = left.lost() == 0 && !self.is_flushed;
            if (left.pending() == pending || is_safe) && !self.end_filters() {
                return self.give_up(meter).await;
            }
            pending = left.pending();
        }
    }

    /// Lets deliveries, inputs and lanes end one after the other, the longer lasting first, so that nobody is kept from
    /// reading for longer than need be. What is not delivered then, and the lock of the storage.
    pub(crate) async fn hand_over(mut self, stop: &Stop) -> (Vec<LeftChunk>, Option<Lock>) {
        self.hold.ask();
        let over = Overdue { stop: stop.clone(), timing: self.timing };
        if before(over.is_over(), until_closed(&mut self.quiet)).await.is_none() {
            tracing::warn!("[reload] deliveries that take too long are cut off and begun again");
            self.cut.ask();
            until_closed(&mut self.quiet).await;
        }
        self.stop.ask();
        if before(over.is_over(), self.inputs_end()).await.is_none() {
            self.cut.ask();
            self.cut_inputs().await;
        }
        if before(over.is_over(), until_closed(&mut self.lanes)).await.is_none() {
            self.end_filters();
            until_closed(&mut self.lanes).await;
        }
        let mut backlogs = Vec::new();
        while let Some(joined) = self.workers.join_next().await {
            match joined {
                Ok(backlog) => backlogs.push(backlog),
                Err(error) => tracing::error!("[reload] an output was cut off: {error}"),
            }
        }
        (gather(backlogs), self.lock)
    }

    /// Ends what filters are at, if it has not been ended yet and lanes still run: whether that may let records move.
    fn end_filters(&self) -> bool {
        let is_new = !self.overdue.swap(true, Ordering::Relaxed);
        let are_held_up = is_new && !self.lanes.is_closed();
        if are_held_up {
            tracing::warn!("[engine] filters that take too long are ended");
        }
        are_held_up
    }

    async fn cut_inputs(&mut self) {
        tracing::warn!("[engine] {} inputs do not stop and are cut off", self.inputs.len());
        self.inputs.abort_all();
        by(Some(Instant::now() + LAST_MOMENT), self.inputs_end()).await;
    }

    async fn rest_ends(&mut self) {
        until_closed(&mut self.lanes).await;
        while self.workers.join_next().await.is_some() {}
    }

    async fn inputs_end(&mut self) {
        while let Some(joined) = self.inputs.join_next().await {
            // They are asked to stop already, so whether one of them asks for it is all the same.
            ended(joined);
        }
    }

    /// Cuts the outputs off; lanes that wait for them then end by themselves.
    async fn give_up(&mut self, meter: &Meter) {
        self.cut.ask();
        self.workers.abort_all();
        let last = Some(Instant::now() + LAST_MOMENT);
        by(last, async {
            while self.workers.join_next().await.is_some() {}
            until_closed(&mut self.lanes).await;
        })
        .await;
        let (lost, stored) = (meter.read().lost(), meter.read().stored());
        if lost > 0 {
            tracing::error!("[engine] the grace period is over: {lost} records are lost");
        }
        if stored > 0 {
            tracing::warn!(
                "[engine] the grace period is over: {stored} records stay in storage until the next start"
            );
        }
    }
}

/// Tells which outputs no record was for, which is likely a slip in their `Match`.
fn tell_idle(report: &Report) {
    if report.inputs.iter().all(|row| row.records == 0) {
        return;
    }
    for idle in report.outputs.iter().filter(|row| row.records == 0) {
        tracing::info!(
            "[router] [{}] has received nothing so far: no record had a tag that it matches",
            idle.instance
        );
    }
}

/// When a pipeline that is being replaced has been waited for long enough.
struct Overdue {
    stop: Stop,
    timing: Timing,
}

impl Overdue {
    /// Completes when the patience is over; without a limit, a grace period after somebody asks to stop.
    async fn is_over(&self) {
        match (self.timing.patience, self.timing.grace) {
            (Some(patience), _) => tokio::time::sleep(patience).await,
            (None, Some(grace)) => {
                self.stop.asked().await;
                tokio::time::sleep(grace).await;
            }
            (None, None) => std::future::pending().await,
        }
    }
}

/// Waits until nobody holds the other end.
async fn until_closed(ends: &mut mpsc::Receiver<()>) {
    while ends.recv().await.is_some() {}
}

/// What `work` comes to, unless `over` comes first.
async fn before<T>(over: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = over => None,
    }
}

/// What `future` comes to, if it does by `deadline`.
async fn by<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}
