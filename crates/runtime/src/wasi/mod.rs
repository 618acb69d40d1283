//! WASI preview 1, and `wasi_unstable` before it, for guests that import it.

mod calls;
mod context;
mod host;
mod links;
mod poll;
mod printed;
mod unstable;

use crate::machine::Linker;

pub(crate) use context::{Wasi, context};
pub(crate) use printed::Printed;

/// Provides a function of WASI, or of what older toolchains took for it; whether there is one of this name.
pub(crate) fn link(linker: &mut Linker, module: &str, name: &str) -> bool {
    let is_unstable = module == unstable::MODULE;
    (is_unstable && unstable::link(linker, name))
        || poll::link(linker, module, name, is_unstable)
        || calls::link(linker, module, name)
}
