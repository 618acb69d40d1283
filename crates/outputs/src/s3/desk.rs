//! What is on its way: to which object lines go, when it is closed, and what is to be done next for each.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use flb_event::Tag;
use flb_net::packing::Packing;
use tokio::time::Instant;

use super::key::{KeyFormat, Made};
use super::store::{About, Object, Part, Store};

/// The smallest part that another one may follow.
pub(super) const SMALLEST: u64 = 5 * 1024 * 1024;
/// The most parts of an object.
const MOST_PARTS: usize = 10_000;

/// How objects are made.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) key: KeyFormat,
    pub(super) packing: Packing,
    /// From how many bytes on lines are a part.
    pub(super) part: u64,
    /// From how many bytes on an object is closed.
    pub(super) object: u64,
    /// How many seconds after it was begun an object is closed.
    pub(super) timeout: i64,
    /// The most bytes that may wait on the disk.
    pub(super) limit: Option<u64>,
    pub(super) instance: String,
}

/// What is to be done for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Uploads that nobody knows are given up.
    Sweep,
    Put(Part),
    Begin,
    Part(String, Part),
    Complete(String),
}

/// An object with its number here.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) object: Object,
    /// When it is tried again, if it failed, and how often it did.
    pub(super) again: Option<Instant>,
    pub(super) failures: u32,
}

/// All objects of an output.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) plan: Plan,
    pub(super) store: Store,
    pub(super) entries: BTreeMap<u64, Entry>,
    /// The object that lines of a tag go to.
    open: HashMap<String, u64>,
    next: u64,
}

/// Why lines are not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeskError {
    #[error("store_dir_limit_size is reached, nothing more is taken until something is uploaded")]
    Full,
    #[error("{0}")]
    Disk(#[from] io::Error),
}

impl Desk {
    pub(super) fn new(plan: Plan, store: Store) -> Self {
        Self { plan, store, entries: BTreeMap::new(), open: HashMap::new(), next: 0 }
    }

    /// Takes lines of a tag, whose first is of this time. Whether there is something to be sent.
    pub(super) fn append(
        &mut self,
        tag: &Tag,
        lines: &[u8],
        time: u32,
        now: i64,
    ) -> Result<bool, DeskError> {
        let more = lines.len() as u64;
        if self.plan.limit.is_some_and(|limit| self.waiting() + more > limit) {
            return Err(DeskError::Full);
        }
        let at = match self.open.get(tag.as_str()) {
            Some(at) => *at,
            None => self.begin(tag, time, now)?,
        };
        let Some(entry) = self.entries.get_mut(&at) else { return Ok(false) };
        entry.object.append(lines)?;
        if entry.object.lines < self.plan.part {
            return Ok(false);
        }
        self.seal(at)?;
        Ok(true)
    }

    /// The bytes that wait on the disk.
    pub(super) fn waiting(&self) -> u64 {
        self.entries.values().map(|entry| entry.object.bytes()).sum()
    }

    fn begin(&mut self, tag: &Tag, time: u32, now: i64) -> io::Result<u64> {
        let index = match self.plan.key.has_index() {
            true => self.store.next_index(&self.plan.instance)?,
            false => 0,
        };
        let letters = [letters()?, letters()?];
        let key = self.plan.key.key(&Made { tag, time, index, letters: &letters[0] });
        let about = About {
            tag: tag.as_str().to_owned(),
            suffix: self.plan.key.suffix(&key, &letters[1]),
            key,
            begun: now,
            encoding: self.plan.packing.name().map(str::to_owned),
        };
        let object = self.store.begin(about, self.next)?;
        Ok(self.add(object))
    }

    fn add(&mut self, object: Object) -> u64 {
        let at = self.next;
        self.next += 1;
        if !object.state.is_closed {
            self.open.insert(object.about.tag.clone(), at);
        }
        self.entries.insert(at, Entry { object, again: None, failures: 0 });
        at
    }

    /// Makes a part of an object's lines, and closes it if it is large enough, or the part too small for another one to follow.
    fn seal(&mut self, at: u64) -> io::Result<()> {
        let Some(Entry { object, .. }) = self.entries.get_mut(&at) else { return Ok(()) };
        object.seal()?;
        let is_small = object.parts.last().is_some_and(|part| part.bytes < SMALLEST);
        if is_small || object.size() >= self.plan.object || object.parts.len() >= MOST_PARTS {
            self.close(at)?;
        }
        Ok(())
    }

    /// Nothing is added to an object any more.
    fn close(&mut self, at: u64) -> io::Result<()> {
        let Some(Entry { object, .. }) = self.entries.get_mut(&at) else { return Ok(()) };
        object.close()?;
        let tag = &object.about.tag;
        if self.open.get(tag) == Some(&at) {
            self.open.remove(tag);
        }
        // Nothing came of what was begun.
        if object.parts.is_empty() { self.done(at) } else { Ok(()) }
    }

    /// Closes the objects that are old enough, or all.
    pub(super) fn close_due(&mut self, now: i64, all: bool) -> io::Result<()> {
        let timeout = self.plan.timeout;
        let is_due = |entry: &Entry| all || now >= entry.object.about.begun + timeout;
        let open = self.entries.iter().filter(|(_, entry)| !entry.object.state.is_closed);
        let due: Vec<u64> = open.filter(|(_, entry)| is_due(entry)).map(|(at, _)| *at).collect();
        due.into_iter().try_for_each(|at| self.close(at))
    }

    /// In how many seconds the next object is old enough.
    pub(super) fn next_due(&self, now: i64) -> Option<u64> {
        let open = self.entries.values().filter(|entry| !entry.object.state.is_closed);
        let due = open.map(|entry| entry.object.about.begun + self.plan.timeout - now).min();
        due.map(|seconds| u64::try_from(seconds).unwrap_or(0))
    }

    /// Takes over objects that are nobody's. One goes on for each tag; others, and those that were made otherwise, are closed.
    pub(super) fn adopt(&mut self, told: &dyn Fn(&Path, &io::Error)) -> io::Result<()> {
        for mut object in self.store.adopt(told) {
            let is_same = object.about.encoding.as_deref() == self.plan.packing.name();
            let goes_on = is_same && !self.open.contains_key(&object.about.tag);
            if !goes_on && !object.state.is_closed {
                object.close()?;
            }
            self.add(object);
        }
        Ok(())
    }

    /// What is to be done for an object.
    pub(super) fn step(&self, at: u64) -> Option<Step> {
        let object = &self.entries.get(&at)?.object;
        let state = &object.state;
        match (&state.upload, object.unsent()) {
            (Some(upload), Some(part)) => Some(Step::Part(upload.clone(), part)),
            (Some(upload), None) if state.is_closed => Some(Step::Complete(upload.clone())),
            (None, Some(_)) if state.may_have_strays => Some(Step::Sweep),
            (None, Some(part)) if state.is_closed && object.parts.len() == 1 => {
                Some(Step::Put(part))
            }
            (None, Some(_)) => Some(Step::Begin),
            (Some(_), None) | (None, None) => None,
        }
    }

    /// An object is done.
    pub(super) fn done(&mut self, at: u64) -> io::Result<()> {
        match self.entries.remove(&at) {
            Some(entry) => entry.object.remove(),
            None => Ok(()),
        }
    }
}

/// Eight letters that nobody else has.
fn letters() -> io::Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).iter().collect())
}
