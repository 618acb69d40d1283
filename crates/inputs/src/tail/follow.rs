//! The input's life: search for files, read each one a bit, let go of those that are gone, wait, again.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flb_event::{ChunkBuilder, Timestamp};
use flb_plugin::{BoxFuture, Closed, Context, End, Input, InputError};

use super::Settings;
use super::file::{Followed, Sight, Standing, Start};
use super::patterns::{Found, Identity, Patterns, is_missing};
use super::positions::Positions;
use super::take::{Source, Taker};
use super::watch::Watch;
use crate::shared::clock;
use crate::shared::database::DatabaseError;
use crate::shared::records::LineRecords;
use flb_plugin::log::{Label, Mishaps};

/// How often to look at each file, unless the system says when it changes.
const LOOK: Duration = Duration::from_millis(250);
/// How long to wait for more after a change, so that a busy writer's lines make batches.
const GATHER: Duration = Duration::from_millis(20);
/// The same for each file that is looked at then: of thousands, a few that are written to do not keep a CPU busy.
const GATHER_FOR_EACH: Duration = Duration::from_micros(20);
/// In so many files that are not followed it is known where reading stood; beyond, one of them is read again should it come back.
const MOST_LEFT: usize = 10_000;
/// How often to save positions, at most.
const SAVE: Duration = Duration::from_secs(1);

/// The input.
pub(super) struct Tail {
    settings: Settings,
    patterns: Patterns,
    files: Vec<Followed>,
    taker: Taker,
    buffer: Vec<u8>,
    /// Paths whose trouble is known and logged.
    unreadable: BTreeSet<PathBuf>,
    positions: Positions,
    /// Where reading stood in files that are not followed now.
    left: BTreeMap<Identity, Standing>,
    watch: Watch,
    /// When positions were saved last, but for those of files that were found.
    saved: Timestamp,
    unsaved: Mishaps,
    is_db_failing: bool,
}

/// What a file's turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// All there is has been read.
    AtEnd,
    /// There is more.
    More,
    /// The input shall stop.
    Stopped,
}

impl Input for Tail {
    fn ends_agent(&self) -> bool {
        self.settings.exit_on_eof
    }

    fn run<'a>(
        mut self: Box<Self>,
        context: &'a dyn Context,
    ) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        // A closed pipeline is a stop like another.
        Box::pin(async move {
            let end = self.follow(context).await.unwrap_or(End::Quiet);
            self.save();
            self.positions.leave(&self.files, std::mem::take(&mut self.left));
            Ok(end)
        })
    }
}

impl Tail {
    /// Follows the files that `patterns` find.
    pub(super) fn new(
        settings: Settings,
        patterns: Patterns,
        records: LineRecords,
        positions: Positions,
    ) -> Self {
        Self {
            patterns,
            files: Vec::new(),
            taker: Taker::new(records),
            buffer: vec![0; settings.read],
            unreadable: BTreeSet::new(),
            positions,
            left: BTreeMap::new(),
            watch: Watch::new(false, settings.label.clone()),
            saved: Timestamp::default(),
            unsaved: Mishaps::default(),
            is_db_failing: false,
            settings,
        }
    }

    async fn follow(&mut self, context: &dyn Context) -> Result<End, Closed> {
        let exit_on_eof = self.settings.exit_on_eof;
        let mut searched = context.now();
        self.begin(searched);
        if exit_on_eof && self.files.is_empty() {
            tracing::error!("{} exit_on_eof, and there is no file to read", self.settings.label);
            return Ok(End::StopAgent { code: 0 });
        }
        loop {
            let now = context.now();
            let is_renamed = self.watch.take_renamed();
            if is_renamed || is_due(searched, self.settings.refresh, now) || self.is_any_moved() {
                self.search(now, false);
                searched = now;
            }
            let mut is_more = false;
            for index in 0..self.files.len() {
                match self.read_turn(index, context).await? {
                    Turn::Stopped => return self.stop(context).await,
                    turn => is_more |= turn == Turn::More,
                }
            }
            self.let_go(context).await?;
            self.save_now_and_then(context.now());
            if exit_on_eof && !self.files.iter().any(|file| file.is_awaited) {
                self.take_all(Source::End, context).await?;
                return Ok(End::StopAgent { code: 0 });
            }
            if self.wait(is_more, context).await {
                return self.stop(context).await;
            }
        }
    }

