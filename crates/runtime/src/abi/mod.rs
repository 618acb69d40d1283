//! How a filter is asked about a batch of records. What the module exports decides: each way to ask is one file here, behind
//! [`Asker`], and [`Abi`] says by a function's type which one it is.

mod answer;
mod answers;
mod arguments;
mod batch;
mod check;
mod record;
mod signature;

use flb_event::Chunk;

use crate::{FilterModule, LoadError};

pub(crate) use answers::One;
pub use answers::{Answers, Part};
pub use batch::MOST_RECORDS;
pub(crate) use check::check;
#[cfg(test)]
pub(crate) use record::Entry;
pub(crate) use signature::PARAMETERS;
pub use signature::{Abi, Signature};

/// Asks the guests of one module about batches, as its function wants to be asked.
pub(crate) enum Asker {
    /// Once a record, which is copied in and whose answer is copied out.
    Record(record::Asker),
    /// Once for many records.
    Batch(batch::Asker),
}

impl Asker {
    /// Starts the first guest.
    pub(crate) fn start(module: &FilterModule) -> Result<Self, LoadError> {
        match module.abi() {
            Abi::One | Abi::Two => record::Asker::start(module).map(Self::Record),
            Abi::Batch => batch::Asker::start(module).map(Self::Batch),
        }
    }

    /// Tells the time, in nanoseconds since 1970, for guests that are told it with their batches.
    pub(crate) fn set_clock(&mut self, now: u64) {
        match self {
            Self::Record(_) => {}
            Self::Batch(asker) => asker.now = now,
        }
    }

    /// Asks about all records of a batch, in their order.
    pub(crate) fn filter(&mut self, batch: &Chunk, answers: &mut impl Answers) {
        match self {
            Self::Record(asker) => asker.filter(batch, answers),
            Self::Batch(asker) => asker.filter(batch, answers),
        }
    }

    /// Bytes of memory that the guest has taken so far; 0 after a call that ended it.
    pub(crate) fn memory_size(&self) -> u64 {
        match self {
            Self::Record(asker) => asker.guests.memory_size(),
            Self::Batch(asker) => asker.guests.memory_size(),
        }
    }

    /// How often a sound guest was replaced.
    pub(crate) fn recycled(&self) -> u64 {
        match self {
            Self::Record(asker) => asker.guests.recycled(),
            Self::Batch(asker) => asker.guests.recycled(),
        }
    }

    /// A file that a guest asked for and that the sandbox does not grant; told once.
    pub(crate) fn denied(&mut self) -> Option<String> {
        match self {
            Self::Record(asker) => asker.guests.denied(),
            Self::Batch(asker) => asker.guests.denied(),
        }
    }

    /// Whether the last answer was JSON without its NUL.
    pub(crate) fn was_unterminated(&self) -> bool {
        match self {
            Self::Record(asker) => asker.was_unterminated(),
            Self::Batch(_) => false,
        }
    }
}
