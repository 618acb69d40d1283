//! What the library keeps for one guest.

use super::console::Console;
use super::heap::Heap;

/// What the library keeps for one guest.
pub(crate) struct Library {
    pub(super) heap: Heap,
    pub(super) console: Console,
}

impl Library {
    /// A library that prints to `console`.
    pub(crate) fn new(console: Console) -> Self {
        Self { heap: Heap::default(), console }
    }
}
