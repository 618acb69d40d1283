//! Records that a program prints: what the input `exec_wasi` runs, with `Format msgpack`.

use core::fmt;

use crate::time::Time;
use crate::write::{Encode, Writer};

/// Prints records to the standard output, each whole, written in room that it is lent.
///
/// ```
/// use flb_filter::{Emitter, Time, map};
///
/// let mut room = [0; 4096];
/// let mut records = Emitter::new(&mut room);
/// records.emit(map(|to| to.entry("message", "hello")))?;
/// records.emit_at(Time { sec: 1_795_355_380, nsec: 5 }, map(|to| to.entry("message", "early")))?;
/// # Ok::<(), flb_filter::EmitError>(())
/// ```
pub struct Emitter<'r> {
    room: &'r mut [u8],
}

/// Why a record was not printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitError {
    /// It does not fit in the room.
    TooLong,
    /// The standard output does not take it.
    Output,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the record does not fit in the room",
            Self::Output => "the standard output does not take the record",
        })
    }
}

impl core::error::Error for EmitError {}

impl<'r> Emitter<'r> {
    /// A record may take as many bytes as the room has.
    pub fn new(room: &'r mut [u8]) -> Self {
        Self { room }
    }

    /// Prints a record, which is a [`map`](crate::map()): its time is when the program ran.
    pub fn emit(&mut self, record: impl Encode) -> Result<(), EmitError> {
        self.print(|to| record.encode(to))
    }

    /// Prints a record with its own time.
    pub fn emit_at(&mut self, time: Time, record: impl Encode) -> Result<(), EmitError> {
        self.print(|to| {
            // An array of two: the time, an extension of type 0 and eight bytes; and the record.
            to.put(&[0x92, 0xd7, 0]);
            to.put(&time.sec.to_be_bytes());
            to.put(&time.nsec.to_be_bytes());
            record.encode(to);
        })
    }

    fn print(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), EmitError> {
        let start = self.room.as_mut_ptr();
        // SAFETY: the room is there, and nobody else uses it.
        let mut to = unsafe { Writer::new(start, self.room.len()) };
        write(&mut to);
        if to.is_full() {
            return Err(EmitError::TooLong);
        }
        let len = to.written(start);
        stdout::print(self.room.get(..len).unwrap_or_default())
    }
}

#[cfg(target_arch = "wasm32")]
mod stdout {
    use super::EmitError;

    /// Bytes to write, as WASI's calls are told of them.
    #[repr(C)]
    struct Part {
        start: *const u8,
        len: usize,
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn fd_write(file: u32, parts: *const Part, count: usize, written: *mut usize) -> u32;
    }

    pub(super) fn print(mut bytes: &[u8]) -> Result<(), EmitError> {
        while !bytes.is_empty() {
            let part = Part { start: bytes.as_ptr(), len: bytes.len() };
            let mut written = 0;
            // SAFETY: the bytes are there, and so are both places.
            let error = unsafe { fd_write(1, &raw const part, 1, &raw mut written) };
            bytes = bytes.get(written..).unwrap_or_default();
            if error != 0 || written == 0 {
                return Err(EmitError::Output);
            }
        }
        Ok(())
    }
}

/// In native tests, and programs that run natively.
#[cfg(not(target_arch = "wasm32"))]
mod stdout {
    use std::io::Write as _;

    use super::EmitError;

    pub(super) fn print(bytes: &[u8]) -> Result<(), EmitError> {
        std::io::stdout().write_all(bytes).map_err(|_| EmitError::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn a_record_that_does_not_fit_is_an_error_and_the_next_is_not() {
        let mut room = [0; 16];
        let mut records = Emitter::new(&mut room);
        let long = records.emit(map(|to| to.entry("message", "far too long for it")));
        assert_eq!(long, Err(EmitError::TooLong));
        assert_eq!(records.emit(map(|to| to.entry("a", 1))), Ok(()));
        let with_time = records.emit_at(Time { sec: 1, nsec: 2 }, map(|to| to.entry("ab", 1)));
        assert_eq!(with_time, Ok(()), "eleven bytes and five");
        let one_more = records.emit_at(Time { sec: 1, nsec: 2 }, map(|to| to.entry("abc", 1)));
        assert_eq!(one_more, Err(EmitError::TooLong));
    }
}
