//! What of a guest's memory the host may look at when the guest has been called.

use std::ops::Range;

use crate::guest::Guest;

/// A guest's memory, and which of it there is: its own part, and the host's pages as far as they are open. Between them nobody
/// may read.
pub(super) struct Sight<'m> {
    pub(super) memory: &'m [u8],
    own: usize,
    pages: Range<usize>,
}

impl<'m> Sight<'m> {
    pub(super) fn of(guest: &'m Guest, pages: Range<usize>) -> Self {
        Self { memory: guest.memory(), own: guest.own(), pages }
    }

    /// These bytes, if they are there.
    #[inline]
    pub(super) fn bytes(&self, at: u32, len: usize) -> Option<&'m [u8]> {
        let at = at as usize;
        let end = at.checked_add(len)?;
        let is_there = end <= self.own || (at >= self.pages.start && end <= self.pages.end);
        if is_there { self.memory.get(at..end) } else { None }
    }
}

/// The little-endian word at a place that is there.
#[inline]
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}
