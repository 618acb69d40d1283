//! How many stored chunks are in memory as well. A chunk over `storage.max_chunks_up` is read from its file when its turn
//! comes.

use std::sync::Arc;

use tokio::sync::watch;

/// The places in memory.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    max: usize,
    used: Arc<watch::Sender<usize>>,
}

/// One place in memory, taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Slots);

impl Slots {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, used: Arc::new(watch::Sender::new(0)) }
    }

    /// Takes a place if there is one.
    pub(crate) fn take(&self) -> Option<Slot> {
        let mut taken = false;
        self.used.send_if_modified(|used| {
            taken = *used < self.max;
            *used += usize::from(taken);
            false
        });
        taken.then(|| Slot(self.clone()))
    }

    /// Whether no place is left.
    pub(crate) fn is_full(&self) -> bool {
        *self.used.borrow() >= self.max
    }

    /// Waits until a place is free.
    pub(crate) async fn room(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.used.subscribe().wait_for(|used| *used < self.max).await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.send_modify(|used| *used -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_places_than_said() {
        let slots = Slots::new(2);
        let first = slots.take();
        let second = slots.take();
        assert!(first.is_some() && second.is_some() && slots.take().is_none() && slots.is_full());
        drop(first);
        assert!(!slots.is_full() && slots.take().is_some());
    }
}
