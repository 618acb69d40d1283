//! The input's life: search for files, read each one a bit, let go of those that are gone, wait, again.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flb_event::{ChunkBuilder, Timestamp};
use flb_plugin::{BoxFuture, Closed, Context, End, Input, InputError};

use super::file::{Followed, Sight};
use super::patterns::{Identity, Patterns};
use super::take::{Source, Taker};
use super::{Settings, tag};
use crate::inputs::clock;
use crate::inputs::records::LineRecords;
use crate::log::Label;

/// How often to look at each file.
const LOOK: Duration = Duration::from_millis(250);
/// How many bytes to read of one file before the next one has its turn.
const TURN: u64 = 8 * 1024 * 1024;

/// The input.
pub(super) struct Tail {
    settings: Settings,
    patterns: Patterns,
    files: Vec<Followed>,
    taker: Taker,
    buffer: Vec<u8>,
    /// Paths whose trouble is known and logged.
    unreadable: BTreeSet<PathBuf>,
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
    fn run<'a>(
        mut self: Box<Self>,
        context: &'a dyn Context,
    ) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        // A closed pipeline is a stop like another.
        Box::pin(async move { Ok(self.follow(context).await.unwrap_or(End::Quiet)) })
    }
}

impl Tail {
    /// Follows the files that `patterns` find.
    pub(super) fn new(settings: Settings, patterns: Patterns, records: LineRecords) -> Self {
        Self {
            patterns,
            files: Vec::new(),
            taker: Taker::new(records),
            buffer: vec![0; settings.read],
            unreadable: BTreeSet::new(),
            settings,
        }
    }

    async fn follow(&mut self, context: &dyn Context) -> Result<End, Closed> {
        let exit_on_eof = self.settings.exit_on_eof;
        let mut searched = context.now();
        self.search(searched, true);
        if exit_on_eof && self.files.is_empty() {
            tracing::error!("{} exit_on_eof, and there is no file to read", self.settings.label);
            return Ok(End::StopAgent);
        }
        loop {
            let now = context.now();
            // A clock that was set back must not put the search off.
            let is_due = clock::between(searched, now) >= self.settings.refresh || now < searched;
            if is_due || self.is_any_moved() {
                self.search(now, false);
                searched = now;
            }
            let mut is_more = false;
            for index in 0..self.files.len() {
                match self.read_turn(index, context).await? {
                    Turn::Stopped => return Ok(End::Quiet),
                    turn => is_more |= turn == Turn::More,
                }
            }
            self.let_go(context).await?;
            if exit_on_eof && !self.files.iter().any(|file| file.is_awaited) {
                self.finish_all(context).await?;
                return Ok(End::StopAgent);
            }
            let wait = if is_more { Duration::ZERO } else { LOOK.min(self.settings.refresh) };
            if clock::stopped_within(context, wait).await {
                return Ok(End::Quiet);
            }
        }
    }

    /// Whether a file was renamed or deleted since the last search, or a new one stands where a renamed one did.
    fn is_any_moved(&self) -> bool {
        self.files.iter().any(|file| match file.look() {
            Sight::Same => false,
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
        for (path, identity) in &found {
            names.entry(*identity).or_default().push(path);
        }
        let mut followed = BTreeSet::new();
        let mut vacated = BTreeSet::new();
        for file in &mut self.files {
            followed.insert(file.identity());
            vacated.insert(file.path.clone());
            let names = names.get(&file.identity()).map_or(&[][..], Vec::as_slice);
            find_again(file, names, now, &self.settings.label);
        }
        for (path, identity) in &found {
            if followed.contains(identity) {
                continue;
            }
            let from_head = match is_first {
                true => self.settings.first_from_head,
                // What replaces a file is new, wherever files are read from.
                false => self.settings.later_from_head || vacated.contains(path),
            };
            match self.open(path, from_head) {
                Ok(mut file) => {
                    file.is_awaited = is_first;
                    // It may be another file than the one that was found a moment ago.
                    if followed.insert(file.identity()) {
                        self.files.push(file);
                    }
                }
                Err(error) => failures.push((path.clone(), error)),
            }
        }
        self.report(failures);
    }

    fn open(&self, path: &Path, from_head: bool) -> io::Result<Followed> {
        let tag = tag::expand(&self.settings.tag, &path.to_string_lossy());
        let tag = tag.map_err(io::Error::other)?;
        let mut file = Followed::open(path, tag, from_head, self.settings.limit)?;
        if let Some(key) = &self.settings.path_key {
            file.name_path(key);
        }
        let inode = file.identity().inode();
        tracing::debug!("{} inode={inode} file={}", self.settings.label, path.display());
        Ok(file)
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
        let turn_ends = self.files[index].position().saturating_add(TURN);
        loop {
            let Some(batch) = self.read_once(index, context.now()) else { return Ok(Turn::AtEnd) };
            self.emit(batch, context).await?;
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
                None
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

    /// Lets go of the files that were renamed or deleted long enough ago. What they ended with is their last line.
    async fn let_go(&mut self, context: &dyn Context) -> Result<(), Closed> {
        let now = context.now();
        let mut index = 0;
        while let Some(file) = self.files.get(index) {
            let is_over = file
                .gone_since
                .is_some_and(|since| clock::between(since, now) >= self.settings.rotate_wait);
            if is_over && !file.is_behind() {
                self.finish(index, context).await?;
                let file = self.files.remove(index);
                tracing::debug!("{} file={} let go", self.settings.label, file.path.display());
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    async fn finish_all(&mut self, context: &dyn Context) -> Result<(), Closed> {
        for index in 0..self.files.len() {
            self.finish(index, context).await?;
        }
        Ok(())
    }

    /// Emits a last line that has no newline.
    async fn finish(&mut self, index: usize, context: &dyn Context) -> Result<(), Closed> {
        let Self { settings, files, taker, .. } = self;
        let batch = taker.take(settings, &mut files[index], Source::End, context.now());
        self.emit(batch, context).await
    }

    async fn emit(&mut self, batch: ChunkBuilder, context: &dyn Context) -> Result<(), Closed> {
        if batch.is_empty() {
            return Ok(());
        }
        context.emit(self.taker.finish(batch)).await
    }
}

/// Brings a followed file's name up to date. `names`: those it has now.
fn find_again(file: &mut Followed, names: &[&Path], now: Timestamp, label: &Label) {
    let inode = file.identity().inode();
    let Some(first) = names.first() else {
        if file.gone_since.is_none() {
            let path = file.path.display();
            tracing::info!("{label} inode={inode} file={path} was renamed or deleted");
            file.gone_since = Some(now);
        }
        return;
    };
    if !names.contains(&file.path.as_path()) {
        let (old, new) = (file.path.display(), first.display());
        tracing::info!("{label} inode={inode} handle rotation(): {old} => {new}");
        file.path = first.to_path_buf();
    }
    file.gone_since = None;
}
