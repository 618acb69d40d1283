//! A pipeline at work: starts workers, lanes and inputs, waits for the stop, and drains within the grace period; or waits
//! for the pipeline that replaces it, and hands over.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flb_event::Spares;
use flb_plugin::{End, Input, InputError, Output};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use crate::context::InputContext;
use crate::counters::{Counters, InputRow, OutputRow};
use crate::handover::{Left, LeftChunk, OutputKey, gather};
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
use crate::storage::{Lock, Rejected, Storage, StorageError};
use crate::task::Task;
use crate::worker::{Delivery, Pause, Worker};

/// Batches between an input and a lane.
const INPUT_QUEUE: usize = 4;
/// Chunks whose memory a lane keeps for later ones: the one that has just left is with an output when the next begins, the one
/// before it mostly is not any more.
const SPARE_CHUNKS: usize = 2;
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
    pub(crate) key: OutputKey,
}

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) flush_every: Duration,
    /// Nothing means for ever.
    pub(crate) grace: Option<Duration>,
    /// How long deliveries and inputs get to end when the pipeline is replaced. Nothing means for ever.
    pub(crate) patience: Option<Duration>,
    pub(crate) backoff: Backoff,
}

/// Inputs, filters and outputs, built and ready to run.
pub struct Pipeline {
    pub(crate) inputs: Vec<InputPart>,
    pub(crate) outputs: Vec<OutputPart>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) timing: Timing,
    pub(crate) storage: Option<StoragePart>,
    /// That of the storage, if it is taken already.
    pub(crate) lock: Option<Lock>,
    /// From the pipeline that this one replaces.
    pub(crate) left: Option<Left>,
}

/// How a pipeline ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was asked to stop, or had nothing more to do.
    Stopped(Report),
    /// Another one is to go on with this.
    Replaced(Left),
}

/// Where chunks are stored.
pub(crate) struct StoragePart {
    pub(crate) storage: Arc<Storage>,
    /// Most bytes of what is there at the start to keep in memory.
    pub(crate) leftovers_memory: usize,
    /// The place for chunks that outputs refuse, if they are kept.
    pub(crate) rejected: Option<Arc<Rejected>>,
    /// Whether all that is stored is to be delivered before the end.
    pub(crate) is_flushed: bool,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Reads a pipeline's counters while it runs, and after. Clones share one.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Mutex<Arc<Counters>>>);

impl Meter {
    /// The numbers now.
    pub fn read(&self) -> Report {
        let counters = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Report::of(&counters)
    }

    /// Reads those of another pipeline from now on.
    pub fn follow(&self, pipeline: &Pipeline) {
        let counters = Arc::clone(&pipeline.counters);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}

impl Pipeline {
    /// Reads the pipeline's counters, also while it runs.
    pub fn meter(&self) -> Meter {
        Meter(Arc::new(Mutex::new(Arc::clone(&self.counters))))
    }

    /// Where chunks are stored, if they are.
    pub fn storage_path(&self) -> Option<&Path> {
        self.storage.as_ref().map(|part| part.storage.folder())
    }

    /// Makes sure of the storage before another pipeline, which has `held`, is stopped for this one.
    pub fn reserve_storage(&mut self, held: Option<&Path>) -> Result<(), RunError> {
        if let Some(part) = &self.storage
            && !held.is_some_and(|held| is_same_folder(held, part.storage.folder()))
        {
            self.lock = Some(part.storage.lock()?);
        }
        Ok(())
    }

    /// Goes on with what another pipeline has left, and counts on from its counts.
    pub fn take_over(&mut self, mut left: Left) {
        let before = Report::of(&left.counters);
        let gone = self.counters.carry_on(&left.counters);
        for line in before.lines_of(&gone) {
            tracing::info!("{line}");
        }
        if let Some((folder, lock)) = left.lock.take() {
            match self.storage_path() {
                Some(own) if is_same_folder(&folder, own) => self.lock = Some(lock),
                _ if before.stored() > 0 => tracing::warn!(
                    "[reload] {} records stay in {}, which is not this storage.path",
                    before.stored(),
                    folder.display()
                ),
                _ => {}
            }
        }
        self.left = Some(left);
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
        match self.run_until_replaced(stop, &Stop::default()).await? {
            Outcome::Stopped(report) => Ok(report),
            // Nobody can ask for that here.
            Outcome::Replaced(_) => Ok(Report::default()),
        }
    }

