//! A guest runs on its leash, and is ended by it.

use std::sync::atomic::{Ordering, compiler_fence};
use std::sync::{Arc, PoisonError};

use wasmtime::{Store, Trap};

use super::{Leash, Way, signal};
use crate::backtrace::Interrupted;
use crate::state::State;

impl Leash {
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
        let (result, killed) = self.fence.run(|| match self.way() {
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

    /// Lets the guest know, in the way that it has, that the deadline of this number has passed. Often enough it ends.
    pub(super) fn kill(&self, number: u64) {
        self.killed.fetch_max(number, Ordering::Release);
        match self.way() {
            Way::Signal(_) => signal::send(self.thread.load(Ordering::Relaxed)),
            Way::Epoch(engine) => engine.increment_epoch(),
            Way::None => {}
        }
        let _waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.ended.notify_all();
        #[cfg(feature = "wasi")]
        self.ending.notify_waiters();
    }
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
