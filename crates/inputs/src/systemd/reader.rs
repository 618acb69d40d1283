//! Reads the journal, on a thread of its own: the library wants every call to come from the same one. What it makes is taken
//! a batch at a time, so it reads no further while nobody takes any.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp};
use tokio::sync::mpsc::Sender;

use super::library::{Journal, Library};
use super::record::{Fields, Names};
use crate::shared::clock;

/// The field that says which unit an entry is of.
const UNIT: &std::ffi::CStr = c"_SYSTEMD_UNIT";
/// The unit of entries that are of none.
const UNKNOWN: &str = "unknown";
/// A batch of so many bytes is enough.
const BATCH: usize = 1 << 20;
/// Longest field, if it is compressed: what expands to more is cut.
const LONGEST_FIELD: usize = 16 << 20;
/// How soon the thread sees that nobody takes its batches any more.
const LOOK: Duration = Duration::from_millis(200);

/// What to read, and what to make of it.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The folder with the files; without, the machine's own journal.
    pub(super) folder: Option<PathBuf>,
    /// `NAME=value`s that entries must have.
    pub(super) filters: Vec<String>,
    /// Whether they must have all of them, and not one.
    pub(super) all_filters: bool,
    /// A `*` in it stands for the unit.
    pub(super) tag: Tag,
    pub(super) names: Names,
    pub(super) max_fields: usize,
    pub(super) max_entries: usize,
    /// Without a cursor: only what comes from now on.
    pub(super) from_tail: bool,
}

/// The records of some entries.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) chunks: Vec<Chunk>,
    /// The last entry of them.
    pub(super) cursor: String,
    /// Fields that could not be read.
    pub(super) broken: u64,
    /// Entries of which no record can be.
    pub(super) lost: u64,
}

impl Settings {
    /// Opens the journal. `what` failed is said before why.
    pub(super) fn open(&self, library: Library) -> Result<Journal, (String, io::Error)> {
        let mut journal = Journal::open(library, self.folder.as_deref())
            .map_err(|error| ("the journal cannot be opened".to_owned(), error))?;
        for filter in &self.filters {
            let refused = |error| (format!("systemd_filter '{filter}'"), error);
            journal.add_match(filter).map_err(refused)?;
            let joined = if self.all_filters { journal.add_and() } else { journal.add_or() };
            joined.map_err(refused)?;
        }
        let threshold = journal.set_longest_field(LONGEST_FIELD);
        threshold.map_err(|error| ("the longest field cannot be set".to_owned(), error))?;
        Ok(journal)
    }

    /// The tag of a unit's entries.
    fn tag(&self, unit: &str) -> Tag {
        let Some((before, behind)) = self.tag.as_str().split_once('*') else {
            return self.tag.clone();
        };
        // A unit has 255 bytes at most; whoever forges a longer one gets the tag as it is.
        Tag::new(&format!("{before}{unit}{behind}")).unwrap_or_else(|_| self.tag.clone())
    }
}

/// Reads on behind `cursor` until nobody takes the batches any more.
pub(super) fn read(
    settings: &Settings,
    library: Library,
    cursor: Option<&str>,
    batches: &Sender<Batch>,
) -> io::Result<()> {
    let journal = settings
        .open(library)
        .map_err(|(what, error)| io::Error::new(error.kind(), format!("{what}: {error}")))?;
    let fields = Fields::new(settings.names);
    let mut reader = Reader { settings, journal, fields, is_at_next: false };
    if let Some(start) = reader.seek(cursor)? {
        let first = Batch { chunks: Vec::new(), cursor: start, broken: 0, lost: 0 };
        if batches.blocking_send(first).is_err() {
            return Ok(());
        }
    }
    while !batches.is_closed() {
        match reader.batch()? {
            // That nobody takes it is seen above.
            Some(batch) => drop(batches.blocking_send(batch)),
            None => reader.journal.wait(LOOK)?,
        }
    }
    Ok(())
}

