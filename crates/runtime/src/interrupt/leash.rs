//! A guest's leash: what its thread writes at each call, and its watchdog reads.

use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{Store, Trap};

use super::watchdog::Sleep;
use super::{Watchdog, Way, signal};
use crate::backtrace::Interrupted;
use crate::fence::Fence;
use crate::state::State;

/// What a guest is held by. It has cache lines of its own, as its thread writes to it at each call.
#[repr(align(128))]
pub(crate) struct Leash {
    /// Twice the number of the deadline under way; odd while the guest runs.
    at: AtomicU64,
    /// The number of the deadline that has passed. Deadlines are numbered from 1.
    killed: AtomicU64,
    /// The thread that the guest runs on, as the system numbers it.
    pub(super) thread: AtomicI32,
    /// What the guest's code looks at where no signal can reach it: null, or in the memory of this leash's store.
    pub(super) flag: AtomicPtr<u32>,
    /// Where in the code the last signal found the thread that it led out.
    pub(super) interrupted: AtomicUsize,
    /// What keeps the guest to its own memory.
    pub(crate) fence: Arc<Fence>,
    way: Way,
    /// In nanoseconds.
    deadline: AtomicU64,
    sleep: Arc<Sleep>,
    waiting: Mutex<()>,
    ended: Condvar,
    /// The same for what waits without a thread.
    #[cfg(feature = "wasi")]
    ending: tokio::sync::Notify,
    /// How many times a signal led the thread out of the code.
    #[cfg(test)]
    pub(super) hits: AtomicU64,
}

impl Leash {
    /// A leash that the watchdog watches from its first call on.
    pub(crate) fn new(watchdog: &Watchdog, deadline: Duration, way: Way) -> Arc<Self> {
        let leash = Arc::new(Self {
            at: AtomicU64::new(2),
            killed: AtomicU64::new(0),
            thread: AtomicI32::new(0),
            flag: AtomicPtr::default(),
            interrupted: AtomicUsize::new(0),
            fence: Arc::default(),
            way,
            deadline: AtomicU64::new(nanoseconds(deadline)),
            sleep: watchdog.sleep(),
            waiting: Mutex::default(),
            ended: Condvar::new(),
            #[cfg(feature = "wasi")]
            ending: tokio::sync::Notify::new(),
            #[cfg(test)]
            hits: AtomicU64::new(0),
        });
        watchdog.watch(&leash);
        leash
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

    /// The number of the deadline under way, or of the last one, by which one knows what a guest printed in its call.
    #[cfg(feature = "wasi")]
    pub(crate) fn number(&self) -> u64 {
        self.at.load(Ordering::Relaxed) >> 1
    }

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

    /// Runs code of the guest. What ended because the deadline had passed says `Trap::Interrupt`, before all else it may say;
    /// and what went astray `Trap::MemoryOutOfBounds`, however it ended.
    #[inline]
    pub(crate) fn run<R>(
        &self,
        store: &mut Store<State>,
        f: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        // The flag lies in the leash's store: nobody may run with the one and drop the other.
        assert!(std::ptr::eq(self, Arc::as_ptr(&store.data().leash)), "a store has its own leash");
        let (result, killed) = self.fence.run(|| match self.way {
            Way::Signal(_) => signal::with_leash(self, || self.run_armed(store, f)),
            Way::Epoch(_) | Way::None => self.run_armed(store, f),
        });
        match result {
            Err(error) if killed => {
                let place = Interrupted(self.interrupted.load(Ordering::Relaxed));
                Err(error.context(place).context(Trap::Interrupt))
            }
            Err(error) if self.fence.is_astray() => Err(error.context(Trap::MemoryOutOfBounds)),
            Ok(_) if self.fence.is_astray() => Err(Trap::MemoryOutOfBounds.into()),
            result => result,
        }
    }

    #[inline]
    fn run_armed<T, R>(&self, store: T, f: impl FnOnce(T) -> R) -> (R, bool) {
        let armed = Armed::new(self);
        let result = f(store);
        let killed = self.is_killed();
        drop(armed);
        (result, killed)
    }

    /// Whether the deadline under way has passed. Whoever waits for something in the guest's name has to ask.
    pub(crate) fn is_killed(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        self.killed.load(Ordering::Acquire) == at >> 1
    }

    /// Makes the watchdog look now, and not at its next tick.
    pub(super) fn hurry(&self) {
        self.sleep.wake();
    }

    /// The number of the deadline under way, while the guest runs.
    pub(super) fn running(&self) -> Option<u64> {
        let at = self.at.load(Ordering::Relaxed);
        (at & 1 == 1).then_some(at >> 1)
    }

    /// Whether the guest runs, and its deadline has passed.
    pub(super) fn is_to_end(&self) -> bool {
        self.running().is_some_and(|number| self.killed.load(Ordering::Acquire) == number)
    }

    /// Lets the guest know, in the way that it has, that the deadline of this number has passed. Often enough it ends.
    pub(super) fn kill(&self, number: u64) {
        self.killed.fetch_max(number, Ordering::Release);
        match &self.way {
            Way::Signal(_) => signal::send(self.thread.load(Ordering::Relaxed)),
            Way::Epoch(engine) => engine.increment_epoch(),
            Way::None => {}
        }
        let _waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.ended.notify_all();
        #[cfg(feature = "wasi")]
        self.ending.notify_waiters();
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

/// While it is there, the guest runs.
struct Armed<'a> {
    leash: &'a Leash,
    before: u64,
}

impl<'a> Armed<'a> {
    #[inline]
    fn new(leash: &'a Leash) -> Self {
        let before = leash.at.load(Ordering::Relaxed);
        leash.at.store(before | 1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        leash.sleep.end();
        Self { leash, before }
    }
}

impl Drop for Armed<'_> {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.leash.at.store(self.before, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        // From here on no signal sets the flag, and what it said holds no longer.
        if self.leash.is_killed() {
            signal::clear_flag(self.leash);
        }
    }
}
