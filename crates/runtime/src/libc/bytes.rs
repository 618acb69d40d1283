//! Ranges and texts in a guest's memory, which is all that an address of a guest may lead to.

use std::ops::Range;

use crate::fault::Trap;
use crate::space::PAGE;

/// Where `length` bytes from an address on lie.
pub(super) fn range(memory: &[u8], at: u32, length: u32) -> Result<Range<usize>, Trap> {
    let (at, length) = (at as usize, length as usize);
    let end = at.checked_add(length).filter(|end| *end <= memory.len());
    end.map(|end| at..end).ok_or(Trap::MemoryOutOfBounds)
}

/// The bytes of a range.
pub(crate) fn bytes(memory: &[u8], at: u32, length: u32) -> Result<&[u8], Trap> {
    Ok(&memory[range(memory, at, length)?])
}

/// The bytes of a range, to be changed.
pub(crate) fn bytes_mut(memory: &mut [u8], at: u32, length: u32) -> Result<&mut [u8], Trap> {
    let range = range(memory, at, length)?;
    Ok(&mut memory[range])
}

/// The text from an address to its NUL.
pub(super) fn text(memory: &[u8], at: u32) -> Result<&[u8], Trap> {
    let at = at as usize;
    let end = find(memory, 0, at..memory.len());
    end.map(|end| &memory[at..end]).ok_or(Trap::MemoryOutOfBounds)
}

/// The text from an address to its NUL, or its first `most` bytes.
pub(super) fn text_within(memory: &[u8], at: u32, most: u32) -> Result<&[u8], Trap> {
    let at = at as usize;
    let whole = at.saturating_add(most as usize);
    let end = find(memory, 0, at..memory.len().min(whole)).unwrap_or(whole);
    memory.get(at..end).ok_or(Trap::MemoryOutOfBounds)
}

/// Where a byte stands first in a range of the memory. The pages up to its own are looked at, and none behind: searches look
/// ahead as far as they may, and there may be pages that the guest has not got.
pub(super) fn find(memory: &[u8], byte: u8, mut range: Range<usize>) -> Option<usize> {
    while !range.is_empty() {
        let end = (range.start + 1).next_multiple_of(PAGE).min(range.end);
        if let Some(found) = memchr::memchr(byte, &memory[range.start..end]) {
            return Some(range.start + found);
        }
        range.start = end;
    }
    None
}

/// Writes a little-endian word.
pub(super) fn put_word(memory: &mut [u8], at: u32, word: u32) -> Result<(), Trap> {
    bytes_mut(memory, at, 4)?.copy_from_slice(&word.to_le_bytes());
    Ok(())
}