struct Reader<'s> {
    settings: &'s Settings,
    journal: Journal,
    fields: Fields,
    /// The journal is at an entry already that is to be read next.
    is_at_next: bool,
}

impl Reader<'_> {
    /// Goes to where reading begins. Where that is behind the last entry, that one's cursor.
    fn seek(&mut self, cursor: Option<&str>) -> io::Result<Option<String>> {
        match cursor {
            Some(cursor) => self.seek_behind(cursor).map(|()| None),
            None if self.settings.from_tail => self.seek_tail(),
            None => self.journal.seek_head().map(|()| None),
        }
    }

    /// The entry itself is passed over. If it is gone, the one that is there in its place is not.
    fn seek_behind(&mut self, cursor: &str) -> io::Result<()> {
        self.journal.seek_cursor(cursor)?;
        self.is_at_next = self.journal.next()? && !self.journal.is_at(cursor)?;
        Ok(())
    }

    /// By the last entry's cursor: the end itself is forgotten by the library when files come.
    fn seek_tail(&mut self) -> io::Result<Option<String>> {
        self.journal.seek_tail()?;
        if !self.journal.previous()? {
            self.journal.seek_head()?;
            return Ok(None);
        }
        let cursor = self.journal.cursor()?;
        self.seek_behind(&cursor)?;
        Ok(Some(cursor))
    }

    /// The records of the next entries, as many as make a batch; `None` if there are none yet.
    fn batch(&mut self) -> io::Result<Option<Batch>> {
        let mut builders = BTreeMap::<Tag, ChunkBuilder>::new();
        let (mut entries, mut size, mut broken, mut lost) = (0, 0, 0, 0);
        while entries < self.settings.max_entries && size < BATCH {
            if !std::mem::take(&mut self.is_at_next) && !self.journal.next()? {
                break;
            }
            entries += 1;
            // An entry that cannot be read is gone, as with a file that was removed meanwhile.
            let Ok((tag, time)) = self.head() else {
                lost += 1;
                continue;
            };
            broken += self.take_fields();
            let builder =
                builders.entry(tag).or_insert_with_key(|tag| ChunkBuilder::new(tag.clone()));
            let before = builder.size();
            let pushed = builder.push_with(time, Event::NO_METADATA, |out| {
                self.fields.write(out);
                Ok::<_, RecordTooLarge>(())
            });
            size += builder.size() - before;
            lost += u64::from(pushed.is_err());
        }
        if entries == 0 {
            return Ok(None);
        }
        let chunks = builders.into_values().map(ChunkBuilder::build);
        let chunks = chunks.filter(|chunk| !chunk.is_empty()).collect();
        Ok(Some(Batch { chunks, cursor: self.journal.cursor()?, broken, lost }))
    }

    /// The tag and the time of this entry.
    fn head(&mut self) -> io::Result<(Tag, Timestamp)> {
        let tag = self.tag();
        // A time that no record can have is the last one that one can.
        let nanos = self.journal.micros()?.saturating_mul(1000);
        Ok((tag, clock::timestamp(nanos)))
    }

    /// The tag, with the unit of this entry if it asks for it.
    fn tag(&mut self) -> Tag {
        if !self.settings.tag.as_str().contains('*') {
            return self.settings.tag.clone();
        }
        // Where it cannot be read it is as good as none.
        let field = self.journal.field(UNIT).ok().flatten();
        let unit = field.and_then(|field| field.get(UNIT.count_bytes() + 1..));
        self.settings.tag(&unit.map_or_else(|| UNKNOWN.into(), String::from_utf8_lossy))
    }

    /// Takes this entry's fields; how many could not be read.
    fn take_fields(&mut self) -> u64 {
        self.fields.clear();
        self.journal.restart_fields();
        let (mut taken, mut broken) = (0, 0);
        while taken < self.settings.max_fields {
            match self.journal.next_field() {
                Ok(Some(field)) if self.fields.push(field) => taken += 1,
                Ok(Some(_)) => broken += 1,
                Ok(None) => break,
                // The library does not get past it.
                Err(_) => return broken + 1,
            }
        }
        broken
    }
}
