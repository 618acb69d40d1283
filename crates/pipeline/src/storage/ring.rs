//! An input's waiting chunks as a ring (`storage.type memrb`): at its limit the oldest give way to new ones, instead of the input being
//! paused. What outputs are delivering just then stays.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::count::Count;

/// What a ring asks of a chunk.
pub(crate) trait Waiting: Debug + Send + Sync {
    /// Gives way to newer chunks, if nobody is delivering it. Whether it does.
    fn give_way(&self) -> bool;

    /// Number of records.
    fn records(&self) -> usize;

    /// Size of the records.
    fn bytes(&self) -> usize;
}

/// The chunks of one input that outputs have not settled, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    chunks: Mutex<Line>,
    /// What gave way.
    pub(crate) dropped_chunks: Count,
    pub(crate) dropped_bytes: Count,
}

#[derive(Debug, Default)]
struct Line {
    chunks: VecDeque<Weak<dyn Waiting>>,
    /// At so many, those that are settled are looked for: when they may be half of all, so that each is looked at twice or so.
    many: usize,
}

impl Line {
    fn push(&mut self, chunk: Weak<dyn Waiting>) {
        if self.chunks.len() >= self.many {
            self.chunks.retain(|chunk| chunk.strong_count() > 0);
            self.many = 2 * self.chunks.len() + FEW;
        }
        self.chunks.push_back(chunk);
    }
}

/// So many settled chunks may stay in a line.
const FEW: usize = 16;

impl Ring {
    /// Adds the newest chunk.
    pub(crate) fn push(&self, chunk: Weak<dyn Waiting>) {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner).push(chunk);
    }

    /// Drops the oldest chunk that may go, and counts it.
    pub(crate) fn drop_oldest(&self) -> Option<Arc<dyn Waiting>> {
        let chunks = &mut self.chunks.lock().unwrap_or_else(PoisonError::into_inner).chunks;
        let at = chunks
            .iter()
            .position(|chunk| chunk.upgrade().is_some_and(|chunk| chunk.give_way()))?;
        let dropped = chunks.remove(at)?.upgrade()?;
        self.dropped_chunks.add(1);
        self.dropped_bytes.add(dropped.bytes());
        Some(dropped)
    }
}