    /// Finds the first files, or those that this input followed before it was made anew.
    fn begin(&mut self, now: Timestamp) {
        let left = self.positions.left();
        let is_first = left.is_none();
        self.left = left.unwrap_or_default();
        self.watch = Watch::new(self.settings.watch, self.settings.label.clone());
        let recalled = self.positions.recall();
        self.report_database(recalled);
        self.search(now, is_first);
        let noted = self.positions.note_start(now);
        self.report_database(noted);
        self.files.iter_mut().for_each(|file| file.is_awaited = true);
        let swept = self.positions.sweep(&self.files);
        self.report_database(swept);
    }

    /// Waits until there may be something to do; true when the input shall stop.
    async fn wait(&self, is_more: bool, context: &dyn Context) -> bool {
        if is_more {
            return clock::stopped_within(context, Duration::ZERO).await;
        }
        let look = match self.watch.is_on() {
            // Nobody tells when time is over, nor what comes to stand where a file was.
            _ if self.files.iter().any(|file| file.waits() || file.gone_since.is_some()) => LOOK,
            true if self.positions.has_database() => self.settings.progress_check.min(SAVE),
            true => self.settings.progress_check,
            false => LOOK,
        };
        tokio::select! {
            biased;
            is_stopped = clock::stopped_within(context, look.min(self.settings.refresh)) => is_stopped,
            () = self.watch.changed() => clock::stopped_within(context, self.gather()).await,
        }
    }

    /// How long to wait for more after a change.
    fn gather(&self) -> Duration {
        let files = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        GATHER_FOR_EACH.saturating_mul(files).clamp(GATHER, LOOK)
    }

    /// Lines that wait for others are given out, unless they are read again: by the next agent, which has the database, or by
    /// the input that takes the place of this one.
    async fn stop(&mut self, context: &dyn Context) -> Result<End, Closed> {
        if !self.positions.has_database() && !context.is_replaced() {
            self.take_all(Source::Stop, context).await?;
        }
        Ok(End::Quiet)
    }

    /// Saves positions, if that is not too soon after the last time. After the first batch it is not, so an agent that is
    /// killed again and again soon after its start gets on.
    fn save_now_and_then(&mut self, now: Timestamp) {
        if is_due(self.saved, SAVE, now) && self.save() {
            self.saved = now;
        }
    }

    /// Saves positions; false if none had moved.
    fn save(&mut self) -> bool {
        let saved = self.positions.save(&self.files);
        let is_moved = !matches!(saved, Ok(false));
        if matches!(saved, Ok(true)) && std::mem::take(&mut self.is_db_failing) {
            tracing::info!("{} db can be used again", self.settings.label);
        }
        self.report_database(saved.map(drop));
        is_moved
    }

    fn report_database(&mut self, result: Result<(), DatabaseError>) {
        let Err(error) = result else { return };
        self.is_db_failing = true;
        if let Some(total) = self.unsaved.another() {
            let label = &self.settings.label;
            tracing::error!("{label} db cannot be used now: {error} ({total} times so far)");
        }
    }

    /// Whether a file was renamed or deleted since the last search, or a new one stands where a renamed one did.
    fn is_any_moved(&self) -> bool {
        self.files.iter().any(|file| match file.look() {
            Sight::Same | Sight::Unknown => false,
            Sight::Nothing => file.gone_since.is_none(),
            Sight::Another(other) => file.gone_since.is_none() || !self.is_followed(other),
        })
    }

