//! `s3`: records as lines of objects in a bucket. What is taken waits in a folder, from which it is sent; it survives the agent.

mod bucket;
mod desk;
mod key;
mod lines;
mod options;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flb_event::Chunk;
use flb_net::aws::Clock;
use flb_plugin::log::{Kinds, Label, Mishaps};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Metric, Metrics, Options, Output, OutputError, Spec,
    is_exhausted,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use bucket::{Bucket, BucketError};
use desk::{Desk, DeskError, Step};
use lines::Lines;
use store::Store;

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "s3",
    about: "Keep records in objects of Amazon S3",
    options: options::OPTIONS,
    build: |options, build| Ok(Box::new(S3(Arc::new(uploader(options, build, Clock::system())?)))),
};

/// Exported as `flb_output_uploaded_objects_total`.
static UPLOADED: Metric =
    Metric::new("uploaded", "Objects that are in the bucket.").in_units_of("objects");

/// Exported as `flb_output_failed_requests_total`.
static FAILED: Metric =
    Metric::new("failed_requests", "Requests that failed, by reason.").by("reason");

/// How long to wait before an object is tried again: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How often to look for objects that others have left behind.
const LOOK: Duration = Duration::from_secs(30);

fn uploader(options: &Options, build: &Build<'_>, clock: Clock) -> Result<Uploader, BuildError> {
    let store = Store::new(options::folder(options)?);
    let plan = options::plan(options, build)?;
    Ok(Uploader {
        bucket: options::bucket(options, build, clock.clone())?,
        lines: options::lines(options, build)?,
        desk: Mutex::new(Desk::new(plan, store)),
        wake: Notify::new(),
        turn: tokio::sync::Mutex::new(Turn::default()),
        clock,
        label: Label::output(SPEC.name, build),
        metrics: build.metrics.clone(),
        left_out: Mishaps::default(),
        strange: Kinds::default(),
        failures: Kinds::default(),
    })
}

struct S3(Arc<Uploader>);

struct Uploader {
    bucket: Bucket,
    lines: Lines,
    desk: Mutex<Desk>,
    /// There is something to send.
    wake: Notify,
    /// Held by who sends.
    turn: tokio::sync::Mutex<Turn>,
    clock: Clock,
    label: Label,
    metrics: Metrics,
    left_out: Mishaps,
    strange: Kinds,
    failures: Kinds,
}

/// What who sends knows.
#[derive(Debug, Default)]
struct Turn {
    /// When the folder was looked through last.
    looked: Option<Instant>,
    /// The server is away until then, at least, and was so often in a row.
    away: Option<Instant>,
    failures: u32,
}

impl Output for S3 {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        let (uploader, chunk) = (Arc::clone(&self.0), chunk.clone());
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || uploader.take(&chunk)).await {
                Ok(fate) => fate,
                Err(error) => Flush::Fail(OutputError(error.to_string())),
            }
        })
    }

    fn attend(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let wait = self.0.send_what_is_due(false).await;
                tokio::select! {
                    () = self.0.wake.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        })
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.0.send_what_is_due(true).await;
            let (left, folder) = {
                let desk = self.0.desk();
                (desk.entries.len(), desk.store.folder().to_owned())
            };
            if left > 0 {
                let label = &self.0.label;
                tracing::warn!(
                    "{label} {left} objects wait in {} for the next start",
                    folder.display()
                );
            }
        })
    }
}

impl Uploader {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Takes a chunk's lines to the folder.
    fn take(&self, chunk: &Chunk) -> Flush {
        let mut left_out = 0;
        let lines = self.lines.of(chunk, |why| {
            left_out += 1;
            self.left_out.left_out(&self.label, &why);
        });
        if lines.is_empty() {
            return Flush::but(left_out);
        }
        let now = self.now();
        let time = chunk.records().map(|event| event.time.sec).find(|sec| *sec != 0);
        let time = time.unwrap_or_else(|| u32::try_from(now).unwrap_or(0));
        let mut desk = self.desk();
        match desk.append(chunk.tag(), &lines, time, now) {
            Ok(has_part) => {
                if has_part {
                    self.wake.notify_one();
                }
                Flush::but(left_out)
            }
            Err(error) => {
                let reason = format!("{} {}: {error}", self.label, desk.store.folder().display());
                match &error {
                    DeskError::Disk(error) if is_exhausted(error) => Flush::NoRoom { reason },
                    _ => Flush::Retry { reason, after: None },
                }
            }
        }
    }

