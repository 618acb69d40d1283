//! A pipeline at work: starts workers, lanes and inputs, waits for the stop, and drains within the grace period.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flb_event::Spares;
use flb_plugin::{End, Input, InputError, Output};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use crate::context::InputContext;
use crate::counters::{Counters, InputRow, OutputRow};
use crate::lane::{Lane, LaneFilter};
use crate::leftovers::Leftovers;
use crate::matching::Match;
use crate::panics::caught_async;
use crate::queue::queue;
use crate::report::Report;
use crate::retry::{Backoff, RetryLimit};
use crate::router::{Route, Router};
use crate::service::LogLevel;
use crate::stop::Stop;
use crate::storage::{Lock, Storage, StorageError};
use crate::worker::{Delivery, Worker};

/// Batches between an input and a lane.
const INPUT_QUEUE: usize = 4;
/// Chunks whose memory a lane keeps for later ones.
const SPARE_CHUNKS: usize = 1;
/// What is left after the grace period gets this long to notice that it is over.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Why a pipeline that was built could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system gives no thread.
    #[error("[engine] cannot start a thread for {instance}: {source}")]
    Thread {
        /// What it was for.
        instance: String,
        /// Why.
        source: io::Error,
    },
    /// Chunks cannot be stored.
    #[error("{0}")]
    Storage(#[from] StorageError),
}

/// An input and what its lanes need.
pub(crate) struct InputPart {
    pub(crate) input: Box<dyn Input>,
    /// The filters of each lane.
    pub(crate) lanes: Vec<Vec<LaneFilter>>,
    /// Whether it waits while too many stored chunks are in memory.
    pub(crate) pauses: bool,
    pub(crate) row: Arc<InputRow>,
}

/// An output and what its worker needs.
pub(crate) struct OutputPart {
    pub(crate) output: Box<dyn Output>,
    pub(crate) matching: Match,
    pub(crate) limit: RetryLimit,
    pub(crate) workers: usize,
    /// Most bytes of stored chunks that may wait for it.
    pub(crate) storage_limit: Option<usize>,
    pub(crate) row: Arc<OutputRow>,
}

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) flush_every: Duration,
    /// Nothing means for ever.
    pub(crate) grace: Option<Duration>,
    pub(crate) backoff: Backoff,
}

/// Inputs, filters and outputs, built and ready to run.
pub struct Pipeline {
    pub(crate) inputs: Vec<InputPart>,
    pub(crate) outputs: Vec<OutputPart>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) timing: Timing,
    pub(crate) storage: Option<StoragePart>,
}

