//! A guest runs on its leash, and is ended by it.

#[cfg(native)]
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{Ordering, compiler_fence};

#[cfg(native)]
use wasmtime::{Store, Trap};

use super::{Leash, Way, signal};
#[cfg(native)]
use crate::backtrace::Interrupted;
use crate::fault;
use crate::fault::Fault;
#[cfg(native)]
use crate::state::State;

impl Leash {
    /// Runs portable code of the guest, slice by slice. What ended because the deadline had passed says so, before all else it may
    /// say.
    #[inline]
    pub(crate) fn run_sliced<R>(&self, f: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
        let (result, killed) = self.run_armed((), |()| f());
        result.map_err(|fault| if killed { fault::Trap::Interrupt.into() } else { fault })
    }

    /// Runs native code of the guest. What ended because the deadline had passed says `Trap::Interrupt`, before all else it may say;
    /// and what went astray `Trap::MemoryOutOfBounds`, however it ended.
    #[cfg(native)]
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
            _ => self.run_armed(store, f),
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
            #[cfg(native)]
            Way::Signal(_) => signal::send(self.thread.load(Ordering::Relaxed)),
            #[cfg(native)]
            Way::Epoch(engine) => engine.increment_epoch(),
            Way::Sliced | Way::None => {}
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
