//! An input's waiting chunks as a ring (`storage.type memrb`): at its limit the oldest give way to new ones, instead of the input being
//! paused. What outputs are delivering just then stays.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::counters::{Count, InputRow};
use crate::task::Task;

/// The chunks of one input that outputs have not settled, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    chunks: Mutex<VecDeque<Weak<Task>>>,
    /// What gave way.
    pub(crate) dropped_chunks: Count,
    pub(crate) dropped_bytes: Count,
}

impl Ring {
    /// Adds the newest chunk.
    pub(crate) fn push(&self, task: &Arc<Task>) {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.retain(|task| task.strong_count() > 0);
        chunks.push_back(Arc::downgrade(task));
    }

    /// Drops the oldest chunks that may go, until the input's memory is below its limit.
    pub(crate) fn make_room(&self, row: &InputRow) {
        let Some(limit) = row.buffer.limit else { return };
        while row.buffer.used() >= limit
            && let Some(task) = self.drop_oldest()
        {
            self.dropped_chunks.add(1);
            self.dropped_bytes.add(task.bytes());
            let total = self.dropped_chunks.get();
            if total.is_power_of_two() {
                tracing::warn!(
                    parent: None,
                    "[input] {} drops its oldest chunk, {} records (mem buf overlimit, limit {limit}B; {total} chunks so far)",
                    row.instance.name,
                    task.records()
                );
            }
        }
    }

    fn drop_oldest(&self) -> Option<Arc<Task>> {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let at =
            chunks.iter().position(|task| task.upgrade().is_some_and(|task| task.give_way()))?;
        chunks.remove(at)?.upgrade()
    }
}