    fn is_followed(&self, identity: Identity) -> bool {
        self.files.iter().any(|file| file.identity() == identity)
    }

    /// Looks for files. Those not followed yet are opened; those followed are found again under the name they have now, or
    /// not at all.
    fn search(&mut self, now: Timestamp, is_first: bool) {
        let mut failures = Vec::new();
        let found = self.patterns.find(|path, error| failures.push((path.to_owned(), error)));
        let mut names: BTreeMap<Identity, Vec<&Path>> = BTreeMap::new();
        for Found { path, identity, .. } in &found {
            names.entry(*identity).or_default().push(path);
        }
        let known = self.files.len();
        let mut followed = BTreeSet::new();
        let mut vacated = BTreeSet::new();
        for file in &mut self.files {
            followed.insert(file.identity());
            vacated.insert(file.path.clone());
            match names.get(&file.identity()) {
                Some(names) => find_again(file, names, &self.settings),
                None if is_hidden(file, &failures) => file.gone_since = None,
                None => miss(file, now, &self.settings.label),
            }
        }
        for Found { path, identity, modified, made } in &found {
            if followed.contains(identity) || self.settings.is_too_old(*modified, now) {
                continue;
            }
            let from_head = match is_first {
                // Twice is better than never.
                true => {
                    let is_new = self.settings.later_from_head && self.positions.is_new(*made);
                    self.settings.first_from_head || self.positions.are_lost() || is_new
                }
                // What replaces a file is new, wherever files are read from.
                false => self.settings.later_from_head || vacated.contains(path),
            };
            match self.open(path, from_head) {
                Ok(mut file) => {
                    file.is_awaited = is_first;
                    // It may be another file than the one that was found a moment ago.
                    if followed.insert(file.identity()) {
                        self.settings.opened.add(1);
                        self.files.push(file);
                    }
                }
                Err(error) => failures.push((path.clone(), error)),
            }
        }
        self.report(failures);
        // Who is killed from here on finds where reading began, and what is written meanwhile.
        self.save();
        for file in &self.files[known..] {
            let (label, inode, path) =
                (&self.settings.label, file.identity().inode(), file.path.display());
            tracing::debug!("{label} inode={inode} file={path}");
        }
        if self.watch.is_on() {
            let folders = self.patterns.folders().map(|folder| (folder, None));
            let files = self.files.iter().map(|file| (file.path.clone(), Some(file.identity())));
            self.watch.set(folders.chain(files).collect());
        }
    }

    fn open(&mut self, path: &Path, from_head: bool) -> io::Result<Followed> {
        let tag = self.settings.tags.of(&path.to_string_lossy());
        let limit = self.settings.limit;
        let place = self.settings.room.take()?;
        let mut file = Followed::open(path, tag.map_err(io::Error::other)?, limit)?;
        file.place = Some(place);
        let start = self.start(&file, from_head);
        file.start(start, limit)?;
        file.join = self.settings.joining.as_ref().map(|joining| joining.start());
        if let Some(key) = &self.settings.path_key {
            file.name_path(key);
        }
        Ok(file)
    }

    /// Where to begin: where this input left off, else where the database says, else at an end.
    fn start(&mut self, file: &Followed, from_head: bool) -> Start {
        if let Some(standing) = self.left.remove(&file.identity()) {
            return Start::At(file.resumes_at(standing));
        }
        match self.positions.find(file) {
            Ok(Some(position)) => Start::At(position),
            Ok(None) if from_head => Start::Head,
            Ok(None) => Start::End,
            Err(error) => {
                self.report_database(Err(error));
                // Twice is better than never.
                Start::Head
            }
        }
    }

