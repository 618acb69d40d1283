//! A guest's memory, once it was looked for.

/// A guest's memory, in its engine.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    #[cfg(native)]
    Native(wasmtime::Memory),
    Portable(wasmi::Memory),
}
