//! A task: one chunk on its way to all outputs that match its tag, shared by them. It is over, and its memory free, when
//! the last of them has settled its fate. A stored one need not be in memory meanwhile.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flb_event::{Chunk, Tag, Timestamp};
use flb_plugin::is_exhausted;

use crate::books::InputRow;
use crate::storage::{ChunkName, Held, Slot, Slots, StoredFile, Waiting};

/// A chunk that takes no more records.
#[derive(Debug)]
pub(crate) struct Full {
    pub(crate) name: ChunkName,
    pub(crate) chunk: Chunk,
    pub(crate) held: Held,
    /// Where it is stored.
    pub(crate) file: Option<StoredFile>,
    /// Whether it may stay in memory if it is stored.
    pub(crate) is_up: bool,
}

/// One chunk and what is known about it.
#[derive(Debug)]
pub(crate) struct Task {
    /// Counts the chunks of the whole pipeline, in the order in which they were closed.
    pub(crate) number: u64,
    pub(crate) name: ChunkName,
    pub(crate) from: Arc<InputRow>,
    tag: Tag,
    records: usize,
    bytes: usize,
    content: Mutex<Content>,
    file: Option<Arc<StoredFile>>,
    /// Outputs that have not settled its fate.
    open: AtomicUsize,
    /// Outputs that are delivering it.
    trying: AtomicUsize,
}

#[derive(Debug)]
enum Content {
    /// In memory.
    Up { chunk: Chunk, _held: Held, _slot: Option<Slot> },
    /// In its file only.
    Down,
    /// Nowhere: it gave way to newer ones.
    Gone,
}

/// Why a chunk's records cannot be had.
#[derive(Debug)]
pub(crate) enum NoChunk {
    /// It gave way to newer ones.
    Gone,
    /// Its file cannot be read, for this reason.
    Unreadable(String),
    /// Its file cannot be opened now, for want of descriptors or memory.
    NoRoom(String),
}

impl Task {
    /// A chunk that goes to so many outputs. A stored one stays in memory if there is a place for it.
    pub(crate) fn new(
        number: u64,
        from: &Arc<InputRow>,
        full: Full,
        outputs: usize,
        slots: Option<&Slots>,
    ) -> Self {
        let Full { name, chunk, held, file, is_up } = full;
        let (tag, records, bytes) = (chunk.tag().clone(), chunk.len(), chunk.bytes().len());
        from.chunks_busy.add(1);
        from.busy_bytes.add(bytes);
        let slot = slots.filter(|_| file.is_some() && is_up).and_then(Slots::take);
        let content = if file.is_some() && slot.is_none() {
            from.chunks_down.add(1);
            Content::Down
        } else {
            Content::Up { chunk, _held: held, _slot: slot }
        };
        Self {
            number,
            name,
            from: Arc::clone(from),
            tag,
            records,
            bytes,
            content: Mutex::new(content),
            file: file.map(Arc::new),
            open: AtomicUsize::new(outputs),
            trying: AtomicUsize::new(0),
        }
    }

    pub(crate) fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Number of records.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Size of the records.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long ago it was begun. A clock that was set back makes it no younger than it can be.
    pub(crate) fn age(&self, now: Timestamp) -> Duration {
        let since_epoch = |time: Timestamp| {
            Duration::new(u64::from(time.sec), 0) + Duration::from_nanos(u64::from(time.nsec))
        };
        since_epoch(now).saturating_sub(since_epoch(self.name.created))
    }

    /// Whether the process may end before the chunk is delivered.
    pub(crate) fn is_stored(&self) -> bool {
        self.file.is_some()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records, from memory or from the file.
    pub(crate) async fn chunk(&self) -> Result<Chunk, NoChunk> {
        if let Content::Up { chunk, .. } = &*self.content() {
            return Ok(chunk.clone());
        }
        let file = self.file.clone().ok_or(NoChunk::Gone)?;
        let records = self.records;
        let read = tokio::task::spawn_blocking(move || file.read(records)).await;
        let read = read.map_err(io::Error::other).and_then(|read| read);
        read.map_err(|error| match is_exhausted(&error) {
            true => NoChunk::NoRoom(error.to_string()),
            false => NoChunk::Unreadable(error.to_string()),
        })
    }

    /// Whether it gave way.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.content(), Content::Gone)
    }

    /// The records, if they are in memory alone.
    pub(crate) fn unstored(&self) -> Option<Chunk> {
        match &*self.content() {
            Content::Up { chunk, .. } if !self.is_stored() => Some(chunk.clone()),
            _ => None,
        }
    }

    /// The chunk waits: it need not be in memory if it is stored.
    pub(crate) fn rest(&self) {
        let mut content = self.content();
        if self.is_stored() && matches!(*content, Content::Up { .. }) {
            *content = Content::Down;
            self.from.chunks_down.add(1);
        }
    }

    /// An output needs the chunk no more.
    pub(crate) fn settle(&self, output: &str) {
        let is_last = self.open.fetch_sub(1, Ordering::AcqRel) == 1;
        match &self.file {
            Some(file) if is_last => file.delete(),
            Some(file) => file.settle(output),
            None => {}
        }
    }
}

/// An output delivers the chunk while this lives, and the chunk does not give way meanwhile.
pub(crate) struct Delivering {
    pub(crate) task: Arc<Task>,
}

impl Delivering {
    pub(crate) fn begin(task: Arc<Task>) -> Self {
        // Behind the lock, so that it does not give way in the same moment.
        let content = task.content();
        task.trying.fetch_add(1, Ordering::Relaxed);
        drop(content);
        Self { task }
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        self.task.trying.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waiting for Task {
    fn give_way(&self) -> bool {
        let mut content = self.content();
        let may_go =
            self.trying.load(Ordering::Relaxed) == 0 && matches!(*content, Content::Up { .. });
        if may_go && !self.is_stored() {
            *content = Content::Gone;
            return true;
        }
        false
    }

    fn records(&self) -> usize {
        self.records
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.from.chunks.sub(1);
        self.from.chunks_busy.sub(1);
        self.from.busy_bytes.sub(self.bytes);
        if matches!(*self.content(), Content::Down) {
            self.from.chunks_down.sub(1);
        }
    }
}
