//! Where what lies in a guest's memory: its own part, and the host's pages above all that it may ever have.
//!
//! `docs/architecture.md` has the picture. Only modules that bring no allocator for the host have such a layout; to them the
//! size of their memory is the size of a table.

use flb_artifact::Arguments;
use flb_artifact::contract;

/// Bytes in a page of WebAssembly memory.
pub(crate) const PAGE: usize = contract::PAGE as usize;
/// Pages for a call's arguments.
pub(crate) const HOST_PAGES: usize = contract::HOST_PAGES as usize;
/// Of these, what is kept from one call to the next (1 MiB).
pub(crate) const KEPT: usize = 16 * PAGE;

/// What of a module's memories is not the guest's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memories {
    /// How its first memory is laid out; `None`: it is the guest's from its beginning to its end.
    pub(crate) space: Option<Space>,
    /// Whether there is one of a page that the compiler added.
    pub(crate) has_own: bool,
}

/// What a module says of its layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    /// The table's maximum, which no other table has.
    pub(crate) mark: usize,
    /// Pages that the guest may have by its own word.
    limit: usize,
}

impl Space {
    /// The layout of a module with such a table.
    pub(crate) fn new(maximum: Option<u64>, arguments: Arguments) -> Option<Self> {
        let Arguments::Pages { limit } = arguments else { return None };
        let (mark, limit) = (usize::try_from(maximum?).ok()?, usize::try_from(limit).ok()?);
        Some(Self { mark, limit: limit / PAGE })
    }

    /// The page at which the host's begin, for a guest that starts with `initial` pages.
    pub(crate) fn end(self, memory_limit: u64, initial: usize) -> usize {
        let granted = usize::try_from(memory_limit).unwrap_or(usize::MAX) / PAGE;
        granted.min(self.limit).max(initial)
    }
}
