//! The record: tag, timestamp, event, chunk; a view of its msgpack, and JSON in and out.
//!
//! Pure data. No files, no clock, no threads; nothing here panics on any input.

mod accessor;
mod chunk;
pub mod json;
pub mod msgpack;
mod spares;
mod tag;
pub mod text;
mod time;

pub use accessor::{Accessor, AccessorError, Scene, Template, write_text};
pub use chunk::{Chunk, ChunkBuilder, Event, RecordTooLarge, Records};
pub use spares::Spares;
pub use tag::{Pattern, Tag, TagTooLong};
pub use time::Timestamp;

/// What a filter decided about one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The event passes as it is.
    Keep,
    /// The filter removed the event on purpose.
    Drop,
    /// The event's body is replaced by this msgpack map; time and metadata stay.
    Replace(&'a [u8]),
}
