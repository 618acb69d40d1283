//! An output's worker: delivers the chunks of its backlog, up to `Workers` at a time, and puts those off that fail.
//!
//! Chunks of one tag are delivered one after the other in their order, also when one of them waits for a retry; chunks of
//! different tags do not wait for each other.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flb_event::Chunk;
use flb_plugin::{Flush, Output};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::backlog::Backlog;
use super::retry::{Backoff, Dice, Retries, RetryLimit};
use super::task::{Delivering, NoChunk, Task};
use crate::books::{OutputRow, Sample, Tap, Trouble};
use crate::panics::caught_async;
use crate::source::context;
use crate::stop::Stop;
use crate::storage::Rejected;

/// How long to wait when the machine or the process has no descriptor or memory left.
const NO_ROOM: Duration = Duration::from_secs(1);

/// An output and how it is used.
pub(crate) struct Delivery {
    pub(crate) output: Arc<dyn Output>,
    pub(crate) row: Arc<OutputRow>,
    /// The output's place in the configuration.
    pub(crate) index: usize,
    pub(crate) limit: RetryLimit,
    /// Most chunks at a time.
    pub(crate) workers: usize,
    /// Most bytes of stored chunks that may wait for it.
    pub(crate) storage_limit: Option<usize>,
    /// Where what it refuses is kept, if it is.
    pub(crate) rejected: Option<Arc<Rejected>>,
}

pub(crate) struct Worker {
    delivery: Delivery,
    queue: mpsc::UnboundedReceiver<Arc<Task>>,
    retries: Retries,
    stop: Stop,
    pause: Pause,
    backlog: Backlog,
    tries: JoinSet<Try>,
    /// Of chunks that are settled in part, by their numbers: which records are left.
    rests: BTreeMap<u64, Arc<[bool]>>,
}

/// How a worker is asked to deliver no more, because another pipeline will.
#[derive(Debug)]
pub(crate) struct Pause {
    /// Asked for when nothing more is to be tried.
    pub(crate) hold: Stop,
    /// Asked for when the tries under way shall not be waited for.
    pub(crate) cut: Stop,
    /// Dropped when no try is under way any more.
    pub(crate) busy: Option<mpsc::Sender<()>>,
}

/// A chunk that was tried, and what came of it.
struct Try {
    tried: Delivering,
    fate: Fate,
}

enum Fate {
    Told(Flush),
    /// With a panic's message.
    Panic(String),
    /// It was not tried.
    Untried(NoChunk),
}

impl Worker {
    pub(crate) fn new(
        delivery: Delivery,
        queue: mpsc::UnboundedReceiver<Arc<Task>>,
        backoff: Backoff,
        stop: Stop,
        pause: Pause,
    ) -> Self {
        delivery.row.storage_limit.add(delivery.storage_limit.unwrap_or(0));
        let retries = Retries { limit: delivery.limit, backoff, dice: Dice::default() };
        let (backlog, tries) = (Backlog::default(), JoinSet::new());
        Self { delivery, queue, retries, stop, pause, backlog, tries, rests: BTreeMap::new() }
    }