    /// Logs what can't be read, once for each path. That a listed file is not there is usual where links outlive files.
    fn report(&mut self, failures: Vec<(PathBuf, io::Error)>) {
        let label = &self.settings.label;
        let known = std::mem::take(&mut self.unreadable);
        for (path, error) in failures {
            if error.kind() == io::ErrorKind::NotFound {
                tracing::debug!("{label} cannot read {}: {error}", path.display());
            } else if !known.contains(&path) {
                tracing::error!("{label} cannot read {}: {error}", path.display());
            }
            self.unreadable.insert(path);
        }
    }

    /// Reads on in one file, up to its end or the end of its turn.
    ///
    /// These are blocking reads in an async function: each is short, and handing it to another thread would cost more
    /// than the read.
    async fn read_turn(&mut self, index: usize, context: &dyn Context) -> Result<Turn, Closed> {
        let turn = match self.files[index].is_awaited {
            true => self.settings.static_turn,
            false => self.settings.turn,
        };
        let turn_ends = self.files[index].position().saturating_add(turn);
        loop {
            let Some(batch) = self.read_once(index, context.now()) else {
                if self.files[index].waits() {
                    self.take(index, Source::Nothing, context).await?;
                }
                return Ok(Turn::AtEnd);
            };
            self.emit(index, batch, context).await?;
            if clock::stopped_within(context, Duration::ZERO).await {
                return Ok(Turn::Stopped);
            }
            if self.files[index].position() >= turn_ends {
                return Ok(Turn::More);
            }
        }
    }

    /// The records of one read; none at the file's end, or if the file can't be read now.
    fn read_once(&mut self, index: usize, now: Timestamp) -> Option<ChunkBuilder> {
        let Self { settings, files, taker, buffer, .. } = self;
        let file = &mut files[index];
        let length = file.length();
        if length == Some(Ordering::Less) {
            let batch = taker.take(settings, file, Source::End, now);
            let (label, inode) = (&settings.label, file.identity().inode());
            tracing::info!("{label} inode={inode} file truncated {}", file.path.display());
            file.rewind(settings.limit);
            return Some(batch);
        }
        if length == Some(Ordering::Equal) || file.is_refused {
            file.is_awaited = false;
            return None;
        }
        match file.read(buffer) {
            Ok([]) => {
                file.is_awaited = false;
                // Nobody appends to a packed file.
                file.is_packed().then(|| taker.take(settings, file, Source::End, now))
            }
            Ok(data) => Some(taker.take(settings, file, Source::Data(data), now)),
            Err(error) => {
                file.is_awaited = false;
                if let Some(total) = file.failures.another() {
                    let (label, path) = (&settings.label, file.path.display());
                    tracing::error!("{label} cannot read {path}: {error} ({total} times so far)");
                }
                None
            }
        }
    }

    /// Lets go of the files that were renamed or deleted long enough ago, and of those that have grown old. What they ended with
    /// is their last line. Together: many may go at once.
    async fn let_go(&mut self, context: &dyn Context) -> Result<(), Closed> {
        let now = context.now();
        let mut going = BTreeSet::new();
        for index in 0..self.files.len() {
            let file = &self.files[index];
            let source = match self.is_over(file, now) {
                true => Source::End,
                false if self.is_asleep(file, now) => Source::Stop,
                false => continue,
            };
            self.take(index, source, context).await?;
            let file = &self.files[index];
            let (label, path) = (&self.settings.label, file.path.display());
            match source {
                Source::End => tracing::debug!("{label} file={path} let go"),
                _ => tracing::info!("{label} file={path} has grown old"),
            }
            going.insert(index);
        }
        if !going.is_empty() {
            self.save();
            let mut index = 0..;
            // Somebody may have written to one while another's last lines waited for room.
            let is_going = |file: &mut Followed| {
                index.next().is_some_and(|at| going.contains(&at)) && !file.is_behind()
            };
            let gone: Vec<Followed> = self.files.extract_if(.., is_going).collect();
            self.leave(&gone);
        }
        Ok(())
    }

