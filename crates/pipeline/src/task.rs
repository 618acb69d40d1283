//! A task: one chunk on its way to all outputs that match its tag, shared by them. It is over, and its memory free, when
//! the last of them has settled its fate.

use std::fmt;
use std::sync::Arc;

use flb_event::{Chunk, Tag, Timestamp};

use crate::buffer::Held;
use crate::counters::InputRow;

/// A chunk's name in log lines: process and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkName {
    /// When the chunk was begun.
    pub(crate) created: Timestamp,
    /// Which process began it.
    pub(crate) process: u32,
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timestamp { sec, nsec } = self.created;
        write!(f, "{}-{sec}.{nsec:09}.flb", self.process)
    }
}

/// One chunk and what is known about it.
#[derive(Debug)]
pub(crate) struct Task {
    /// Counts the chunks of the whole pipeline, in the order in which they were closed.
    pub(crate) number: u64,
    pub(crate) name: ChunkName,
    pub(crate) from: Arc<InputRow>,
    chunk: Chunk,
    _held: Held,
}

impl Task {
    pub(crate) fn new(
        number: u64,
        name: ChunkName,
        from: Arc<InputRow>,
        full: (Chunk, Held),
    ) -> Self {
        let (chunk, held) = full;
        from.chunks_busy.add(1);
        from.busy_bytes.add(chunk.bytes().len());
        Self { number, name, from, chunk, _held: held }
    }

    pub(crate) fn tag(&self) -> &Tag {
        self.chunk.tag()
    }

    /// Number of records.
    pub(crate) fn records(&self) -> usize {
        self.chunk.len()
    }

    /// Size of the records.
    pub(crate) fn bytes(&self) -> usize {
        self.chunk.bytes().len()
    }

    /// The records.
    pub(crate) fn chunk(&self) -> &Chunk {
        &self.chunk
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.from.chunks.sub(1);
        self.from.chunks_busy.sub(1);
        self.from.busy_bytes.sub(self.bytes());
    }
}
