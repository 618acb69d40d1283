//! The watchdog's sleep, from which whoever runs a guest wakes it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

/// Whether the watchdog sleeps, or is about to.
#[derive(Debug, Default)]
pub(super) struct Sleep {
    pub(super) asleep: AtomicBool,
    /// The watchdog's.
    pub(super) thread: OnceLock<Thread>,
}

impl Sleep {
    /// Wakes the watchdog if it sleeps.
    #[inline]
    pub(super) fn end(&self) {
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Makes the watchdog look at all leashes now.
    #[cold]
    pub(super) fn wake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
