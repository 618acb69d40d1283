//! What `signal.rs` is where there are no signals that could interrupt code.

use super::Leash;

/// There is none: no code can be interrupted by signals here.
#[cfg(native)]
pub(crate) enum Code {}

#[cfg(native)]
impl Code {
    pub(super) fn of(_: &wasmtime::Module) -> Result<Self, String> {
        Err("signals interrupt code on Linux on x86_64 and aarch64 only".to_owned())
    }
}

#[cfg(native)]
pub(super) fn with_leash<R>(_: &Leash, f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(native)]
pub(super) fn send(_: i32) {}

pub(super) fn clear_flag(_: &Leash) {}
