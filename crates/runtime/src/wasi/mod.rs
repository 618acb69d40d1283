//! WASI preview 1, and `wasi_unstable` before it, for guests that import it.

mod calls;
mod context;
mod host;
mod links;
mod poll;
mod printed;
mod unstable;

use wasmtime::Linker;
use wasmtime_wasi::{p0, p1};

use crate::state::State;

pub(crate) use context::{Wasi, context, exit_code};
pub(crate) use printed::Printed;

/// Provides WASI's functions, and those that older toolchains took for them.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    p1::add_to_linker_sync(linker, |state| &mut state.wasi)?;
    calls::link(linker, "wasi_snapshot_preview1")?;
    p0::add_to_linker_sync(linker, |state| &mut state.wasi)?;
    unstable::link(linker)?;
    poll::link(linker)
}