    /// Sends what there is to send, each object as far as it goes; how long to wait until there may be more.
    async fn send_what_is_due(self: &Arc<Self>, is_last: bool) -> Duration {
        let mut turn = self.turn.lock().await;
        let looks = turn.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if looks {
            turn.looked = Some(Instant::now());
        }
        self.prepare(looks, is_last).await;
        let is_away = turn.away.is_some_and(|until| Instant::now() < until);
        if !is_away || is_last {
            for at in self.due(is_last) {
                if !self.send(at, &mut turn).await {
                    break;
                }
            }
        }
        self.wait(&turn)
    }

    /// Takes over what others left, where that is looked for, and closes what is old enough.
    async fn prepare(self: &Arc<Self>, looks: bool, is_last: bool) {
        let uploader = Arc::clone(self);
        let prepare = move || {
            let mut desk = uploader.desk();
            let told = |path: &Path, error: &io::Error| uploader.tell(path, error);
            let adopted = if looks { desk.adopt(&told) } else { Ok(()) };
            let closed = desk.close_due(uploader.now(), is_last);
            if let Err(error) = adopted.and(closed) {
                uploader.tell(desk.store.folder(), &error);
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(prepare).await {
            tracing::error!("{} {error}", self.label);
        }
    }

    fn tell(&self, path: &Path, error: &io::Error) {
        if let Some(times) = self.strange.another(&path.to_string_lossy()) {
            tracing::error!("{} {}: {error}{times}", self.label, path.display());
        }
    }

    /// The objects for which there is something to be done, oldest first.
    fn due(&self, is_last: bool) -> Vec<u64> {
        let (desk, now) = (self.desk(), Instant::now());
        let is_due = |at: &u64| {
            let again = desk.entries.get(at).and_then(|entry| entry.again);
            (is_last || again.is_none_or(|again| again <= now)) && desk.step(*at).is_some()
        };
        desk.entries.keys().copied().filter(is_due).collect()
    }

    /// How long to wait: until an object is old enough, or is to be tried again.
    fn wait(&self, turn: &Turn) -> Duration {
        let (desk, now) = (self.desk(), Instant::now());
        let old_enough = desk.next_due(self.now()).map(Duration::from_secs);
        let has_work = |at: &&u64| desk.step(**at).is_some();
        let again = desk.entries.keys().filter(has_work).map(|at| {
            let own = desk.entries.get(at).and_then(|entry| entry.again);
            own.max(turn.away).map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
        });
        let soon = Duration::from_millis(100);
        again.chain(old_enough).min().map_or(LOOK, |wait| wait.clamp(soon, LOOK))
    }

    /// Sends an object as far as it goes. Whether the server is there.
    async fn send(&self, at: u64, turn: &mut Turn) -> bool {
        loop {
            let Some(step) = self.desk().step(at) else { return true };
            let Err(error) = self.take_step(at, &step).await else {
                (turn.away, turn.failures) = (None, 0);
                if let Some(entry) = self.desk().entries.get_mut(&at) {
                    (entry.again, entry.failures) = (None, 0);
                }
                continue;
            };
            let wait = self.put_off(at, &error, turn);
            self.metrics.counter_of(&FAILED, &error.reason()).add(1);
            if let Some(times) = self.failures.another(&error.reason()) {
                let (label, bucket, wait) = (&self.label, &self.bucket, wait.as_secs());
                tracing::warn!("{label} {bucket}, {error}; tried again in {wait} seconds{times}");
            }
            return !error.is_away();
        }
    }

    /// When it is tried again.
    fn put_off(&self, at: u64, error: &BucketError, turn: &mut Turn) -> Duration {
        let waited = |failures: u32| {
            let wait = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(LONGEST_WAIT);
            error.after().map_or(wait, |after| after.min(LONGEST_WAIT).max(FIRST_WAIT))
        };
        let now = Instant::now();
        if error.is_away() {
            let wait = waited(turn.failures);
            (turn.away, turn.failures) = (Some(now + wait), turn.failures + 1);
            return wait;
        }
        let mut desk = self.desk();
        let Some(entry) = desk.entries.get_mut(&at) else { return FIRST_WAIT };
        let wait = waited(entry.failures);
        (entry.again, entry.failures) = (Some(now + wait), entry.failures + 1);
        wait
    }

    /// Takes a step with an object, and writes down that it is taken.
    async fn take_step(&self, at: u64, step: &Step) -> Result<(), BucketError> {
        let Some((key, suffix, encoding)) = self.desk().entries.get(&at).map(|entry| {
            let about = &entry.object.about;
            (about.key.clone(), about.suffix.clone(), about.encoding.clone())
        }) else {
            return Ok(());
        };
        let encoding = encoding.as_deref();
        match step {
            Step::Sweep => {
                match self.bucket.sweep(&key).await {
                    // What may not be looked for is left to the bucket's own rules.
                    Err(error) if !error.is_denied() => return Err(error),
                    _ => {}
                }
                self.write(at, |object| {
                    object.state.may_have_strays = false;
                    object.save()
                })
            }
            Step::Put(part) => {
                let body = self.read(at, part.number).await?;
                let key = format!("{key}{suffix}");
                self.bucket.put(&key, encoding, body).await?;
                self.done(at, &key)
            }
            Step::Begin => {
                self.write(at, |object| {
                    object.state.may_have_strays = true;
                    object.save()
                })?;
                let upload = self.bucket.begin(&key, encoding).await?;
                self.write(at, |object| {
                    (object.state.may_have_strays, object.state.upload) = (false, Some(upload));
                    object.save()
                })
            }
            Step::Part(upload, part) => {
                let body = self.read(at, part.number).await?;
                match self.bucket.part(&key, upload, part.number, body).await {
                    Ok(name) => self.write(at, |object| object.sent(*part, name)),
                    Err(error) if error.is_gone() => self.begin_again(at).and(Err(error)),
                    Err(error) => Err(error),
                }
            }
            Step::Complete(upload) => self.complete(at, &key, upload).await,
        }
    }

    async fn complete(&self, at: u64, key: &str, upload: &str) -> Result<(), BucketError> {
        let mut sent = Vec::new();
        let mut was_tried = false;
        self.write(at, |object| {
            sent.clone_from(&object.state.sent);
            was_tried = std::mem::replace(&mut object.state.may_be_complete, true);
            object.save()
        })?;
        match self.bucket.complete(key, upload, &sent).await {
            Ok(()) => self.done(at, key),
            // The answer to the try before was lost.
            Err(error) if error.is_gone() && was_tried => match self.bucket.has(key).await {
                Ok(true) => self.done(at, key),
                Ok(false) => self.begin_again(at).and(Err(error)),
                // Whether it is there may be nobody's to know, but the server was told to make it.
                Err(other) if other.is_denied() => self.done(at, key),
                Err(other) => Err(other),
            },
            Err(error) if error.is_gone() => self.begin_again(at).and(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// The upload is not there any more: somebody gave it up, or the server forgot it. All that was sent with it is sent again.
    fn begin_again(&self, at: u64) -> Result<(), BucketError> {
        self.write(at, |object| {
            let is_closed = object.state.is_closed;
            object.state = store::State { is_closed, ..store::State::default() };
            object.save()
        })
    }

    /// An object is in the bucket.
    fn done(&self, at: u64, key: &str) -> Result<(), BucketError> {
        self.metrics.counter(&UPLOADED).add(1);
        tracing::info!("{} {}, '{key}' is there", self.label, self.bucket);
        let mut desk = self.desk();
        let folder = desk.store.folder().to_owned();
        desk.done(at).map_err(|error| on_disk(folder, error))
    }

    /// Changes what is written down of an object.
    fn write(
        &self,
        at: u64,
        change: impl FnOnce(&mut store::Object) -> io::Result<()>,
    ) -> Result<(), BucketError> {
        let mut desk = self.desk();
        let folder = desk.store.folder().to_owned();
        match desk.entries.get_mut(&at) {
            Some(entry) => change(&mut entry.object).map_err(|error| on_disk(folder, error)),
            None => Ok(()),
        }
    }

    /// A part's bytes.
    async fn read(&self, at: u64, number: u32) -> Result<Bytes, BucketError> {
        let path = self.desk().entries.get(&at).map(|entry| entry.object.part(number));
        let path = path.unwrap_or_default();
        let read = tokio::fs::read(&path).await;
        read.map(Bytes::from).map_err(|error| on_disk(path, error))
    }
}

fn on_disk(path: PathBuf, error: io::Error) -> BucketError {
    BucketError::Disk { path: path.display().to_string(), error }
}
