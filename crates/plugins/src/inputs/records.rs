//! Makes records of lines: what a parser finds in a line, or the line itself under a key.

use std::sync::Arc;

use flb_event::{ChunkBuilder, Event, RecordTooLarge, Timestamp, msgpack};
use flb_plugin::{Build, BuildError, Options, ParseError, Parser};

use crate::map;

/// The parser that the option `parser` names. Unlike an input that runs without it, a name that nobody knows is an error.
pub(super) fn parser(
    options: &Options,
    build: &Build<'_>,
) -> Result<Option<Arc<dyn Parser>>, BuildError> {
    let Some(name) = options.text("parser") else { return Ok(None) };
    let Some(parser) = build.parsers.find(name) else {
        let known: Vec<&str> = build.parsers.names().collect();
        return Err(BuildError::new(format!("parser '{name}' is not known"))
            .help(format!("known parsers are: {}", known.join(", "))));
    };
    Ok(Some(parser.clone()))
}

/// Entries that go into every record of a source, encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries<'a> {
    /// How many.
    pub count: u32,
    /// Keys and values.
    pub bytes: &'a [u8],
}

impl Entries<'_> {
    /// No entries.
    pub(super) const NONE: Entries<'static> = Entries { count: 0, bytes: &[] };
}

/// Why a record was not added in one go.
enum Setback {
    TooLarge(RecordTooLarge),
    Unparsable(ParseError),
    /// The line says its own time, and that must be known before the body is written.
    Timed(Timestamp),
}

impl From<RecordTooLarge> for Setback {
    fn from(error: RecordTooLarge) -> Self {
        Self::TooLarge(error)
    }
}

/// Turns lines into records.
pub(super) struct LineRecords {
    /// The key of a line that is not parsed, encoded.
    key: Vec<u8>,
    parser: Option<Arc<dyn Parser>>,
    /// Holds the body of a record that says its own time.
    timed: Vec<u8>,
}

impl LineRecords {
    /// Records by `parser`; lines without one, or that it refuses, stand under `key`.
    pub(super) fn new(key: &str, parser: Option<Arc<dyn Parser>>) -> Self {
        let mut encoded = Vec::new();
        msgpack::write_str(&mut encoded, key);
        Self { key: encoded, parser, timed: Vec::new() }
    }

    /// Adds a line's record to `batch`. `entries` stand before the line, and behind what the parser found. The error that
    /// may come back is the parser's: the record then holds the line itself.
    pub(super) fn push(
        &mut self,
        batch: &mut ChunkBuilder,
        now: Timestamp,
        line: &[u8],
        entries: Entries<'_>,
    ) -> Result<Option<ParseError>, RecordTooLarge> {
        let Some(parser) = &self.parser else {
            return self.push_raw(batch, now, line, entries).map(|()| None);
        };
        let timed = &mut self.timed;
        let pushed = batch.push_with(now, Event::NO_METADATA, |out| {
            let start = out.len();
            let parsed = parser.parse(line, now, out).map_err(Setback::Unparsable)?;
            if entries.count > 0 {
                map::append(out, start, entries.count, entries.bytes);
            }
            let Some(time) = parsed.time else { return Ok(()) };
            timed.clear();
            timed.extend_from_slice(&out[start..]);
            Err(Setback::Timed(time))
        });
        match pushed {
            Ok(()) => Ok(None),
            Err(Setback::TooLarge(error)) => Err(error),
            Err(Setback::Unparsable(error)) => {
                self.push_raw(batch, now, line, entries).map(|()| Some(error))
            }
            Err(Setback::Timed(time)) => {
                let event = Event { time, metadata: Event::NO_METADATA, body: &self.timed };
                batch.push(event).map(|()| None)
            }
        }
    }

    fn push_raw(
        &self,
        batch: &mut ChunkBuilder,
        now: Timestamp,
        line: &[u8],
        entries: Entries<'_>,
    ) -> Result<(), RecordTooLarge> {
        batch.push_with(now, Event::NO_METADATA, |out| {
            msgpack::write_map_header(out, entries.count + 1);
            out.extend_from_slice(entries.bytes);
            out.extend_from_slice(&self.key);
            msgpack::write_str(out, line);
            Ok(())
        })
    }
}
