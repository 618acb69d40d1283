//! `memcpy` and its kin.

use super::Answer;
use super::bytes::{bytes, bytes_mut, find, range};
use super::pieces::same;
use crate::fault::Trap;
use crate::machine::Call;

pub(super) fn memcmp(call: &mut Call<'_>, a: u32, b: u32, length: u32) -> Answer {
    let (memory, state) = call.parts();
    let (a, b) = (bytes(memory, a, length)?, bytes(memory, b, length)?);
    let same = same(a, b, |byte| byte, &|| state.leash.look())?;
    let difference = a.get(same).zip(b.get(same));
    Ok(difference.map_or(0, |(a, b)| (i32::from(*a) - i32::from(*b)).cast_unsigned()))
}

/// `memcpy` too: where the ranges overlap C leaves it open what happens.
pub(super) fn memmove(call: &mut Call<'_>, to: u32, from: u32, length: u32) -> Answer {
    let memory = call.memory();
    copy(memory, to, from, length)?;
    Ok(to)
}

pub(super) fn copy(memory: &mut [u8], to: u32, from: u32, length: u32) -> Result<(), Trap> {
    let (to, from) = (range(memory, to, length)?, range(memory, from, length)?);
    memory.copy_within(from, to.start);
    Ok(())
}

pub(super) fn memset(call: &mut Call<'_>, to: u32, byte: u32, length: u32) -> Answer {
    bytes_mut(call.memory(), to, length)?.fill(byte as u8);
    Ok(to)
}

pub(super) fn memchr(call: &mut Call<'_>, at: u32, byte: u32, length: u32) -> Answer {
    let memory = call.memory();
    let range = range(memory, at, length)?;
    Ok(find(memory, byte as u8, range).map_or(0, |found| found as u32))
}
