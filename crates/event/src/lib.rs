//! The record: tag, timestamp, event, chunk; a view of its msgpack, and JSON in and out.
//!
//! Pure data. No files, no clock, no threads; nothing here panics on any input.

mod accessor;
mod chunk;
pub mod edit;
pub mod json;
pub mod msgpack;
mod spares;
mod tag;
pub mod text;
mod time;

pub use accessor::{Accessor, AccessorError, Scene, Template, write_text};
pub use chunk::{Chunk, ChunkBuilder, Event, RecordTooLarge, Records, Run};

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
    /// The event becomes several, with these bodies: a msgpack array of at least two maps, walked with
    /// [`msgpack::elements`]. All have the event's time and metadata.
    Split(&'a [u8]),
}

impl<'a> Verdict<'a> {
    /// The bodies of the events that come of one with this body.
    pub fn bodies(self, body: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (one, several) = match self {
            Verdict::Keep => (Some(body), None),
            Verdict::Drop => (None, None),
            Verdict::Replace(new) => (Some(new), None),
            Verdict::Split(array) => (None, msgpack::elements(array).ok()),
        };
        one.into_iter().chain(several.into_iter().flatten().flatten())
    }
}
