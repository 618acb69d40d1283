//! The heap's functions, the ends of a program, and its clock.

use std::ops::Range;

use super::bytes::{bytes_mut, text};
use super::heap::Heap;
use super::memory::copy;
use super::pages;
use super::{Answer, Done};
use crate::fault::{Fault, Trap};
use crate::machine::Call;
use flb_artifact::contract::PAGE;

pub(super) fn malloc(call: &mut Call<'_>, size: u32) -> Answer {
    Ok(allocate(call, size).unwrap_or(0))
}

fn allocate(call: &mut Call<'_>, size: u32) -> Option<u32> {
    let found = call.state().library.heap.allocate(size);
    found.or_else(|| {
        let room = more(call, size)?;
        let heap = &mut call.state().library.heap;
        heap.add(room);
        heap.allocate(size)
    })
}

/// Memory for a block of this size that the heap has not got yet.
fn more(call: &mut Call<'_>, size: u32) -> Option<Range<u64>> {
    let is_new = call.state().library.heap.is_new();
    let whole = pages::take(call, Heap::needs(size));
    if whole.is_some() || !is_new {
        return whole;
    }
    pages::take(call, PAGE).or_else(|| pages::behind_data(call))
}

pub(super) fn calloc(call: &mut Call<'_>, count: u32, size: u32) -> Answer {
    let Some(all) = count.checked_mul(size) else { return Ok(0) };
    let at = malloc(call, all)?;
    if at != 0 {
        bytes_mut(call.memory(), at, all)?.fill(0);
    }
    Ok(at)
}

pub(super) fn realloc(call: &mut Call<'_>, at: u32, size: u32) -> Answer {
    if at == 0 {
        return malloc(call, size);
    }
    let Some(has) = call.state().library.heap.size(at) else { return Ok(0) };
    if Heap::fits(has, size) {
        return Ok(at);
    }
    let moved = malloc(call, size)?;
    if moved != 0 {
        copy(call.memory(), moved, at, has.min(size))?;
        call.state().library.heap.free(at);
    }
    Ok(moved)
}

pub(super) fn free(call: &mut Call<'_>, at: u32) -> Done {
    call.state().library.heap.free(at);
    Ok(())
}

pub(super) fn strdup(call: &mut Call<'_>, s: u32) -> Answer {
    let length = u32::try_from(text(call.memory(), s)?.len() + 1);
    let length = length.map_err(|_| Trap::MemoryOutOfBounds)?;
    let at = malloc(call, length)?;
    if at != 0 {
        copy(call.memory(), at, s, length)?;
    }
    Ok(at)
}

pub(super) fn exit(_call: &mut Call<'_>, code: u32) -> Done {
    Err(Fault::Exit(code.cast_signed()))
}

/// Ends the guest with words that name the function it called for that.
pub(super) fn end(function: &str, code: u32) -> Done {
    Err(Fault::said(format!("env.{function}({})", code.cast_signed())))
}

/// Ends the guest with an exception of C++ that nobody catches here.
pub(super) fn throw() -> Done {
    Err(Fault::said("exception thrown by stdc++"))
}

/// Nanoseconds of the guest's monotonic clock.
pub(super) fn clock(call: &mut Call<'_>) -> Result<u64, Fault> {
    let elapsed = call.state().started.elapsed();
    Ok(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// The same in seconds and nanoseconds, whichever clock is asked for.
pub(super) fn clock_gettime(call: &mut Call<'_>, time: u32) -> Answer {
    let elapsed = call.state().started.elapsed();
    let place = bytes_mut(call.memory(), time, 16)?;
    place[..8].copy_from_slice(&elapsed.as_secs().to_le_bytes());
    place[8..12].copy_from_slice(&elapsed.subsec_nanos().to_le_bytes());
    Ok(0)
}