/// Where chunks are stored.
pub(crate) struct StoragePart {
    pub(crate) storage: Arc<Storage>,
    /// Most bytes of what is there at the start to keep in memory.
    pub(crate) leftovers_memory: usize,
    /// Whether all that is stored is to be delivered before the end.
    pub(crate) is_flushed: bool,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Reads a pipeline's counters while it runs, and after.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Counters>);

impl Meter {
    /// The numbers now.
    pub fn read(&self) -> Report {
        Report::of(&self.0)
    }
}

impl Pipeline {
    /// Reads the pipeline's counters, also while it runs.
    pub fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.counters))
    }

    /// The most talkative level that any instance asks for.
    pub fn log_level(&self) -> Option<LogLevel> {
        let inputs = self.counters.inputs.iter().map(|row| &row.instance);
        let filters = self.counters.filters.iter().map(|row| &row.instance);
        let outputs = self.counters.outputs.iter().map(|row| &row.instance);
        inputs.chain(filters).chain(outputs).filter_map(|instance| instance.log_level).max()
    }

    /// Runs until somebody asks to stop and all records are delivered or the grace period is over. Must be called on a
    /// tokio runtime with a clock and more than one thread. What is in storage then, the next pipeline with the same
    /// `storage.path` finds, in this process or another.
    pub async fn run(self, stop: &Stop) -> Result<Report, RunError> {
        let meter = self.meter();
        let mut running = self.start(stop).await?;
        running.supervise(stop).await;
        running.drain(&meter).await;
        let report = meter.read();
        tracing::info!("[engine] service has stopped ({} pending tasks)", report.pending_tasks());
        Ok(report)
    }

    async fn start(self, stop: &Stop) -> Result<Running, RunError> {
        let storage = self.storage.as_ref().map(|part| Arc::clone(&part.storage));
        let lock = storage.as_ref().map(|storage| storage.lock()).transpose()?;
        let mut workers = JoinSet::new();
        let mut routes = Vec::new();
        for (index, part) in self.outputs.into_iter().enumerate() {
            let OutputPart { output, matching, limit, workers: at_a_time, storage_limit, row } =
                part;
            let (queue, receiver) = mpsc::unbounded_channel();
            routes.push(Route { matching, queue, row: Arc::clone(&row) });
            let span = row.instance.span();
            let output = Arc::from(output);
            let delivery =
                Delivery { output, row, index, limit, workers: at_a_time, storage_limit };
            let worker = Worker::new(delivery, receiver, self.timing.backoff, stop.clone());
            workers.spawn(worker.run().instrument(span));
        }
        let slots = storage.as_ref().map(|storage| storage.slots.clone());
        let router = Router::new(routes, slots.clone());
        let is_flushed = self.storage.as_ref().is_some_and(|part| part.is_flushed);
        if let Some(part) = self.storage {
            find_leftovers(part, &router, &self.counters, stop).await?;
        }
        let cut = Stop::default();
        let (lane_alive, lanes) = mpsc::channel(1);
        let mut inputs = JoinSet::new();
        for part in self.inputs {
            let mut senders = Vec::new();
            for filters in part.lanes {
                let (sender, receiver) = queue(INPUT_QUEUE);
                let lane = Lane {
                    queue: receiver,
                    filters,
                    router: router.clone(),
                    row: Arc::clone(&part.row),
                    flush_every: self.timing.flush_every,
                    storage: storage.clone().filter(|_| part.row.is_stored),
                    cut: cut.clone(),
                    open: BTreeMap::new(),
                    spares: Spares::new(SPARE_CHUNKS),
                };
                spawn_lane(lane, lane_alive.clone())?;
                senders.push(sender);
            }
            let pausing = slots.clone().filter(|_| part.pauses);
            let (row, stop) = (part.row, stop.clone());
            let context = InputContext { lanes: senders, row, pausing, stop };
            inputs.spawn(run_input(part.input, context));
        }
        let grace = self.timing.grace;
        Ok(Running { inputs, lanes, workers, grace, cut, is_flushed, _lock: lock })
    }
}

/// Routes what is in storage.
async fn find_leftovers(
    part: StoragePart,
    router: &Router,
    counters: &Counters,
    stop: &Stop,
) -> Result<(), RunError> {
    let Some(row) = &counters.leftovers else { return Ok(()) };
    let leftovers = Leftovers {
        storage: part.storage,
        router: router.clone(),
        row: Arc::clone(row),
        memory: part.leftovers_memory,
    };
    let stop = stop.clone();
    match tokio::task::spawn_blocking(move || leftovers.route(&stop)).await {
        Ok(routed) => Ok(routed?),
        Err(error) => {
            tracing::error!("[storage] what is in storage was not read to its end: {error}");
            Ok(())
        }
    }
}

/// Runs a lane on a thread of its own. `alive` is dropped when it ends.
fn spawn_lane(lane: Lane, alive: mpsc::Sender<()>) -> Result<(), RunError> {
    let instance = lane.row.instance.to_string();
    let run = move || {
        lane.run();
        drop(alive);
    };
    match std::thread::Builder::new().name(instance.clone()).spawn(run) {
        Ok(_detached) => Ok(()),
        Err(source) => Err(RunError::Thread { instance, source }),
    }
}

/// An input that has ended, and how.
struct Ended {
    row: Arc<InputRow>,
    /// The outer error is a panic's message.
    how: Result<Result<End, InputError>, String>,
}