    /// Runs until all lanes have ended and nothing is left to deliver, or to be tried by this pipeline. The output's place, and
    /// what is left.
    pub(crate) async fn run(mut self) -> (usize, Vec<Arc<Task>>) {
        // Ends with this function. Should it panic, chunks are delivered all the same.
        let (mut beside, output) = (JoinSet::new(), Arc::clone(&self.delivery.output));
        beside.spawn(async move { output.attend().await }.instrument(Span::current()));
        let (stop, hold, cut) =
            (self.stop.clone(), self.pause.hold.clone(), self.pause.cut.clone());
        let (mut open, mut draining, mut holding, mut cutting) = (true, false, false, false);
        loop {
            if !holding {
                self.begin();
            } else if self.tries.is_empty() {
                self.pause.busy = None;
            }
            if !open && self.tries.is_empty() && (holding || self.backlog.is_empty()) {
                self.leave_gone();
                if !holding {
                    self.delivery.output.finish().await;
                }
                return (self.delivery.index, self.backlog.into_tasks());
            }
            let may_begin = !holding && self.has_room();
            tokio::select! {
                biased;
                () = hold.asked(), if !holding => holding = true,
                () = cut.asked(), if holding && !cutting => {
                    cutting = true;
                    // They stay in the backlog, and may come twice.
                    self.tries.abort_all();
                }
                () = stop.asked(), if !draining && !holding => {
                    draining = true;
                    self.backlog.hurry(Instant::now() + Backoff::DRAINING);
                }
                Some(tried) = self.tries.join_next() => self.settle(tried).await,
                () = until(self.backlog.due()), if may_begin => {}
                task = self.queue.recv(), if open => match task {
                    Some(task) => self.take_in(task),
                    None => open = false,
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        self.tries.len() < self.delivery.workers
    }

    /// Adds a chunk to the backlog, and gives up the oldest ones if that makes too many.
    fn take_in(&mut self, task: Arc<Task>) {
        let is_ring = task.from.buffer.ring.is_some();
        if task.is_stored() {
            self.delivery.row.stored_bytes.add(task.bytes());
        }
        self.backlog.push(task, Instant::now());
        if is_ring && self.backlog.is_unswept() {
            self.leave_gone();
        }
        let Some(limit) = self.delivery.storage_limit else { return };
        while self.backlog.stored_bytes() > limit
            && let Some(oldest) = self.backlog.evict()
        {
            tracing::error!(
                parent: None,
                instance = %self.delivery.row.instance,
                "[engine] chunk '{}' is dropped, {} records: over storage.total_limit_size: {}",
                oldest.name,
                oldest.records(),
                self.way(&oldest)
            );
            self.count_dropped(&oldest);
            self.settled(&oldest);
        }
    }

    /// Counts as dropped what gave way to newer chunks.
    fn leave_gone(&mut self) {
        for gone in self.backlog.sweep() {
            self.count_dropped(&gone);
            self.settled(&gone);
        }
    }

    /// Tries as many chunks as may be tried now.
    fn begin(&mut self) {
        self.try_next();
        Trouble::due(&mut self.delivery.row.trouble.lock(), self.backlog.due());
    }

    fn try_next(&mut self) {
        while self.has_room()
            && let Some(task) = self.backlog.take(Instant::now())
        {
            self.delivery.row.under_way.add(1);
            let Delivery { output, row, .. } = &self.delivery;
            let (output, tap) = (Arc::clone(output), Arc::clone(&row.tap));
            let rest = self.rests.get(&task.number).cloned();
            let tried = Delivering::begin(task);
            self.tries.spawn(attempt(output, tap, tried, rest).instrument(Span::current()));
        }
    }

    async fn settle(&mut self, tried: Result<Try, JoinError>) {
        self.delivery.row.under_way.sub(1);
        // Panics are caught within, so this one was cut off.
        let Ok(Try { tried, fate }) = tried else { return };
        let task = &*tried.task;
        match fate {
            Fate::Told(Flush::Done) => self.delivered(task, 0),
            Fate::Told(Flush::Partly { left_out, refused }) => {
                if let Some(refused) = refused {
                    self.keep(task, refused).await;
                }
                self.delivered(task, left_out);
            }
            Fate::Told(Flush::Retry { reason, after }) => self.put_off(task, &reason, after).await,
            Fate::Told(Flush::Rest { again, left_out, refused, reason, after }) => {
                if let Some(refused) = refused {
                    self.keep(task, refused).await;
                }
                self.narrow(task, &again, left_out);
                self.put_off(task, &reason, after).await;
            }
            Fate::Told(Flush::NoRoom { reason }) => {
                tracing::warn!("{reason}");
                self.wait_for_room(task);
            }
            Fate::Told(Flush::Fail(error)) => self.refused(task, &error.to_string()).await,
            Fate::Panic(message) => {
                self.refused(task, &format!("the output panicked: {message}")).await;
            }
            Fate::Untried(NoChunk::Unreadable(why)) => self.unreadable(task, &why),
            Fate::Untried(NoChunk::NoRoom(why)) => {
                let name = task.name;
                tracing::warn!(parent: None, "[storage] chunk '{name}' cannot be read yet: {why}");
                self.wait_for_room(task);
            }
            Fate::Untried(NoChunk::Gone) => {
                self.dropped(task);
                self.settled(task);
            }
        }
    }

    /// The output needs the chunk no more.
    fn settled(&mut self, task: &Task) {
        self.rests.remove(&task.number);
        let row = &self.delivery.row;
        row.tasks_settled.add(1);
        if task.is_stored() {
            row.stored.sub(task.records());
            row.stored_bytes.sub(task.bytes());
        }
        task.settle(&row.instance.name);
    }

    /// Counts what is settled of a chunk, and remembers which of its records are left.
    fn narrow(&mut self, task: &Task, again: &[bool], left_out: usize) {
        let before = self.left(task);
        let mut again = again.iter().copied();
        let mut rest: Vec<bool> = match self.rests.get(&task.number) {
            Some(rest) => rest.to_vec(),
            None => vec![true; task.records()],
        };
        for is_left in rest.iter_mut().filter(|is_left| **is_left) {
            // Of what nobody spoke of, nobody knows.
            *is_left = again.next().unwrap_or(true);
        }
        self.rests.insert(task.number, rest.into());
        self.count_settled(task, before - self.left(task), left_out);
    }

    /// How many records of a chunk are not settled yet.
    fn left(&self, task: &Task) -> usize {
        match self.rests.get(&task.number) {
            Some(rest) => rest.iter().filter(|is_left| **is_left).count(),
            None => task.records(),
        }
    }

    fn count_settled(&self, task: &Task, records: usize, left_out: usize) {
        // Processors may have added records, which nobody counts here.
        let (row, left_out) = (&self.delivery.row, left_out.min(records));
        row.delivered.add(records - left_out);
        row.dropped.add(left_out);
        row.on_the_way(&task.from.instance.name, |way| {
            way.records += (records - left_out) as u64;
            way.dropped_records += left_out as u64;
        });
    }

    fn delivered(&mut self, task: &Task, left_out: usize) {
        self.count_settled(task, self.left(task), left_out);
        self.settled(task);
        let row = &self.delivery.row;
        row.took(&task.from.instance.name, task.age(context::now()));
        row.delivered_bytes.add(task.bytes());
        row.on_the_way(&task.from.instance.name, |way| way.bytes += task.bytes() as u64);
        let retries = self.answered(task);
        self.backlog.leave(task.tag());
        if retries > 0 {
            let (name, way) = (task.name, self.way(task));
            tracing::info!(
                parent: None,
                "[engine] flush chunk '{name}' succeeded at retry {retries}: {way}"
            );
        }
    }

    /// The output took or refused the first chunk of a line, which had failed so often.
    fn answered(&mut self, task: &Task) -> u32 {
        let failures = self.backlog.answered(task.tag());
        let mut trouble = self.delivery.row.trouble.lock();
        if trouble.is_some() {
            Trouble::answer(&mut trouble, self.backlog.fails());
        }
        failures
    }

    async fn put_off(&mut self, task: &Task, reason: &str, after: Option<Duration>) {
        tracing::warn!("{reason}");
        let now = Instant::now();
        Trouble::fail(&mut self.delivery.row.trouble.lock(), now, reason);
        let failures = self.backlog.failed(task.tag(), now);
        let wait = match self.retries.wait(failures, after) {
            Some(wait) => wait,
            None if self.may_wait(task) => self.retries.wait_anyway(failures, after),
            None => return self.given_up(task).await,
        };
        let wait = if self.stop.is_asked() { wait.min(Backoff::DRAINING) } else { wait };
        let due = self.backlog.put_off(task.tag(), now, wait);
        tracing::warn!(
            parent: None,
            "[engine] failed to flush chunk '{}', retry in {} seconds: {}",
            task.name,
            tenths(due.duration_since(now)),
            self.way(task)
        );
        self.delivery.row.retries.add(1);
        self.delivery.row.retried.add(self.left(task));
        task.rest();
    }

    /// Tries again soon, and does not count it: neither the chunk nor its receiver can help it.
    fn wait_for_room(&mut self, task: &Task) {
        task.rest();
        self.backlog.put_off(task.tag(), Instant::now(), NO_ROOM);
    }

    /// Whether a chunk outlives its limit of retries: those of a drain come sooner than the configuration says, and a
    /// stored chunk has another chance after the next start.
    fn may_wait(&self, task: &Task) -> bool {
        self.stop.is_asked() && task.is_stored() && self.delivery.limit != RetryLimit::Never
    }

    async fn given_up(&mut self, task: &Task) {
        let (name, way) = (task.name, self.way(task));
        let instance = &self.delivery.row.instance;
        if self.delivery.limit == RetryLimit::Never {
            tracing::warn!(
                parent: None,
                %instance,
                "[engine] chunk '{name}' is not retried (no retry config): {way}"
            );
        } else {
            tracing::error!(
                parent: None,
                %instance,
                "[engine] chunk '{name}' cannot be retried: {way}"
            );
            // Where none is wanted, none has failed.
            self.delivery.row.retries_failed.add(1);
        }
        self.keep_rejected(task).await;
        self.dropped(task);
        self.settled(task);
    }

    async fn refused(&mut self, task: &Task, reason: &str) {
        tracing::error!("{reason}; {} records dropped", self.left(task));
        self.delivery.row.errors.add(1);
        self.answered(task);
        self.keep_rejected(task).await;
        self.dropped(task);
        self.settled(task);
    }

    /// Keeps a chunk that the output does not take.
    async fn keep_rejected(&self, task: &Task) {
        if self.delivery.rejected.is_some()
            && let Ok(chunk) = task.chunk().await
        {
            let left = self.rests.get(&task.number).map_or(chunk.clone(), |rest| chunk.only(rest));
            self.keep(task, left).await;
        }
    }

    /// Writes what the output does not take of a chunk to the folder for it, if there is one.
    async fn keep(&self, task: &Task, chunk: Chunk) {
        let Some(rejected) = self.delivery.rejected.clone() else { return };
        let (output, input) = (&self.delivery.row.instance.name, &task.from.instance.name);
        let (name, output, input) = (task.name, Arc::clone(output), Arc::clone(input));
        let keep = move || rejected.keep(&output, name, &input, &chunk);
        let kept = tokio::task::spawn_blocking(keep).await.map_err(io::Error::other);
        match kept.and_then(|kept| kept) {
            Ok((path, gone)) => {
                tracing::warn!(parent: None, "[storage] chunk '{name}' is kept in {}", path.display());
                if gone > 0 {
                    tracing::warn!(parent: None, "[storage] {gone} older ones made room for it (storage.rejected.limit)");
                }
            }
            Err(error) => {
                tracing::error!(parent: None, "[storage] chunk '{name}' cannot be kept among the rejected ones: {error}");
            }
        }
    }

    /// The file stays for the next start, which tells what is wrong with it and keeps what is good.
    fn unreadable(&mut self, task: &Task, why: &str) {
        let (name, way) = (task.name, self.way(task));
        tracing::error!(
            parent: None,
            instance = %self.delivery.row.instance,
            "[storage] chunk '{name}' is not delivered, {} records: {why}: {way}",
            task.records()
        );
        let row = &self.delivery.row;
        row.errors.add(1);
        row.tasks_settled.add(1);
        row.stored.sub(task.records());
        row.stored_bytes.sub(task.bytes());
        self.dropped(task);
        self.rests.remove(&task.number);
    }

    fn dropped(&mut self, task: &Task) {
        self.count_dropped(task);
        self.backlog.leave(task.tag());
    }

    fn count_dropped(&self, task: &Task) {
        let (row, left) = (&self.delivery.row, self.left(task));
        row.dropped.add(left);
        row.on_the_way(&task.from.instance.name, |way| {
            way.dropped_records += left as u64;
            way.dropped_bytes += task.bytes() as u64;
        });
    }

    /// From where to where, for log lines.
    fn way(&self, task: &Task) -> String {
        format!(
            "task_id={}, input={} > output={} (out_id={})",
            task.number,
            task.from.instance.name,
            self.delivery.row.instance.name,
            self.delivery.index
        )
    }
}

/// Tries to deliver one chunk, or what is left of it.
async fn attempt(
    output: Arc<dyn Output>,
    tap: Arc<Tap>,
    tried: Delivering,
    rest: Option<Arc<[bool]>>,
) -> Try {
    let chunk = tried.task.chunk().await;
    let chunk = chunk.map(|chunk| rest.map_or(chunk.clone(), |rest| chunk.only(&rest)));
    if let Ok(chunk) = &chunk
        && tap.is_asked()
    {
        tap.give(Sample::ended(chunk));
    }
    let fate = match chunk {
        Ok(chunk) => match caught_async(output.flush(&chunk)).await {
            Ok(flush) => Fate::Told(flush),
            Err(message) => Fate::Panic(message),
        },
        Err(why) => Fate::Untried(why),
    };
    Try { tried, fate }
}

/// Seconds for log lines.
fn tenths(wait: Duration) -> f32 {
    (wait.as_secs_f32() * 10.0).ceil() / 10.0
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
