//! Filters: plain functions from a batch of records to a batch of records.

use flb_event::{Chunk, Timestamp};

use crate::{BuildError, Tally};

/// A filter's answer to one batch.
#[derive(Debug, Clone)]
pub struct Filtered {
    /// The records that go on; the same chunk when nothing changed.
    pub chunk: Chunk,
    /// What became of the records that came in.
    pub tally: Tally,
}

impl Filtered {
    /// The batch as it was.
    pub fn untouched(chunk: Chunk) -> Self {
        let tally = Tally::untouched(chunk.len());
        Self { chunk, tally }
    }
}

/// Decides about records, a batch at a time. Runs on its lane's thread and may keep state between batches.
pub trait Filter: Send {
    /// Tells the time, before each batch. Few filters want to know.
    fn clock(&mut self, _now: Timestamp) {}

    /// Filters one batch.
    fn filter(&mut self, batch: Chunk) -> Filtered;

    /// Batches that the last call of [`Filter::filter`] made beside its answer, whatever their tags. They pass all filters
    /// but this one. Few filters make any.
    fn emitted(&mut self) -> Vec<Chunk> {
        Vec::new()
    }

    /// Records of earlier batches that waited for others and do so no longer: asked for now and then, and at the end, when
    /// nothing can wait any more. They pass the filters behind this one. Few filters have any wait.
    fn released(&mut self, _now: Timestamp, _is_end: bool) -> Vec<Filtered> {
        Vec::new()
    }

    /// Bytes of memory that the filter's guest has now; `None` if it has none. Few filters have one.
    fn guest_memory(&mut self) -> Option<u64> {
        None
    }

    /// The digest of the module that the filter runs now; `None` if it runs none. Few filters run one.
    fn module(&self) -> Option<[u8; 32]> {
        None
    }

    /// Another of the same filter, with state of its own, for another lane. Whatever is immutable is shared.
    fn fork(&self) -> Result<Box<dyn Filter>, BuildError>;
}
