//! One a lane: gives verdicts, and starts afresh after a trap, or when it is told to.

use flb_event::{Chunk, ChunkBuilder, Event, Tag};

use crate::abi::{Answers, Asker, One};
use crate::{FilterError, FilterModule, LoadError};

/// A filter with memory of its own. State that the guest keeps lives until a call fails or the guest is recycled.
pub struct FilterInstance {
    module: FilterModule,
    asker: Asker,
}

impl std::fmt::Debug for FilterInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterInstance").field("module", &self.module).finish_non_exhaustive()
    }
}

impl FilterModule {
    /// Starts an instance: memory of its own, start function and constructors run.
    pub fn instantiate(&self) -> Result<FilterInstance, LoadError> {
        let asker = Asker::start(self)?;
        Ok(FilterInstance { module: self.clone(), asker })
    }
}

impl FilterInstance {
    /// The module that this is an instance of.
    pub fn module(&self) -> &FilterModule {
        &self.module
    }

    /// Tells the time, in nanoseconds since 1970, before a batch. Guests of the batch ABI are told it.
    pub fn set_clock(&mut self, now: u64) {
        self.asker.set_clock(now);
    }

    /// Asks the filter about a batch, and hands over what becomes of each record, in their order. What a failure costs is its
    /// own record: the next one finds another guest where that is necessary.
    pub fn filter(&mut self, batch: &Chunk, answers: &mut impl Answers) {
        self.asker.filter(batch, answers);
    }

    /// Asks the filter about one record. The bodies that come of it; none if it is dropped.
    pub fn ask(&mut self, tag: &Tag, event: Event<'_>) -> Result<Vec<Vec<u8>>, FilterError> {
        let mut batch = ChunkBuilder::new(tag.clone());
        batch.push(event)?;
        let mut answer = One::new(event.body);
        self.filter(&batch.build(), &mut answer);
        answer.answer
    }

    /// Bytes of memory that the guest has taken so far; 0 after a call that ended it.
    pub fn memory_size(&self) -> u64 {
        self.asker.memory_size()
    }

    /// Whether the last answer was JSON without its NUL: understood here, but other agents read on.
    pub fn answer_was_unterminated(&self) -> bool {
        self.asker.was_unterminated()
    }

    /// How often a sound guest was replaced, as [`FilterOptions::recycle`](crate::FilterOptions) says.
    pub fn recycled(&self) -> u64 {
        self.asker.recycled()
    }

    /// A file that the guest asked for and that the sandbox does not grant, told once: its path, or nothing where only
    /// that is known.
    pub fn denied(&mut self) -> Option<String> {
        self.asker.denied()
    }
}
