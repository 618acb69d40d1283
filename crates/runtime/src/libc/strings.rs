//! `strlen` and its kin. Texts end at their NUL; one without is an access outside memory.

use super::Answer;
use super::bytes::{bytes_mut, text, text_within};
use super::memory::copy;
use super::pieces::{Look, PIECE, run, same, search};
use crate::fault::Trap;
use crate::machine::Call;

pub(super) fn strlen(call: &mut Call<'_>, s: u32) -> Answer {
    Ok(text(call.memory(), s)?.len() as u32)
}

pub(super) fn strchr(call: &mut Call<'_>, s: u32, byte: u32) -> Answer {
    let text = text(call.memory(), s)?;
    let found = match byte as u8 {
        0 => Some(text.len()),
        byte => memchr::memchr(byte, text),
    };
    Ok(found.map_or(0, |found| s + found as u32))
}

pub(super) fn strstr(call: &mut Call<'_>, s: u32, find: u32) -> Answer {
    let (memory, state) = call.parts();
    let found = search(text(memory, s)?, text(memory, find)?, &|| state.leash.look())?;
    Ok(found.map_or(0, |found| s + found as u32))
}

pub(super) fn strspn(call: &mut Call<'_>, s: u32, accept: u32) -> Answer {
    span(call, s, accept, true)
}

pub(super) fn strcspn(call: &mut Call<'_>, s: u32, reject: u32) -> Answer {
    span(call, s, reject, false)
}

/// How many bytes of a text are in a set of bytes, or are not.
fn span(call: &mut Call<'_>, s: u32, set: u32, within: bool) -> Answer {
    let (memory, state) = call.parts();
    let mut is_in = [false; 256];
    for piece in text(memory, set)?.chunks(PIECE) {
        state.leash.look()?;
        piece.iter().for_each(|byte| is_in[usize::from(*byte)] = true);
    }
    let is_of_the_kind = |byte: &u8| is_in[usize::from(*byte)] == within;
    Ok(run(text(memory, s)?, is_of_the_kind, &|| state.leash.look())? as u32)
}

pub(super) fn strcmp(call: &mut Call<'_>, a: u32, b: u32) -> Answer {
    let (memory, state) = call.parts();
    compare(text(memory, a)?, text(memory, b)?, |byte| byte, &|| state.leash.look())
}

pub(super) fn strncmp(call: &mut Call<'_>, a: u32, b: u32, most: u32) -> Answer {
    let (memory, state) = call.parts();
    let (a, b) = (text_within(memory, a, most)?, text_within(memory, b, most)?);
    compare(a, b, |byte| byte, &|| state.leash.look())
}

pub(super) fn strncasecmp(call: &mut Call<'_>, a: u32, b: u32, most: u32) -> Answer {
    let (memory, state) = call.parts();
    let (a, b) = (text_within(memory, a, most)?, text_within(memory, b, most)?);
    compare(a, b, |byte| byte.to_ascii_lowercase(), &|| state.leash.look())
}

/// The difference of the first bytes that differ; behind a text's end stands its NUL.
fn compare(a: &[u8], b: &[u8], plain: fn(u8) -> u8, look: Look<'_>) -> Answer {
    let padded = |text: &[u8], at| text.get(at).copied().map_or(0, plain);
    let same = same(a, b, plain, look)?;
    Ok((i32::from(padded(a, same)) - i32::from(padded(b, same))).cast_unsigned())
}

pub(super) fn strcpy(call: &mut Call<'_>, to: u32, from: u32) -> Answer {
    let memory = call.memory();
    let length = u32::try_from(text(memory, from)?.len() + 1);
    copy(memory, to, from, length.map_err(|_| Trap::MemoryOutOfBounds)?)?;
    Ok(to)
}

pub(super) fn strncpy(call: &mut Call<'_>, to: u32, from: u32, size: u32) -> Answer {
    let memory = call.memory();
    let length = text_within(memory, from, size)?.len();
    copy(memory, to, from, length as u32)?;
    bytes_mut(memory, to, size)?[length..].fill(0);
    Ok(to)
}
