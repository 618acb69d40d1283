//! Ends calls that run past their deadline, at no cost for those that don't.
//!
//! Every guest has a [`Leash`], a record of where it stands. A call writes into it that it began and that it ended: a few
//! plain stores, no clock, no lock. One thread, the [`Watchdog`], reads all leashes every now and then and ends what has been
//! under way for too long, in the [`Way`] that the code was compiled for:
//!
//! * by a signal to the guest's thread, `signal.rs`, which holds all that is unsafe about it and says why it is sound;
//! * by epochs: the code compares a counter of the engine, which moves only when somebody is to be ended, with its deadline;
//! * by slices: the interpreter looks itself, every so many instructions;
//! * not at all. Still, what waits in the host for the guest ends.
//!
//! `docs/deadlines.md` says what users may rely on.

mod leash;
#[cfg(native)]
mod proof;
mod run;
#[cfg(all(native, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod signal;
#[cfg(not(all(
    native,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "no_signal.rs"]
mod signal;
mod sleep;
#[cfg(test)]
#[cfg(native)]
mod tests;
mod watchdog;

#[cfg(native)]
use std::sync::Arc;

#[cfg(native)]
use flb_artifact::Interruption;
#[cfg(native)]
use flb_artifact::contract::FLAG;
#[cfg(native)]
use wasmtime::{Engine, Instance, Store, UpdateDeadline};

#[cfg(native)]
use crate::state::State;

pub(crate) use leash::Leash;
#[cfg(native)]
pub(crate) use proof::prove;
pub(crate) use watchdog::Watchdog;

/// How calls of a module's code are ended.
#[derive(Clone)]
pub(crate) enum Way {
    /// A signal leads the thread out of the code.
    #[cfg(native)]
    Signal(Arc<signal::Code>),
    /// The code looks at its engine's counter.
    #[cfg(native)]
    Epoch(Engine),
    /// The interpreter looks at the leash.
    Sliced,
    /// They are not.
    None,
}

#[cfg(native)]
impl Way {
    /// The way that native code was compiled for; or why it cannot be had here.
    pub(crate) fn of(
        interruption: Interruption,
        module: &wasmtime::Module,
    ) -> Result<Self, String> {
        Ok(match interruption {
            Interruption::Signal => Self::Signal(Arc::new(signal::Code::of(module)?)),
            Interruption::Epoch => Self::Epoch(module.engine().clone()),
            Interruption::None => Self::None,
        })
    }
}

/// To be done once for a store, before any of its guest's code runs.
#[cfg(native)]
pub(crate) fn set_up(store: &mut Store<State>) {
    if let Way::Epoch(_) = store.data().leash.way() {
        // The counter moves only when somebody is to be ended. Everybody else goes on to the next time.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let killed = store.data().leash.is_killed();
            Ok(if killed { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
        });
    }
}

/// To be done once for an instance, before its start function runs.
#[cfg(native)]
pub(crate) fn find_flag(store: &mut Store<State>, instance: &Instance) {
    if let Some(flag) = instance.get_memory(&mut *store, FLAG) {
        let at = flag.data_ptr(&*store);
        store.data().leash.set_flag(at.cast());
    }
}
