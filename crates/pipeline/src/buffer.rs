//! How much of an input's records is in memory. At its limit the input is paused: it hands nothing over until enough of
//! what it handed over has been delivered. So a slow output slows its inputs down, and nothing is lost.

use std::sync::Arc;

use tokio::sync::watch;

use crate::counters::InputRow;

/// The limit of inputs that do not say one, in bytes.
pub(crate) const DEFAULT_LIMIT: usize = 64_000_000;

/// The memory of one input.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// Nothing means no limit.
    pub(crate) limit: Option<usize>,
    /// Whether the input is paused at the limit.
    pauses: bool,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    used: usize,
    paused: bool,
}

impl Buffer {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, pauses: true, state: watch::Sender::new(State::default()) }
    }

    /// One that only counts.
    pub(crate) fn counting(limit: Option<usize>) -> Self {
        Self { pauses: false, ..Self::new(limit) }
    }

    /// Bytes in memory.
    pub(crate) fn used(&self) -> usize {
        self.state.borrow().used
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state.borrow().paused
    }

    /// Waits while the input is paused.
    pub(crate) async fn room(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.state.subscribe().wait_for(|state| !state.paused).await;
    }

    fn add(&self, name: &str, bytes: usize) {
        self.state.send_if_modified(|state| {
            state.used += bytes;
            if let Some(limit) = self.limit
                && self.pauses
                && state.used >= limit
                && !state.paused
            {
                state.paused = true;
                let total = state.used;
                tracing::warn!(
                    parent: None,
                    "[input] {name} paused (mem buf overlimit - event of size {bytes}B exceeded limit {limit} to {total}B)"
                );
            }
            false
        });
    }

    /// Wakes those who wait for room when the input is no longer paused.
    fn sub(&self, name: &str, bytes: usize) {
        self.state.send_if_modified(|state| {
            state.used -= bytes;
            let Some(limit) = self.limit.filter(|limit| state.paused && state.used < *limit) else {
                return false;
            };
            state.paused = false;
            let used = state.used;
            tracing::info!(
                parent: None,
                "[input] {name} resume (mem buf overlimit - buf size {used}B now below limit {limit}B)"
            );
            true
        });
    }
}

/// Bytes of an input's records that are in memory until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    row: Arc<InputRow>,
    bytes: usize,
}

impl Held {
    /// Counts `bytes`.
    pub(crate) fn new(row: &Arc<InputRow>, bytes: usize) -> Self {
        row.buffer.add(&row.instance.name, bytes);
        if let Some(ring) = &row.ring {
            ring.make_room(row);
        }
        Self { row: Arc::clone(row), bytes }
    }

    /// Filters made the records larger or smaller.
    pub(crate) fn resize(&mut self, bytes: usize) {
        let name = &self.row.instance.name;
        if bytes > self.bytes {
            self.row.buffer.add(name, bytes - self.bytes);
        } else {
            self.row.buffer.sub(name, self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Takes over what `other`, of the same input, counts.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.row.buffer.sub(&self.row.instance.name, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{Instance, Role};

    fn row(limit: Option<usize>) -> Arc<InputRow> {
        let name = "in.0".into();
        let instance = Instance::new(Role::Input, "in", name);
        Arc::new(InputRow::new(instance, limit))
    }

    async fn waits(row: &InputRow) -> bool {
        let moment = std::time::Duration::from_millis(10);
        tokio::time::timeout(moment, row.buffer.room()).await.is_err()
    }

    #[tokio::test]
    async fn an_input_is_paused_at_its_limit_and_resumes_below() {
        let row = row(Some(100));
        let mut first = Held::new(&row, 60);
        assert!(!waits(&row).await);
        let second = Held::new(&row, 40);
        assert!(row.buffer.is_paused() && waits(&row).await);
        first.resize(61);
        first.merge(second);
        assert_eq!(row.buffer.used(), 101);
        first.resize(99);
        assert!(!row.buffer.is_paused() && !waits(&row).await);
        drop(first);
        assert_eq!(row.buffer.used(), 0);
    }

    #[tokio::test]
    async fn without_a_limit_nothing_is_paused() {
        let row = row(None);
        let _held = Held::new(&row, usize::MAX / 2);
        assert!(!waits(&row).await);
    }
}
