//! Filters: plain functions from a batch of records to a batch of records.

use flb_event::{Chunk, Timestamp};

use crate::BuildError;

/// Why a filter could not decide about a record. The record's fate is then the filter's failure policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The guest trapped.
    Trap,
    /// The guest ran past its deadline.
    Deadline,
    /// The guest ran out of memory, or the record did not fit into it.
    Memory,
    /// The guest's answer could not be understood.
    BadOutput,
    /// The guest ended itself.
    Exit,
}

impl Failure {
    /// Every class, in the order of [`Tally::failed`].
    pub const ALL: [Failure; 5] =
        [Self::Trap, Self::Deadline, Self::Memory, Self::BadOutput, Self::Exit];

    /// The class's name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::BadOutput => "bad_output",
            Self::Exit => "exit",
        }
    }
}

/// What became of a batch's records. Every record that went in is counted in exactly one of `kept`, `replaced`,
/// `dropped` and `dropped_by_failure`; `failed` counts the failures by class, whatever their record's fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed as they were, those that failed and were kept included.
    pub kept: u64,
    /// Passed with a new body.
    pub replaced: u64,
    /// Removed by the filter on purpose.
    pub dropped: u64,
    /// Removed because the filter failed and the policy says so.
    pub dropped_by_failure: u64,
    /// Failures by class, in the order of [`Failure::ALL`].
    pub failed: [u64; Failure::ALL.len()],
}

impl Tally {
    /// All records of an untouched batch.
    pub fn untouched(records: usize) -> Self {
        Self { kept: records as u64, ..Self::default() }
    }

    /// Records that went in.
    pub fn records(&self) -> u64 {
        self.kept + self.replaced + self.dropped + self.dropped_by_failure
    }

    /// Failures of any class.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Counts one failure.
    pub fn fail(&mut self, class: Failure) {
        self.failed[class as usize] += 1;
    }

    /// Adds what another batch came to.
    pub fn add(&mut self, other: &Tally) {
        self.kept += other.kept;
        self.replaced += other.replaced;
        self.dropped += other.dropped;
        self.dropped_by_failure += other.dropped_by_failure;
        for (mine, others) in self.failed.iter_mut().zip(other.failed) {
            *mine += others;
        }
    }
}

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

    /// Another of the same filter, with state of its own, for another lane. Whatever is immutable is shared.
    fn fork(&self) -> Result<Box<dyn Filter>, BuildError>;
}
