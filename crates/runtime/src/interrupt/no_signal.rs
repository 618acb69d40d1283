//! What `signal.rs` is where there are no signals that could interrupt code.

use wasmtime::Module;

use super::Leash;

/// There is none: no code can be interrupted by signals here.
pub(crate) enum Code {}

impl Code {
    pub(super) fn of(_: &Module) -> Result<Self, String> {
        Err("signals interrupt code on Linux on x86_64 and aarch64 only".to_owned())
    }
}

pub(super) fn with_leash<R>(_: &Leash, f: impl FnOnce() -> R) -> R {
    f()
}

pub(super) fn send(_: i32) {}

pub(super) fn clear_flag(_: &Leash) {}
