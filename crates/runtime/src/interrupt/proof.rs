//! Tries, before any of a module's own code runs, whether signals end it here.

use std::sync::Arc;

use flb_artifact::contract::{SPIN, STOP};
use wasmtime::{Instance, InstancePre, Store, Trap, TypedFunc};

use super::find_flag;
use crate::state::State;

/// How far the guest counts down while a signal is to end it. It takes a fraction of a second.
const COUNT: i32 = 1 << 28;
/// How many times it does, for the case that the watchdog does not get to run.
const TIMES: usize = 8;

/// Calls the function that only traps, and ends one that goes on. `state` has a leash whose deadline is zero.
pub(crate) fn prove(pre: &InstancePre<State>, state: State) -> Result<(), String> {
    let leash = Arc::clone(&state.leash);
    let mut store = Store::new(pre.module().engine(), state);
    store.limiter(|state| &mut state.bounds);
    // What cannot be instantiated has no code that runs; whoever wants to use it learns why.
    let Ok(instance) = pre.instantiate(&mut store) else { return Ok(()) };
    find_flag(&mut store, &instance);
    let stop = function::<()>(&mut store, &instance, STOP)?;
    if !is_stop(stop.call(&mut store, ())) {
        return Err(format!("{STOP} does not do what it should"));
    }
    let spin = function::<i32>(&mut store, &instance, SPIN)?;
    for _ in 0..TIMES {
        leash.restart();
        let ended = leash.run(&mut store, |store| {
            // By the time that it has woken up, the guest runs; if not, it tries again.
            leash.hurry();
            spin.call(store, COUNT)
        });
        match (ended.is_ok(), leash.is_killed() && is_stop(ended)) {
            (true, _) => {}
            (false, true) => return Ok(()),
            (false, false) => return Err(format!("{SPIN} does not do what it should")),
        }
    }
    Err("no signal reaches it".to_owned())
}

fn function<P: wasmtime::WasmParams>(
    store: &mut Store<State>,
    instance: &Instance,
    name: &str,
) -> Result<TypedFunc<P, ()>, String> {
    instance.get_typed_func(store, name).map_err(|_| format!("it has no function {name}"))
}

/// Whether a call ended where calls are made to end.
fn is_stop(result: wasmtime::Result<()>) -> bool {
    let traps = |error: wasmtime::Error| {
        error.chain().any(|cause| {
            cause.downcast_ref::<Trap>().is_some_and(|trap| *trap == Trap::UnreachableCodeReached)
        })
    };
    result.is_err_and(traps)
}
