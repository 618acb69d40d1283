//! How much of an input's records is in memory. At its limit the input is paused: it hands nothing over until enough of
//! what it handed over has been delivered. So a slow output slows its inputs down, and nothing is lost.

use std::sync::Arc;

use tokio::sync::watch;

use super::ring::Ring;

/// The memory of one input.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// The input's, for the log.
    input: Arc<str>,
    /// Nothing means no limit.
    pub(crate) limit: Option<usize>,
    /// The waiting chunks, if at the limit the oldest give way and the input is not paused.
    pub(crate) ring: Option<Ring>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    used: usize,
    paused: bool,
}

impl Buffer {
    /// One whose input is paused at the limit.
    pub(crate) fn new(input: Arc<str>, limit: Option<usize>) -> Self {
        Self { input, limit, ring: None, state: watch::Sender::new(State::default()) }
    }

    /// One whose oldest chunks give way at the limit.
    pub(crate) fn ring(input: Arc<str>, limit: Option<usize>) -> Self {
        Self { ring: Some(Ring::default()), ..Self::new(input, limit) }
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

    fn add(&self, bytes: usize) {
        let name = &self.input;
        self.state.send_if_modified(|state| {
            state.used += bytes;
            if let Some(limit) = self.limit
                && self.ring.is_none()
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
    fn sub(&self, bytes: usize) {
        let name = &self.input;
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

    /// Drops the oldest chunks that may go, if they do, until the memory is below its limit.
    fn make_room(&self) {
        let (Some(ring), Some(limit)) = (&self.ring, self.limit) else { return };
        while self.used() >= limit
            && let Some(dropped) = ring.drop_oldest()
        {
            let total = ring.dropped_chunks.get();
            if total.is_power_of_two() {
                tracing::warn!(
                    parent: None,
                    "[input] {} drops its oldest chunk, {} records (mem buf overlimit, limit {limit}B; {total} chunks so far)",
                    self.input,
                    dropped.records()
                );
            }
        }
    }
}

/// Bytes of an input's records that are in memory until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    buffer: Arc<Buffer>,
    bytes: usize,
}

impl Held {
    /// Counts `bytes`.
    pub(crate) fn new(buffer: &Arc<Buffer>, bytes: usize) -> Self {
        buffer.add(bytes);
        buffer.make_room();
        Self { buffer: Arc::clone(buffer), bytes }
    }

    /// Filters made the records larger or smaller.
    pub(crate) fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.buffer.add(bytes - self.bytes);
        } else {
            self.buffer.sub(self.bytes - bytes);
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
        self.buffer.sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(limit: Option<usize>) -> Arc<Buffer> {
        Arc::new(Buffer::new("in.0".into(), limit))
    }

    async fn waits(buffer: &Buffer) -> bool {
        let moment = std::time::Duration::from_millis(10);
        tokio::time::timeout(moment, buffer.room()).await.is_err()
    }

    #[tokio::test]
    async fn an_input_is_paused_at_its_limit_and_resumes_below() {
        let buffer = buffer(Some(100));
        let mut first = Held::new(&buffer, 60);
        assert!(!waits(&buffer).await);
        let second = Held::new(&buffer, 40);
        assert!(buffer.is_paused() && waits(&buffer).await);
        first.resize(61);
        first.merge(second);
        assert_eq!(buffer.used(), 101);
        first.resize(99);
        assert!(!buffer.is_paused() && !waits(&buffer).await);
        drop(first);
        assert_eq!(buffer.used(), 0);
    }

    #[tokio::test]
    async fn without_a_limit_nothing_is_paused() {
        let buffer = buffer(None);
        let _held = Held::new(&buffer, usize::MAX / 2);
        assert!(!waits(&buffer).await);
    }
}
