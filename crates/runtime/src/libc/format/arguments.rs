//! A `va_list`: arguments one behind the other in the guest's memory.

use crate::fault::Trap;

/// Where the next argument is.
pub(super) struct Arguments(u64);

impl Arguments {
    pub(super) fn new(at: u32) -> Self {
        Self(at.into())
    }

    /// The next argument of 32 bits.
    pub(super) fn word(&mut self, memory: &[u8]) -> Result<u32, Trap> {
        self.take(memory).map(u32::from_le_bytes)
    }

    /// The next argument of 64 bits, which lies at a multiple of 8.
    pub(super) fn long(&mut self, memory: &[u8]) -> Result<u64, Trap> {
        self.0 = self.0.next_multiple_of(8);
        self.take(memory).map(u64::from_le_bytes)
    }

    fn take<const N: usize>(&mut self, memory: &[u8]) -> Result<[u8; N], Trap> {
        let rest = usize::try_from(self.0).ok().and_then(|at| memory.get(at..));
        let bytes = rest.and_then(<[u8]>::first_chunk).ok_or(Trap::MemoryOutOfBounds)?;
        self.0 += N as u64;
        Ok(*bytes)
    }
}
