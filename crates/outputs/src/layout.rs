//! Records as texts one behind the other: an array, a line each, or with nothing in between.

use flb_event::{Chunk, Event, Scene, Template};
use flb_plugin::keys::{Choice, Key, Text, Word};
use flb_plugin::{Build, BuildError, Options, keys};

use super::json::RecordJson;
use super::messages::Messages;

/// What stands between texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[a,b]`
    Array,
    /// Each ends with a newline.
    Lines,
    /// Nothing.
    Stream,
}

impl Layout {
    /// Appends what `write` makes of each record. What that refuses is left out.
    pub(super) fn write<E>(
        self,
        chunk: &Chunk,
        out: &mut Vec<u8>,
        mut write: impl FnMut(Event<'_>, &mut Vec<u8>) -> Result<(), E>,
        mut left_out: impl FnMut(usize, E),
    ) {
        if self == Self::Array {
            out.push(b'[');
        }
        for (place, event) in chunk.records().enumerate() {
            let start = out.len();
            match (write(event, out), self) {
                (Ok(()), Self::Array) => out.push(b','),
                (Ok(()), Self::Lines) => out.push(b'\n'),
                (Ok(()), Self::Stream) => {}
                (Err(error), _) => {
                    out.truncate(start);
                    left_out(place, error);
                }
            }
        }
        if self == Self::Array {
            if out.ends_with(b",") {
                out.pop();
            }
            out.push(b']');
        }
    }
}

/// How records look to a receiver that reads a socket, by name.
#[derive(Debug, Clone, Copy)]
pub(super) enum FormatName {
    Json,
    JsonStream,
    JsonLines,
    Msgpack,
}

impl Word for FormatName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("json_stream", Self::JsonStream),
        ("json_lines", Self::JsonLines),
        ("msgpack", Self::Msgpack),
    ];
}

/// The key that says how records look, whose default is the plugin's.
pub(super) const fn format_key(default: &'static str) -> Key<Choice<FormatName>> {
    Key::new("format", "How records look").default(default)
}

keys! {
    /// What stands beside that key.
    pub(super) const KEYS;
    RAW_MESSAGE_KEY: Option<Text> =
        Key::new("raw_message_key", "Send this of each record, as $log, and not the record");
}

/// How records look to a receiver that reads a socket.
#[derive(Debug)]
pub(super) enum Format {
    /// The chunk's bytes.
    Msgpack,
    /// Objects.
    Json(Layout, RecordJson),
    /// A text of each record.
    Raw(Template),
}

/// Why a record is not sent as a text.
#[derive(Debug, thiserror::Error)]
#[error("it has nothing of raw_message_key")]
struct NoText;

impl Format {
    pub(super) fn new(
        name: FormatName,
        options: &Options,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        if let Some(text) = options.get(RAW_MESSAGE_KEY) {
            let raw = Template::parse(text).map_err(|error| {
                BuildError::new(format!("{}: {error}", RAW_MESSAGE_KEY.name())).help(error.hint())
            })?;
            return Ok(Self::Raw(raw));
        }
        let json = RecordJson::new(options, build);
        Ok(match name {
            FormatName::Json => Self::Json(Layout::Array, json),
            FormatName::JsonStream => Self::Json(Layout::Stream, json),
            FormatName::JsonLines => Self::Json(Layout::Lines, json),
            FormatName::Msgpack => Self::Msgpack,
        })
    }
}

/// A line of each record.
pub(super) fn raw_lines(raw: &Template, chunk: &Chunk) -> Messages {
    Messages::of_each(chunk, |event, out| {
        let start = out.len();
        raw.write(&Scene { tag: chunk.tag(), body: event.body, captures: &[] }, out);
        if out.len() == start {
            return Err(NoText);
        }
        out.push(b'\n');
        Ok(())
    })
}