    /// As [`Pipeline::run`], or until `replace` is asked for. Then deliveries and inputs come to their end, and what is not
    /// delivered is left to another pipeline.
    pub async fn run_until_replaced(
        self,
        stop: &Stop,
        replace: &Stop,
    ) -> Result<Outcome, RunError> {
        let (meter, counters) = (self.meter(), Arc::clone(&self.counters));
        let storage = self.storage_path().map(Path::to_owned);
        let mut running = self.start(stop).await?;
        if running.supervise(stop, replace).await == Wish::Replace {
            let outputs = std::mem::take(&mut running.outputs);
            let (chunks, lock) = running.hand_over(stop).await;
            let lock = storage.zip(lock);
            return Ok(Outcome::Replaced(Left { chunks, outputs, counters, lock }));
        }
        running.stop.ask();
        running.drain(&meter).await;
        let report = Report { code: running.code.unwrap_or_default(), ..meter.read() };
        tracing::info!("[engine] service has stopped ({} pending tasks)", report.pending_tasks());
        Ok(Outcome::Stopped(report))
    }

    async fn start(self, asked: &Stop) -> Result<Running, RunError> {
        let storage = self.storage.as_ref().map(|part| Arc::clone(&part.storage));
        let lock = match (self.lock, &storage) {
            (Some(lock), _) => Some(lock),
            (None, storage) => storage.as_ref().map(|storage| storage.lock()).transpose()?,
        };
        let (stop, hold, cut) = (Stop::default(), Stop::default(), Stop::default());
        let (busy, quiet) = mpsc::channel(1);
        let mut workers = JoinSet::new();
        let mut routes = Vec::new();
        let mut outputs = Vec::new();
        for (index, part) in self.outputs.into_iter().enumerate() {
            let OutputPart { output, matching, limit, workers: at_a_time, storage_limit, row, key } =
                part;
            outputs.push(key);
            let (queue, receiver) = mpsc::unbounded_channel();
            routes.push(Route { matching, queue, row: Arc::clone(&row) });
            let span = row.instance.span();
            let output = Arc::from(output);
            let rejected = self.storage.as_ref().and_then(|part| part.rejected.clone());
            let delivery =
                Delivery { output, row, index, limit, workers: at_a_time, storage_limit, rejected };
            let pause = Pause { hold: hold.clone(), cut: cut.clone(), busy: Some(busy.clone()) };
            let worker = Worker::new(delivery, receiver, self.timing.backoff, stop.clone(), pause);
            workers.spawn(worker.run().instrument(span));
        }
        let slots = storage.as_ref().map(|storage| storage.slots.clone());
        let router = Router::new(routes, slots.clone());
        if let Some(left) = self.left {
            left.route(&router, &outputs, &self.counters);
        }
        let is_flushed = self.storage.as_ref().is_some_and(|part| part.is_flushed);
        if let Some(part) = self.storage {
            find_leftovers(part, &router, &self.counters, asked).await?;
        }
        let (lane_alive, lanes) = mpsc::channel(1);
        let mut inputs = JoinSet::new();
        let awaited = self.inputs.iter().filter(|part| part.input.ends_agent()).count();
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
            let (row, stop, hold) = (part.row, stop.clone(), hold.clone());
            let context = InputContext { lanes: senders, row, pausing, stop, hold };
            inputs.spawn(run_input(part.input, context));
        }
        let timing = self.timing;
        Ok(Running {
            inputs,
            awaited,
            code: None,
            lanes,
            workers,
            quiet,
            timing,
            stop,
            hold,
            cut,
            is_flushed,
            outputs,
            lock,
        })
    }
}

/// Whether two paths lead to one folder.
fn is_same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
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
    // A guest that prints or waits does so in this runtime. In none, it would start another one, with a thread for each CPU.
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let _entered = runtime.enter();
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
    /// Whether the agent waited for its end.
    was_awaited: bool,
    /// The outer error is a panic's message.
    how: Result<Result<End, InputError>, String>,
}

