//! Inputs: where records come from.

use std::time::Duration;

use flb_event::{Chunk, Timestamp};

use crate::{BoxFuture, InputError};

/// The pipeline no longer takes records: the lane behind this input is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline takes no more records")]
pub struct Closed;

/// How an input ended of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has nothing more to say; the agent runs on.
    Quiet,
    /// It has nothing more to say, and the agent shall drain and stop (end of stdin, `exit_on_eof`).
    /// It is to exit with `code`: 0, unless the input stands for another program that ended badly.
    StopAgent {
        /// The code that the process exits with.
        code: u8,
    },
}

/// Lines that were too long for a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LongLines {
    /// Those that are no records at all.
    pub skipped: u64,
    /// Those whose beginning is one.
    pub truncated: u64,
}

/// What the pipeline lends to an input.
pub trait Context: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// Hands a batch of records of one tag to the pipeline; waits while the pipeline is full. A batch accepted here is
    /// the pipeline's to keep: an input may then move its own position past it. With filesystem storage it is in a file by
    /// then, so an input that saves its position afterwards loses nothing when the process is killed.
    fn emit(&self, batch: Chunk) -> BoxFuture<'_, Result<(), Closed>>;

    /// Counts lines that were too long for a record.
    fn count_long_lines(&self, _lines: LongLines) {}

    /// Whether the input shall stop because another pipeline of this agent goes on: what it has begun may then be left to
    /// the input that takes its place.
    fn is_replaced(&self) -> bool {
        false
    }

    /// Completes when the input shall stop. An input waits for this beside its source, never while it emits, so that
    /// what was read is always handed over.
    fn stopped(&self) -> BoxFuture<'_, ()>;
}

/// A source of records.
pub trait Input: Send {
    /// Whether it will end with [`End::StopAgent`] when it has read everything. The agent stops when all such inputs have ended,
    /// so that none is kept from reading to its end.
    fn ends_agent(&self) -> bool {
        false
    }

    /// Runs until asked to stop, or until there is nothing more to read.
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a;
}
