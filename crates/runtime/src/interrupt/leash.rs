//! A guest's leash: what its thread writes at each call, and its watchdog reads.

#[cfg(feature = "wasi")]
use std::sync::PoisonError;
#[cfg(native)]
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::Way;
use super::sleep::Sleep;
use crate::Hurry;
use crate::fault::Trap;
use crate::fence::Fence;

/// What a guest is held by. It has cache lines of its own, as its thread writes to it at each call.
#[repr(align(128))]
pub(crate) struct Leash {
    /// Twice the number of the deadline under way; odd while the guest runs.
    pub(super) at: AtomicU64,
    /// The number of the deadline that has passed. Deadlines are numbered from 1.
    pub(super) killed: AtomicU64,
    /// The thread that the guest runs on, as the system numbers it.
    #[cfg(native)]
    pub(super) thread: AtomicI32,
    /// What the guest's code looks at where no signal can reach it: null, or in the memory of this leash's store.
    #[cfg(native)]
    pub(super) flag: AtomicPtr<u32>,
    /// Where in the code the last signal found the thread that it led out.
    #[cfg(native)]
    pub(super) interrupted: AtomicUsize,
    /// What keeps the guest to its own memory.
    pub(crate) fence: Arc<Fence>,
    way: Way,
    /// In nanoseconds.
    deadline: AtomicU64,
    /// Where in its memory the guest says how far it has come, and how far it can come; 0 where it does not.
    progress: AtomicU64,
    /// How far it had come when its own thread looked last, where nobody else may look.
    reached: AtomicU32,
    /// When coming on gives it no more time.
    hurry: Option<Hurry>,
    pub(super) sleep: Arc<Sleep>,
    pub(super) waiting: Mutex<()>,
    pub(super) ended: Condvar,
    /// The same for what waits without a thread.
    #[cfg(feature = "wasi")]
    pub(super) ending: tokio::sync::Notify,
    /// How many times a signal led the thread out of the code.
    #[cfg(test)]
    pub(super) hits: AtomicU64,
}

impl Leash {
    /// A leash, for a watchdog that sleeps so.
    pub(super) fn new(
        sleep: Arc<Sleep>,
        deadline: Duration,
        way: Way,
        hurry: Option<Hurry>,
    ) -> Self {
        Self {
            at: AtomicU64::new(2),
            killed: AtomicU64::new(0),
            #[cfg(native)]
            thread: AtomicI32::new(0),
            #[cfg(native)]
            flag: AtomicPtr::default(),
            #[cfg(native)]
            interrupted: AtomicUsize::new(0),
            fence: Arc::default(),
            way,
            deadline: AtomicU64::new(nanoseconds(deadline)),
            progress: AtomicU64::new(0),
            reached: AtomicU32::new(0),
            hurry,
            sleep,
            waiting: Mutex::default(),
            ended: Condvar::new(),
            #[cfg(feature = "wasi")]
            ending: tokio::sync::Notify::new(),
            #[cfg(test)]
            hits: AtomicU64::new(0),
        }
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// How long a call may take.
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_nanos(self.deadline.load(Ordering::Relaxed))
    }

    /// Gives calls from the next one on another deadline.
    pub(crate) fn set_deadline(&self, deadline: Duration) {
        self.deadline.store(nanoseconds(deadline), Ordering::Relaxed);
    }

    /// From now on the guest says in a word of its memory how far it has come: a number that grows, up to `most`. Each time that
    /// it has, the deadline starts anew. The word lies in accessible pages of the host's.
    #[inline]
    pub(crate) fn watch(&self, at: usize, most: usize) {
        // Both are of 32 bits, as addresses and numbers of records in a guest are.
        self.progress.store((at as u64) << 32 | most as u64, Ordering::Relaxed);
        self.reached.store(0, Ordering::Relaxed);
    }

    /// Where in its memory the guest says how far it has come, if it says so.
    fn progress_at(&self) -> Option<usize> {
        let at = (self.progress.load(Ordering::Relaxed) >> 32) as usize;
        (at != 0).then_some(at)
    }

    /// Notes how far the guest has come, if it says so in this memory of its, where only its own thread may look.
    pub(crate) fn report(&self, memory: &[u8]) {
        let word = self.progress_at().and_then(|at| memory.get(at..)?.first_chunk());
        if let Some(word) = word {
            self.reached.store(u32::from_le_bytes(*word), Ordering::Relaxed);
        }
    }

    /// Whether coming on gives it no more time.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurry.as_ref().is_some_and(Hurry::is_due)
    }

    /// How far the guest has come, if it says so.
    pub(super) fn progress(&self) -> Option<u32> {
        let at = self.progress_at()?;
        // The lower half of it.
        let most = self.progress.load(Ordering::Relaxed) as u32;
        let reached = match self.way {
            Way::Sliced => self.reached.load(Ordering::Relaxed),
            _ => self.fence.word(at)?,
        };
        Some(reached.min(most))
    }

    /// The number of the deadline under way, or of the last one, by which one knows what a guest printed in its call.
    #[cfg(feature = "wasi")]
    pub(crate) fn number(&self) -> u64 {
        self.at.load(Ordering::Relaxed) >> 1
    }

    #[cfg(native)]
    pub(super) fn set_flag(&self, flag: *mut u32) {
        self.flag.store(flag, Ordering::Relaxed);
        self.fence.set_flag(flag);
    }

    /// From here on the guest has its whole time again.
    #[inline]
    pub(crate) fn restart(&self) {
        let at = self.at.load(Ordering::Relaxed);
        self.at.store((at | 1) + 1, Ordering::Relaxed);
    }

    /// Whether the deadline under way has passed. Whoever waits for something in the guest's name has to ask.
    pub(crate) fn is_killed(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        self.killed.load(Ordering::Acquire) == at >> 1
    }

    /// Looks at the deadline under way: an error once it has passed. Whoever works for long in the guest's name has to.
    pub(crate) fn look(&self) -> Result<(), Trap> {
        if self.is_killed() { Err(Trap::Interrupt) } else { Ok(()) }
    }

    /// Makes the watchdog look now, and not at its next tick.
    #[cfg(native)]
    pub(super) fn hurry(&self) {
        self.sleep.wake();
    }

    /// The number of the deadline under way, while the guest runs.
    pub(super) fn running(&self) -> Option<u64> {
        let at = self.at.load(Ordering::Relaxed);
        (at & 1 == 1).then_some(at >> 1)
    }

    /// Whether the guest runs, and its deadline has passed.
    #[cfg(native)]
    pub(super) fn is_to_end(&self) -> bool {
        self.running().is_some_and(|number| self.killed.load(Ordering::Acquire) == number)
    }

    /// Waits until the deadline under way has passed.
    #[cfg(feature = "wasi")]
    pub(crate) async fn killed(&self) {
        loop {
            let ending = self.ending.notified();
            if self.is_killed() {
                return;
            }
            ending.await;
        }
    }

    /// Sleeps in the guest's name; wakes early, and answers no, when its deadline passes.
    #[cfg(feature = "wasi")]
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let slept = self.ended.wait_timeout_while(waiting, time, |()| !self.is_killed());
        drop(slept);
        !self.is_killed()
    }
}

/// As a deadline is kept: five centuries are enough.
fn nanoseconds(deadline: Duration) -> u64 {
    u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX)
}
