//! A pipeline that was built: takes over from another one, and starts workers, lanes and inputs. `running` sees to them.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flb_event::Spares;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::error::RunError;
use super::handover::{Assigned, Left};
use super::leftovers::Leftovers;
use super::meter::Meter;
use super::parts::{InputPart, OutputPart, StoragePart, Timing};
use super::running::{Running, Wish};
use super::threads::{LaneThread, threads};
use crate::books::{Counters, Report};
use crate::flow::{Delivery, Desk, Gathering, Lane, Pause, Route, Router, Trail, Worker};
use crate::instance::Instance;
use crate::log_level::LogLevel;
use crate::source::{InputContext, queue, run_input};
use crate::stop::Stop;
use crate::storage::Lock;

/// Batches between an input and a lane.
const INPUT_QUEUE: usize = 4;
/// Chunks whose memory a lane keeps for later ones: the one that has just left is with an output when the next begins, the one
/// before it mostly is not any more.
const SPARE_CHUNKS: usize = 2;

/// Inputs, filters and outputs, built and ready to run.
pub struct Pipeline {
    pub(crate) inputs: Vec<InputPart>,
    pub(crate) outputs: Vec<OutputPart>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) timing: Timing,
    pub(crate) storage: Option<StoragePart>,
    pub(crate) reserved: Reserved,
    /// From the pipeline that this one replaces, if it replaces one.
    pub(crate) left: Option<Vec<Assigned>>,
    /// What its plugins look at to know that nobody waits for them any longer.
    pub(crate) overdue: Arc<AtomicBool>,
}

/// What a pipeline has taken before it runs.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    /// That of the storage.
    lock: Option<Lock>,
    threads: VecDeque<LaneThread>,
}

