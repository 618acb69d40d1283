//! The formats of `printf`, read with their arguments from the guest's memory.
//!
//! What C says holds, and where C leaves something open, what the original's runtime does: `%c` of 0 prints nothing, `%s` of
//! address 0 is `(null)`, conversions that it does not know are printed as they are, `%n` does nothing, and a format that
//! ends within a conversion ends before it. Unlike there, `*` takes a width or precision from the arguments.

mod arguments;
mod directive;
mod number;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::bytes::{text, text_within};
use crate::fault::{Fault, Trap};
use arguments::Arguments;
use directive::{Directive, Size};

/// The widest a number or a text is made, and the most digits that are printed: what C demands of a conversion at least.
const MOST: usize = 4095;

/// Bytes of the longest directive; a format ends before one that is longer. Nobody's deadline passes over it.
const LONGEST: usize = 1024;

/// Where printed bytes go.
pub(super) trait Sink {
    /// Takes bytes of the host.
    fn write(&mut self, memory: &mut [u8], bytes: &[u8]) -> Result<(), Fault>;
    /// Takes bytes of the guest's memory.
    fn copy(&mut self, memory: &mut [u8], from: Range<usize>) -> Result<(), Fault>;
    /// The trap that ends a call whose deadline has passed.
    fn look(&self) -> Result<(), Trap>;
}

/// Prints what a format says with the arguments of a `va_list`; answers how many bytes it came to, or -1 if C's `int` has no
/// such number.
pub(super) fn print(
    memory: &mut [u8],
    format: u32,
    arguments: u32,
    sink: &mut impl Sink,
) -> Result<u32, Fault> {
    let mut at = format as usize;
    let end = at + text(memory, format)?.len();
    let mut printer = Printer { memory, arguments: Arguments::new(arguments), sink, count: 0 };
    while at < end {
        let literal = memchr::memchr(b'%', &printer.memory[at..end]).unwrap_or(end - at);
        printer.copy(at..at + literal)?;
        at += literal;
        if at == end {
            break;
        }
        printer.sink.look()?;
        let Printer { memory, arguments, .. } = &mut printer;
        let seen = &memory[at..end.min(at + LONGEST)];
        let Some(directive) = Directive::read(seen, memory, arguments)? else { break };
        at += directive.length;
        printer.convert(directive)?;
    }
    Ok(i32::try_from(printer.count).unwrap_or(-1).cast_unsigned())
}

struct Printer<'a, S> {
    memory: &'a mut [u8],
    arguments: Arguments,
    sink: &'a mut S,
    count: u64,
}

impl<S: Sink> Printer<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.count += bytes.len() as u64;
        self.sink.write(self.memory, bytes)
    }

    fn copy(&mut self, from: Range<usize>) -> Result<(), Fault> {
        self.count += from.len() as u64;
        self.sink.copy(self.memory, from)
    }

    fn convert(&mut self, directive: Directive) -> Result<(), Fault> {
        match directive.conversion {
            b'd' | b'i' => {
                let value = self.signed(directive.size)?;
                self.write(&number::signed(&directive, value))
            }
            b'o' | b'u' | b'x' | b'X' => {
                let value = self.unsigned(directive.size)?;
                self.write(&number::unsigned(&directive, value))
            }
            b'p' => {
                let value = self.unsigned(directive.size)?;
                self.write(&number::pointer(&directive, value))
            }
            b'e' | b'E' | b'f' | b'F' | b'g' | b'G' => {
                let value = f64::from_bits(self.arguments.long(self.memory)?);
                self.write(&number::float(&directive, value))
            }
            b'c' => self.character(&directive),
            b's' => self.text(&directive),
            b'n' => Ok(()),
            b'%' => self.write(b"%"),
            unknown => self.write(&[b'%', unknown]),
        }
    }

    fn signed(&mut self, size: Size) -> Result<i64, Trap> {
        Ok(match size {
            Size::Long => self.arguments.long(self.memory)?.cast_signed(),
            size => {
                let word = self.arguments.word(self.memory)?;
                match size {
                    Size::Char => i64::from(word as i8),
                    Size::Short => i64::from(word as i16),
                    Size::Int | Size::Long => i64::from(word.cast_signed()),
                }
            }
        })
    }

    fn unsigned(&mut self, size: Size) -> Result<u64, Trap> {
        Ok(match size {
            Size::Long => self.arguments.long(self.memory)?,
            size => {
                let word = self.arguments.word(self.memory)?;
                match size {
                    Size::Char => u64::from(word as u8),
                    Size::Short => u64::from(word as u16),
                    Size::Int | Size::Long => u64::from(word),
                }
            }
        })
    }

    fn character(&mut self, directive: &Directive) -> Result<(), Fault> {
        let byte = self.unsigned(directive.size)? as u8;
        let mut padded = directive.padding(1);
        padded.insert(if directive.is_left { 0 } else { padded.len() }, byte);
        let end = padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len());
        self.write(&padded[..end])
    }

    fn text(&mut self, directive: &Directive) -> Result<(), Fault> {
        const NULL: &[u8] = b"(null)";
        let at = self.arguments.word(self.memory)?;
        let most = directive.precision.unwrap_or(u32::MAX);
        let length = text_within(self.memory, at, most)?.len();
        let is_null = at == 0 && text_within(self.memory, 0, 1)?.is_empty();
        // Cut short, it would not be understood.
        let null = if most as usize >= NULL.len() { NULL } else { b"" };
        let padding = directive.padding(if is_null { null.len() } else { length });
        if !directive.is_left {
            self.write(&padding)?;
        }
        if is_null {
            self.write(null)?;
        } else {
            self.copy(at as usize..at as usize + length)?;
        }
        if directive.is_left { self.write(&padding) } else { Ok(()) }
    }
}
