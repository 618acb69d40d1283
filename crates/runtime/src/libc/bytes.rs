//! Ranges and texts in a guest's memory, which is all that an address of a guest may lead to.

use std::ops::Range;

use wasmtime::Trap;

/// Where `length` bytes from an address on lie.
pub(super) fn range(memory: &[u8], at: u32, length: u32) -> Result<Range<usize>, Trap> {
    let (at, length) = (at as usize, length as usize);
    let end = at.checked_add(length).filter(|end| *end <= memory.len());
    end.map(|end| at..end).ok_or(Trap::MemoryOutOfBounds)
}

/// The bytes of a range.
pub(super) fn bytes(memory: &[u8], at: u32, length: u32) -> Result<&[u8], Trap> {
    Ok(&memory[range(memory, at, length)?])
}

/// The bytes of a range, to be changed.
pub(super) fn bytes_mut(memory: &mut [u8], at: u32, length: u32) -> Result<&mut [u8], Trap> {
    let range = range(memory, at, length)?;
    Ok(&mut memory[range])
}

/// The text from an address to its NUL.
pub(super) fn text(memory: &[u8], at: u32) -> Result<&[u8], Trap> {
    let rest = memory.get(at as usize..).ok_or(Trap::MemoryOutOfBounds)?;
    memchr::memchr(0, rest).map(|end| &rest[..end]).ok_or(Trap::MemoryOutOfBounds)
}

/// The text from an address to its NUL, or its first `most` bytes.
pub(super) fn text_within(memory: &[u8], at: u32, most: u32) -> Result<&[u8], Trap> {
    let rest = memory.get(at as usize..).ok_or(Trap::MemoryOutOfBounds)?;
    let looked_at = &rest[..rest.len().min(most as usize)];
    match memchr::memchr(0, looked_at) {
        Some(end) => Ok(&looked_at[..end]),
        None if looked_at.len() == most as usize => Ok(looked_at),
        None => Err(Trap::MemoryOutOfBounds),
    }
}

/// Writes a little-endian word.
pub(super) fn put_word(memory: &mut [u8], at: u32, word: u32) -> Result<(), Trap> {
    bytes_mut(memory, at, 4)?.copy_from_slice(&word.to_le_bytes());
    Ok(())
}