async fn run_input(input: Box<dyn Input>, context: InputContext) -> Ended {
    let row = Arc::clone(&context.row);
    let span = row.instance.span();
    let was_awaited = input.ends_agent();
    let how = caught_async(input.run(&context)).instrument(span).await;
    Ended { row, was_awaited, how }
}

/// All that runs.
struct Running {
    inputs: JoinSet<Ended>,
    /// Inputs that end by themselves, and the agent with the last of them.
    awaited: usize,
    /// Once one of them asks the agent to stop: the greatest of the codes to exit with.
    code: Option<u8>,
    /// Ends when all lanes have ended.
    lanes: mpsc::Receiver<()>,
    workers: JoinSet<(usize, Vec<Arc<Task>>)>,
    /// Ends when, while deliveries are held, none is under way any more.
    quiet: mpsc::Receiver<()>,
    timing: Timing,
    /// Asks everything here to stop.
    stop: Stop,
    /// Asks outputs to begin no more deliveries, because another pipeline will.
    hold: Stop,
    /// Asks lanes not to wait for the storage any more, and outputs that are held not to wait for deliveries.
    cut: Stop,
    /// Whether all that is stored is to be delivered before the end.
    is_flushed: bool,
    outputs: Vec<OutputKey>,
    lock: Option<Lock>,
}

/// What the end of an input means for the agent.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    was_awaited: bool,
    /// The agent shall stop, with this code.
    asks: Option<u8>,
}

/// What a pipeline at work is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop,
    Replace,
}

impl Running {
    /// Waits for a wish and looks after inputs that end before.
    async fn supervise(&mut self, stop: &Stop, replace: &Stop) -> Wish {
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return Wish::Stop,
                () = replace.asked() => return Wish::Replace,
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
    /// outputs get all the time they need as long as records move, and are given up when none did for a grace period.
    /// For records that are in storage alone nobody waits longer than a grace period.
    async fn drain(&mut self, meter: &Meter) {
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
            if left.pending() == pending || is_safe {
                return self.give_up(meter).await;
            }
            pending = left.pending();
        }
    }

    /// Lets deliveries, inputs and lanes end one after the other, the longer lasting first, so that nobody is kept from
    /// reading for longer than need be. What is not delivered then, and the lock of the storage.
    async fn hand_over(mut self, stop: &Stop) -> (Vec<LeftChunk>, Option<Lock>) {
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
        until_closed(&mut self.lanes).await;
        let mut backlogs = Vec::new();
        while let Some(joined) = self.workers.join_next().await {
            match joined {
                Ok(backlog) => backlogs.push(backlog),
                Err(error) => tracing::error!("[reload] an output was cut off: {error}"),
            }
        }
        (gather(backlogs), self.lock)
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

/// Logs how an input ended, and asks to stop if the input says so.
fn ended(joined: Result<Ended, JoinError>) -> Told {
    let Ended { row, was_awaited, how } = match joined {
        Ok(ended) => ended,
        Err(error) => {
            if !error.is_cancelled() {
                tracing::error!("[engine] an input was cut off: {error}");
            }
            return Told::default();
        }
    };
    let span = row.instance.span();
    let _entered = span.enter();
    match how {
        Ok(Ok(End::Quiet)) => tracing::debug!("nothing more to read"),
        Ok(Ok(End::StopAgent { code })) => {
            tracing::debug!("nothing more to read, the agent stops with the last such input");
            return Told { was_awaited, asks: Some(code) };
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
    Told { was_awaited, asks: None }
}

/// What `future` comes to, if it does by `deadline`.
async fn by<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}
