//! A view of msgpack: check, skip, and walk values without building a tree; and write them in their shortest form.
//!
//! Nothing here allocates for a number that stands in the data, and nothing recurses: hostile bytes cost no more than
//! their length.

pub mod map;
mod read;
mod span;
mod write;

pub use read::{
    Elements, Entries, Reader, as_str, elements, entries, map_header, map_len, value_len,
};
pub(crate) use span::{end, step};
pub(crate) use write::{Container, patch_container_header, patch_str_header};
pub use write::{
    write_array_header, write_bin, write_bool, write_ext, write_float, write_int, write_map_header,
    write_nil, write_str, write_uint,
};

/// Most containers that may lie inside each other; one more is an error, here and in JSON.
pub const MAX_DEPTH: usize = 128;

/// One value, or only the header of a container: its elements follow in the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer from 0, however it was encoded.
    Uint(u64),
    /// An integer below 0.
    Int(i64),
    /// A float; a float32 is widened, which loses nothing.
    Float(f64),
    /// Text by declaration; nobody promises that it is UTF-8.
    Str(&'a [u8]),
    /// Bytes.
    Bin(&'a [u8]),
    /// An array of that many values.
    Array(u32),
    /// A map of that many entries, each a key and a value.
    Map(u32),
    /// A type of the application's own (negative ones are msgpack's) and its bytes.
    Ext(i8, &'a [u8]),
}

/// Why bytes are not the msgpack they should be. `at` is where the offending value begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MsgpackError {
    /// The data ends inside a value, or before it.
    #[error("the msgpack value at byte {at} is cut off")]
    Truncated {
        /// Offset of the value.
        at: usize,
    },
    /// A map was required.
    #[error("expected a msgpack map at byte {at}")]
    NotAMap {
        /// Offset of the value.
        at: usize,
    },
    /// An array was required.
    #[error("expected a msgpack array at byte {at}")]
    NotAnArray {
        /// Offset of the value.
        at: usize,
    },
    /// More than [`MAX_DEPTH`] containers lie inside each other.
    #[error("msgpack containers are nested more than {MAX_DEPTH} deep at byte {at}")]
    TooDeep {
        /// Offset of the innermost container.
        at: usize,
    },
    /// Whoever asked for it did not want to wait any longer.
    #[error("given up at byte {at} of the msgpack")]
    GivenUp {
        /// How far it had come.
        at: usize,
    },
    /// `0xc1`, the one byte that begins no value.
    #[error("0xc1 at byte {at} begins no msgpack value")]
    BadMarker {
        /// Offset of the byte.
        at: usize,
    },
}