/// How a pipeline ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was asked to stop, or had nothing more to do.
    Stopped(Report),
    /// Another one is to go on with this.
    Replaced(Left),
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Reads the pipeline's counters, also while it runs.
    pub fn meter(&self) -> Meter {
        Meter::new(&self.counters)
    }

    /// Where chunks are stored, if they are.
    pub fn storage_path(&self) -> Option<&Path> {
        self.storage.as_ref().map(|part| part.storage.folder())
    }

    /// Makes sure of the storage and of threads before another pipeline, which has the storage `held`, is stopped for this one.
    pub fn reserve(&mut self, held: Option<&Path>) -> Result<(), RunError> {
        if let Some(part) = &self.storage
            && !held.is_some_and(|held| is_same_folder(held, part.storage.folder()))
        {
            self.reserved.lock = Some(part.storage.lock()?);
        }
        self.reserved.threads = threads(&self.inputs)?;
        Ok(())
    }

    /// Goes on with what another pipeline has left, and counts on from its counts.
    pub fn take_over(&mut self, mut left: Left) {
        let own = self.outputs.len();
        let assigned = left.assign(&mut self.outputs);
        let counters = Arc::make_mut(&mut self.counters);
        for leaving in &self.outputs[own..] {
            let instance = &leaving.row.instance;
            tracing::warn!(
                "[reload] [{instance}] is gone from the configuration, and stays until it has delivered what it is owed"
            );
            counters.outputs.push(Arc::clone(&leaving.row));
        }
        let before = Report::of(&left.counters);
        let gone = self.counters.carry_on(&left.counters);
        for line in before.lines_of(&gone) {
            tracing::info!("{line}");
        }
        if let Some((folder, lock)) = left.lock.take() {
            match self.storage_path() {
                Some(own) if is_same_folder(&folder, own) => self.reserved.lock = Some(lock),
                _ if before.stored() > 0 => tracing::warn!(
                    "[reload] {} records stay in {}, which is not this storage.path",
                    before.stored(),
                    folder.display()
                ),
                _ => {}
            }
        }
        self.left = Some(assigned);
    }

    /// All of its plugins.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        let inputs = self.counters.inputs.iter().map(|row| &row.instance);
        let filters = self.counters.filters.iter().map(|row| &row.instance);
        let outputs = self.counters.outputs.iter().map(|row| &row.instance);
        inputs.chain(filters).chain(outputs)
    }

    /// The most talkative level that any instance asks for.
    pub fn log_level(&self) -> Option<LogLevel> {
        self.instances().filter_map(|instance| instance.log_level).max()
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
        if running.supervise(stop, replace, &meter).await == Wish::Replace {
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

    /// Without an input or an output a pipeline does nothing. It runs all the same, as Fluent Bit's does.
    fn warn_of_missing_ends(&self) {
        let lacks = |what: &str| {
            tracing::warn!("[engine] there is no {what}; help: add one to the configuration");
        };
        if self.inputs.is_empty() {
            lacks("input, so no records come");
        }
        if self.outputs.iter().all(|part| part.is_leaving) {
            lacks("output, so records go nowhere");
        }
    }

    async fn start(self, asked: &Stop) -> Result<Running, RunError> {
        self.warn_of_missing_ends();
        let storage = self.storage.as_ref().map(|part| Arc::clone(&part.storage));
        let Reserved { lock, threads: mut lane_threads } = self.reserved;
        let lock = match (lock, &storage) {
            (Some(lock), _) => Some(lock),
            (None, storage) => storage.as_ref().map(|storage| storage.lock()).transpose()?,
        };
        if lane_threads.is_empty() {
            lane_threads = threads(&self.inputs)?;
        }
        let (stop, hold, cut) = (Stop::default(), Stop::default(), Stop::default());
        let (busy, quiet) = mpsc::channel(1);
        let mut workers = JoinSet::new();
        let mut routes = Vec::new();
        for (index, part) in self.outputs.iter().cloned().enumerate() {
            let OutputPart { output, matching, is_leaving, row, .. } = part;
            let OutputPart { limit, workers: at_a_time, storage_limit, .. } = part;
            let (queue, receiver) = mpsc::unbounded_channel();
            routes.push(Route { matching, is_leaving, queue, row: Arc::clone(&row) });
            let span = row.instance.span();
            let rejected = self.storage.as_ref().and_then(|part| part.rejected.clone());
            let delivery =
                Delivery { output, row, index, limit, workers: at_a_time, storage_limit, rejected };
            let pause = Pause { hold: hold.clone(), cut: cut.clone(), busy: Some(busy.clone()) };
            let worker = Worker::new(delivery, receiver, self.timing.backoff, stop.clone(), pause);
            workers.spawn(worker.run().instrument(span));
        }
        let slots = storage.as_ref().map(|storage| storage.slots.clone());
        let router = Router::new(routes, slots.clone());
        let replaces = self.left.is_some();
        for assigned in self.left.into_iter().flatten() {
            assigned.route(&router, &self.counters);
        }
        let is_flushed = self.storage.as_ref().is_some_and(|part| part.is_flushed);
        if let Some(part) = self.storage {
            match find_leftovers(part, &router, &self.counters, asked).await {
                // The pipeline before is gone: it is better to go on without what is there than not at all.
                Err(error) if replaces => tracing::error!("{error}"),
                found => found?,
            }
        }
        let (lane_alive, lanes) = mpsc::channel(1);
        let mut inputs = JoinSet::new();
        let awaited = self.inputs.iter().filter(|part| part.input.ends_agent()).count();
        for part in self.inputs {
            let mut senders = Vec::new();
            for lanes in part.sharing.desks(part.lanes) {
                let (sender, receiver) = queue(INPUT_QUEUE);
                let gathering = Gathering {
                    router: router.clone(),
                    row: Arc::clone(&part.row),
                    storage: storage.clone().filter(|_| part.row.is_stored),
                    cut: cut.clone(),
                    hold: hold.clone(),
                    stop: stop.clone(),
                    open: BTreeMap::new(),
                    spares: Spares::new(SPARE_CHUNKS),
                };
                let desk = Arc::new(Desk::new(receiver, self.timing.flush_every, gathering));
                for filters in lanes {
                    let (desk, row) = (Arc::clone(&desk), Arc::clone(&part.row));
                    let (router, trail) = (router.clone(), Trail::default());
                    let thread = lane_threads.pop_front().expect("there is one for each lane");
                    thread.run(Lane { desk, filters, row, router, trail }, lane_alive.clone())?;
                }
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
            overdue: self.overdue,
            is_flushed,
            outputs: self.outputs,
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
