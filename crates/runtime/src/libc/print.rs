//! `printf` and its kin: where what a format says goes to.

use std::ops::Range;

use super::Answer;
use super::bytes::{range, text};
use super::console::Console;
use super::format::{Sink, print};
use super::pieces::PIECE;
use crate::fault::{Fault, Trap};
use crate::interrupt::Leash;
use crate::machine::Call;

pub(super) fn printf(call: &mut Call<'_>, format: u32, arguments: u32) -> Answer {
    let (memory, state) = call.parts();
    let mut screen = Screen { console: &mut state.library.console, leash: &state.leash };
    print(memory, format, arguments, &mut screen)
}

pub(super) fn sprintf(call: &mut Call<'_>, to: u32, format: u32, arguments: u32) -> Answer {
    let (memory, state) = call.parts();
    // Without an end, but for that of the memory.
    let room = range(memory, to, 0)?.start..memory.len();
    let mut buffer = Buffer { room, is_bounded: false, leash: &state.leash };
    let count = print(memory, format, arguments, &mut buffer)?;
    buffer.end(memory)?;
    Ok(count)
}

pub(super) fn snprintf(
    call: &mut Call<'_>,
    to: u32,
    size: u32,
    format: u32,
    arguments: u32,
) -> Answer {
    let (memory, state) = call.parts();
    let place = range(memory, to, size)?;
    let room = place.start..place.end.saturating_sub(1).max(place.start);
    let mut buffer = Buffer { room, is_bounded: true, leash: &state.leash };
    let count = print(memory, format, arguments, &mut buffer)?;
    if size > 0 {
        buffer.end(memory)?;
    }
    Ok(count)
}

pub(super) fn puts(call: &mut Call<'_>, s: u32) -> Answer {
    let (memory, state) = call.parts();
    let length = text(memory, s)?.len();
    let mut screen = Screen { console: &mut state.library.console, leash: &state.leash };
    screen.copy(memory, s as usize..s as usize + length)?;
    screen.write(memory, b"\n")?;
    Ok((length as u32).wrapping_add(1))
}

/// Answers 1, as the original does, and not the character as C does.
pub(super) fn putchar(call: &mut Call<'_>, character: u32) -> Answer {
    call.state().library.console.write(&[character as u8])?;
    Ok(1)
}

/// The guest's output.
struct Screen<'a> {
    console: &'a mut Console,
    leash: &'a Leash,
}

impl Sink for Screen<'_> {
    fn write(&mut self, _memory: &mut [u8], bytes: &[u8]) -> Result<(), Fault> {
        for piece in bytes.chunks(PIECE) {
            self.leash.look()?;
            self.console.write(piece)?;
        }
        Ok(())
    }

    fn copy(&mut self, memory: &mut [u8], from: Range<usize>) -> Result<(), Fault> {
        for piece in memory[from].chunks(PIECE) {
            self.leash.look()?;
            self.console.write(piece)?;
        }
        Ok(())
    }

    fn look(&self) -> Result<(), Trap> {
        self.leash.look()
    }
}

/// A buffer in the guest's memory.
struct Buffer<'a> {
    /// What is left of it.
    room: Range<usize>,
    /// Whether what does not fit is left out.
    is_bounded: bool,
    leash: &'a Leash,
}

impl Buffer<'_> {
    /// Takes the room for so many bytes, or for as many as fit.
    fn take(&mut self, length: usize) -> Result<Range<usize>, Trap> {
        if length > self.room.len() && !self.is_bounded {
            return Err(Trap::MemoryOutOfBounds);
        }
        let taken = self.room.start..self.room.start + length.min(self.room.len());
        self.room.start = taken.end;
        Ok(taken)
    }

    /// Puts the NUL behind what was written.
    fn end(&self, memory: &mut [u8]) -> Result<(), Trap> {
        let end = memory.get_mut(self.room.start).ok_or(Trap::MemoryOutOfBounds)?;
        *end = 0;
        Ok(())
    }
}

impl Sink for Buffer<'_> {
    fn write(&mut self, memory: &mut [u8], bytes: &[u8]) -> Result<(), Fault> {
        let to = self.take(bytes.len())?;
        let length = to.len();
        memory[to].copy_from_slice(&bytes[..length]);
        Ok(())
    }

    fn copy(&mut self, memory: &mut [u8], from: Range<usize>) -> Result<(), Fault> {
        let to = self.take(from.len())?;
        memory.copy_within(from.start..from.start + to.len(), to.start);
        Ok(())
    }

    fn look(&self) -> Result<(), Trap> {
        self.leash.look()
    }
}
