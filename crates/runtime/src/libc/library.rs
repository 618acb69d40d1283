//! What the library keeps for one guest.

use super::console::Console;
use super::heap::Heap;

/// What the library keeps for one guest.
pub(crate) struct Library {
    /// The guest's memory, once it was looked for.
    pub(super) memory: Option<wasmtime::Memory>,
    pub(super) heap: Heap,
    pub(super) console: Console,
}

impl Library {
    /// A library that prints to `console`.
    pub(crate) fn new(console: Console) -> Self {
        Self { memory: None, heap: Heap::default(), console }
    }
}