async fn run_input(input: Box<dyn Input>, context: InputContext) -> Ended {
    let row = Arc::clone(&context.row);
    let span = row.instance.span();
    let how = caught_async(input.run(&context)).instrument(span).await;
    Ended { row, how }
}

/// All that runs.
struct Running {
    inputs: JoinSet<Ended>,
    /// Ends when all lanes have ended.
    lanes: mpsc::Receiver<()>,
    workers: JoinSet<()>,
    grace: Option<Duration>,
    /// Asks lanes not to wait for the storage any more.
    cut: Stop,
    /// Whether all that is stored is to be delivered before the end.
    is_flushed: bool,
    _lock: Option<Lock>,
}

impl Running {
    /// Waits for the stop and looks after inputs that end before.
    async fn supervise(&mut self, stop: &Stop) {
        loop {
            tokio::select! {
                () = stop.asked() => return,
                Some(joined) = self.inputs.join_next() => ended(joined, stop),
            }
        }
    }

    /// Lets inputs, lanes and outputs end one after the other. Inputs get half of the grace period to stop; lanes and
    /// outputs get all the time they need as long as records move, and are given up when none did for a grace period.
    /// For records that are in storage alone nobody waits longer than a grace period.
    async fn drain(&mut self, meter: &Meter) {
        match self.grace {
            Some(grace) => {
                tracing::warn!("[engine] service will shutdown in max {} seconds", grace.as_secs())
            }
            None => tracing::warn!("[engine] service will shutdown when all is delivered"),
        }
        tracing::info!("[engine] pausing all inputs..");
        let after = |wait: Duration| Some(Instant::now() + wait);
        if by(self.grace.and_then(|grace| after(grace / 2)), self.inputs_end()).await.is_none() {
            tracing::warn!("[engine] {} inputs do not stop and are cut off", self.inputs.len());
            self.inputs.abort_all();
            by(after(LAST_MOMENT), self.inputs_end()).await;
        }
        let mut pending = meter.read().pending();
        while by(self.grace.and_then(after), self.rest_ends()).await.is_none() {
            let left = meter.read();
            let is_safe = left.lost() == 0 && !self.is_flushed;
            if left.pending() == pending || is_safe {
                return self.give_up(meter).await;
            }
            pending = left.pending();
        }
    }

    async fn rest_ends(&mut self) {
        while self.lanes.recv().await.is_some() {}
        while self.workers.join_next().await.is_some() {}
    }

    async fn inputs_end(&mut self) {
        // They are asked to stop already, so whether one of them asks for it is all the same.
        let stop = Stop::default();
        while let Some(joined) = self.inputs.join_next().await {
            ended(joined, &stop);
        }
    }

    /// Cuts the outputs off; lanes that wait for them then end by themselves.
    async fn give_up(&mut self, meter: &Meter) {
        self.cut.ask();
        self.workers.abort_all();
        let last = Some(Instant::now() + LAST_MOMENT);
        by(last, async {
            while self.workers.join_next().await.is_some() {}
            while self.lanes.recv().await.is_some() {}
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

/// Logs how an input ended, and asks to stop if the input says so.
fn ended(joined: Result<Ended, JoinError>, stop: &Stop) {
    let Ended { row, how } = match joined {
        Ok(ended) => ended,
        Err(error) if error.is_cancelled() => return,
        Err(error) => return tracing::error!("[engine] an input was cut off: {error}"),
    };
    let span = row.instance.span();
    let _entered = span.enter();
    match how {
        Ok(Ok(End::Quiet)) => tracing::debug!("nothing more to read"),
        Ok(Ok(End::StopAgent)) => {
            tracing::debug!("nothing more to read, the agent stops");
            stop.ask();
        }
        Ok(Err(error)) => {
            row.failures.add(1);
            tracing::error!("{error}; the input has ended");
        }
        Err(panic) => {
            row.failures.add(1);
            tracing::error!("the input panicked and has ended: {panic}");
        }
    }
}

/// What `future` comes to, if it does by `deadline`.
async fn by<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}
