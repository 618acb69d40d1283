//! An output's worker: delivers chunks one after the other, and keeps those that wait for a retry.
//!
//! A chunk that waits does not hold up those behind it, until so many wait that the worker takes no more: then the queue
//! fills, the lanes wait, and so do the inputs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flb_event::Timestamp;
use flb_plugin::{Flush, Output};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::counters::OutputRow;
use crate::panics::caught_async;
use crate::retry::{Backoff, RetryLimit};
use crate::router::Delivery;
use crate::stop::Stop;

/// The worker takes no new chunk while this many wait for a retry, or chunks of this many bytes.
const MAX_WAITING: usize = 256;
const MAX_WAITING_BYTES: usize = 64_000_000;

/// A chunk between two tries.
struct Waiting {
    delivery: Delivery,
    /// Number of the retry that it waits for, from 1.
    retry: u32,
}

pub(crate) struct Worker {
    pub(crate) output: Box<dyn Output>,
    pub(crate) row: Arc<OutputRow>,
    /// The output's place in the configuration.
    pub(crate) index: usize,
    pub(crate) queue: mpsc::Receiver<Delivery>,
    pub(crate) limit: RetryLimit,
    pub(crate) backoff: Backoff,
    pub(crate) stop: Stop,
    waiting: BTreeMap<(Instant, u64), Waiting>,
}

impl Worker {
    pub(crate) fn new(
        output: Box<dyn Output>,
        row: Arc<OutputRow>,
        index: usize,
        queue: mpsc::Receiver<Delivery>,
        (limit, backoff): (RetryLimit, Backoff),
        stop: Stop,
    ) -> Self {
        Self { output, row, index, queue, limit, backoff, stop, waiting: BTreeMap::new() }
    }

    /// Runs until all lanes have ended and no chunk waits any more.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        let mut open = true;
        let mut draining = false;
        while open || !self.waiting.is_empty() {
            let due = self.waiting.first_key_value().map(|((due, _), _)| *due);
            tokio::select! {
                biased;
                () = stop.asked(), if !draining => {
                    draining = true;
                    self.hurry();
                }
                () = until(due) => self.retry_first().await,
                received = self.queue.recv(), if open && self.has_room() => match received {
                    Some(delivery) => self.deliver(delivery, 0).await,
                    None => open = false,
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        let bytes: usize =
            self.waiting.values().map(|waiting| waiting.delivery.chunk.bytes().len()).sum();
        self.waiting.len() < MAX_WAITING && bytes < MAX_WAITING_BYTES
    }

    /// The pipeline drains: whatever waits is due soon.
    fn hurry(&mut self) {
        let latest = Instant::now() + Backoff::DRAINING;
        self.waiting = std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|((due, task), waiting)| ((due.min(latest), task), waiting))
            .collect();
    }

    async fn retry_first(&mut self) {
        if let Some((_, Waiting { delivery, retry })) = self.waiting.pop_first() {
            self.deliver(delivery, retry).await;
        }
    }

    /// Tries to deliver; `retry` is 0 the first time.
    async fn deliver(&mut self, delivery: Delivery, retry: u32) {
        match caught_async(self.output.flush(&delivery.chunk)).await {
            Ok(Flush::Done) => self.delivered(&delivery, retry),
            Ok(Flush::Retry { reason, after }) => {
                tracing::warn!("{reason}");
                self.put_off(delivery, retry, after);
            }
            Ok(Flush::Fail(error)) => self.refused(&delivery, &error.to_string()),
            Err(panic) => self.refused(&delivery, &format!("the output panicked: {panic}")),
        }
    }

    fn delivered(&self, delivery: &Delivery, retry: u32) {
        self.row.tasks_settled.add(1);
        self.row.delivered.add(delivery.chunk.len());
        self.row.delivered_bytes.add(delivery.chunk.bytes().len());
        if retry > 0 {
            let (name, way) = (chunk_name(delivery), self.way(delivery));
            tracing::info!(
                parent: None,
                "[engine] flush chunk '{name}' succeeded at retry {retry}: {way}"
            );
        }
    }

    fn put_off(&mut self, delivery: Delivery, retry: u32, after: Option<Duration>) {
        if !self.limit.allows(retry) {
            return self.given_up(&delivery);
        }
        let retry = retry + 1;
        let wait = after.unwrap_or_else(|| self.backoff.wait(retry)).min(self.backoff.cap);
        let wait = if self.stop.is_asked() { wait.min(Backoff::DRAINING) } else { wait };
        tracing::warn!(
            parent: None,
            "[engine] failed to flush chunk '{}', retry in {} seconds: {}",
            chunk_name(&delivery),
            wait.as_secs_f32(),
            self.way(&delivery)
        );
        self.row.retries.add(1);
        self.waiting.insert((Instant::now() + wait, delivery.task), Waiting { delivery, retry });
    }

    fn given_up(&self, delivery: &Delivery) {
        let (name, way) = (chunk_name(delivery), self.way(delivery));
        if self.limit == RetryLimit::Never {
            tracing::warn!(
                parent: None,
                "[engine] chunk '{name}' is not retried (no retry config): {way}"
            );
        } else {
            tracing::error!(parent: None, "[engine] chunk '{name}' cannot be retried: {way}");
        }
        self.row.retries_failed.add(1);
        self.row.tasks_settled.add(1);
        self.row.dropped.add(delivery.chunk.len());
    }

    fn refused(&self, delivery: &Delivery, reason: &str) {
        tracing::error!("{reason}; {} records dropped", delivery.chunk.len());
        self.row.errors.add(1);
        self.row.tasks_settled.add(1);
        self.row.dropped.add(delivery.chunk.len());
    }

    /// From where to where, for log lines.
    fn way(&self, delivery: &Delivery) -> String {
        format!(
            "task_id={}, input={} > output={} (out_id={})",
            delivery.task, delivery.from.instance.name, self.row.instance.name, self.index
        )
    }
}

/// The chunk's name in log lines: process and time.
fn chunk_name(delivery: &Delivery) -> String {
    let Timestamp { sec, nsec } = delivery.created;
    format!("{}-{sec}.{nsec:09}.flb", std::process::id())
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