    /// Keeps where reading stood in files that are let go: they may be written to again, or have their names again when that of
    /// their folder is given back. One that has no name at all never comes back.
    fn leave(&mut self, files: &[Followed]) {
        let mut gone = Vec::new();
        for file in files {
            self.settings.closed.add(1);
            if file.is_deleted() {
                gone.push(file.identity());
                continue;
            }
            self.left.insert(file.identity(), file.standing());
            if self.left.len() > MOST_LEFT {
                gone.extend(self.left.pop_first().map(|(identity, _)| identity));
            }
        }
        let forgotten = self.positions.forget(&gone);
        self.report_database(forgotten);
    }

    /// Whether a file was renamed or deleted long enough ago.
    fn is_over(&self, file: &Followed, now: Timestamp) -> bool {
        let waited = file.gone_since.map(|since| clock::between(since, now));
        waited.is_some_and(|waited| waited >= self.settings.rotate_wait) && !file.is_behind()
    }

    /// Whether a file was read to its end and is older than is wanted.
    fn is_asleep(&self, file: &Followed, now: Timestamp) -> bool {
        let is_old = |file: &Followed| {
            file.modified().is_some_and(|modified| self.settings.is_too_old(modified, now))
        };
        self.settings.ignore_active && !file.is_awaited && !file.is_behind() && is_old(file)
    }

    async fn take_all(&mut self, source: Source<'_>, context: &dyn Context) -> Result<(), Closed> {
        for index in 0..self.files.len() {
            self.take(index, source, context).await?;
        }
        Ok(())
    }

    /// Emits what a file has, other than by a read.
    async fn take(
        &mut self,
        index: usize,
        source: Source<'_>,
        context: &dyn Context,
    ) -> Result<(), Closed> {
        let Self { settings, files, taker, .. } = self;
        let batch = taker.take(settings, &mut files[index], source, context.now());
        self.emit(index, batch, context).await
    }

    /// Hands a file's records over. What was read of it is then the pipeline's.
    async fn emit(
        &mut self,
        index: usize,
        batch: ChunkBuilder,
        context: &dyn Context,
    ) -> Result<(), Closed> {
        context.count_long_lines(self.taker.long_lines());
        if !batch.is_empty() {
            context.emit(self.taker.finish(batch)).await?;
        }
        self.files[index].settle();
        self.save_now_and_then(context.now());
        Ok(())
    }
}

/// Whether so much time is over. A clock that was set back must not put anything off.
fn is_due(since: Timestamp, interval: Duration, now: Timestamp) -> bool {
    clock::between(since, now) >= interval || now < since
}

/// Brings a followed file's name up to date. `names`: those it has now, one at least.
fn find_again(file: &mut Followed, names: &[&Path], settings: &Settings) {
    if let Some(first) = names.first()
        && !names.contains(&file.path.as_path())
    {
        let (inode, old, new) = (file.identity().inode(), file.path.display(), first.display());
        settings.rotated.add(1);
        let label = &settings.label;
        tracing::info!("{label} inode={inode} handle rotation(): {old} => {new}");
        file.path = first.to_path_buf();
    }
    file.gone_since = None;
}

/// Whether a file that was not found may be there all the same: its name is, or what it is in cannot be looked at.
fn is_hidden(file: &Followed, failures: &[(PathBuf, io::Error)]) -> bool {
    let is_in = |folder: &Path| file.path.starts_with(folder.strip_prefix(".").unwrap_or(folder));
    matches!(file.look(), Sight::Same | Sight::Unknown)
        || failures.iter().any(|(path, error)| !is_missing(error) && is_in(path))
}

/// A followed file is nowhere any more.
fn miss(file: &mut Followed, now: Timestamp, label: &Label) {
    if file.gone_since.is_none() {
        let (inode, path) = (file.identity().inode(), file.path.display());
        tracing::info!("{label} inode={inode} file={path} was renamed or deleted");
        file.gone_since = Some(now);
    }
}
