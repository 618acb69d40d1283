//! Makes records of lines: what a parser finds in a line, or the line itself under a key.

use std::sync::Arc;
use std::time::Duration;

use flb_event::{ChunkBuilder, Event, RecordTooLarge, Timestamp, msgpack};
use flb_plugin::{Build, BuildError, ParseError, Parser};

use super::clock;

use flb_event::msgpack::map;
use flb_parsers::multiline::{Joined, What};
use flb_plugin::log::Mishaps;

/// The parser that an option names. Unlike an input that runs without it, a name that nobody knows is an error.
pub(crate) fn parser(
    name: Option<&str>,
    build: &Build<'_>,
) -> Result<Option<Arc<dyn Parser>>, BuildError> {
    name.map(|name| find_parser(name, build)).transpose()
}

/// The parser with this name.
pub(crate) fn find_parser(name: &str, build: &Build<'_>) -> Result<Arc<dyn Parser>, BuildError> {
    build.parsers.find(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = build.parsers.names().collect();
        BuildError::new(format!("parser '{name}' is not known"))
            .help(format!("known parsers are: {}", known.join(", ")))
    })
}

/// Entries that go into every record of a source, encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries<'a> {
    /// How many.
    pub count: u32,
    /// Keys and values.
    pub bytes: &'a [u8],
}

impl Entries<'_> {
    /// No entries.
    pub(crate) const NONE: Entries<'static> = Entries { count: 0, bytes: &[] };
}

/// Why a record was not added.
enum Setback {
    TooLarge(RecordTooLarge),
    Unparsable(ParseError),
    /// The line says a time that is too long ago.
    Old,
}

impl From<RecordTooLarge> for Setback {
    fn from(error: RecordTooLarge) -> Self {
        Self::TooLarge(error)
    }
}

/// Turns lines into records.
pub(crate) struct LineRecords {
    /// The key of a line that is not parsed, encoded.
    key: Vec<u8>,
    parser: Option<Arc<dyn Parser>>,
    /// Records that say an older time are passed over.
    max_age: Option<Duration>,
    /// Counts them.
    old: Mishaps,
}

impl LineRecords {
    /// Records by `parser`; lines without one, or that it refuses, stand under `key`.
    pub(crate) fn new(key: &str, parser: Option<Arc<dyn Parser>>) -> Self {
        let mut encoded = Vec::new();
        msgpack::write_str(&mut encoded, key);
        Self { key: encoded, parser, max_age: None, old: Mishaps::default() }
    }

    /// Passes over records that say a time so long ago.
    pub(crate) fn ignore_older(mut self, max_age: Option<Duration>) -> Self {
        self.max_age = max_age;
        self
    }

    /// Adds a line's record to `batch`. `entries` stand before the line, and behind what the parser found. The error that
    /// may come back is the parser's: the record then holds the line itself.
    pub(crate) fn push(
        &self,
        batch: &mut ChunkBuilder,
        now: Timestamp,
        line: &[u8],
        entries: Entries<'_>,
    ) -> Result<Option<ParseError>, RecordTooLarge> {
        let Some(parser) = &self.parser else {
            return self.push_raw(batch, now, line, entries).map(|()| None);
        };
        let pushed = batch.push_timed(now, Event::NO_METADATA, |out| {
            let start = out.len();
            let parsed = parser.parse(line, now, out).map_err(Setback::Unparsable)?;
            if entries.count > 0 {
                map::append(out, start, entries.count, entries.bytes);
            }
            match parsed.time {
                Some(time) if self.is_old(time, now) => Err(Setback::Old),
                time => Ok(time),
            }
        });
        match pushed {
            Ok(()) | Err(Setback::Old) => Ok(None),
            Err(Setback::TooLarge(error)) => Err(error),
            Err(Setback::Unparsable(error)) => {
                self.push_raw(batch, now, line, entries).map(|()| Some(error))
            }
        }
    }

    /// Adds a record of lines that were joined. `entries` stand before a text, and behind what parsers found.
    pub(crate) fn push_joined(
        &self,
        batch: &mut ChunkBuilder,
        now: Timestamp,
        joined: &Joined<'_>,
        entries: Entries<'_>,
    ) -> Result<(), RecordTooLarge> {
        match joined.what {
            What::Text(text) => self.push_raw(batch, joined.time, text, entries),
            What::Body(_) if self.is_old(joined.time, now) => Ok(()),
            What::Body(body) => batch.push_with(joined.time, Event::NO_METADATA, |out| {
                let start = out.len();
                out.extend_from_slice(body);
                if entries.count > 0 {
                    map::append(out, start, entries.count, entries.bytes);
                }
                Ok(())
            }),
        }
    }

    /// Whether a record is passed over for its age; it is counted then.
    fn is_old(&self, time: Timestamp, now: Timestamp) -> bool {
        let is_old = self.max_age.is_some_and(|max_age| clock::between(time, now) > max_age);
        if is_old && let Some(total) = self.old.another() {
            tracing::info!("records older than ignore_older are passed over ({total} so far)");
        }
        is_old
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

#[cfg(test)]
mod tests {
    use flb_event::Tag;
    use flb_harness::{build, json_text};

    use super::*;

    const NOW: Timestamp = Timestamp { sec: 100, nsec: 0 };

    /// What becomes of lines, with a parser of JSON whose time is under `t`, and with an entry for all of them.
    fn check(max_age: Option<u64>, parses: bool, lines: &[&str], expected: &[&str]) {
        let json = flb_parsers::ALL.iter().find(|spec| spec.name == "json").unwrap();
        let given = [("time_key", "t"), ("time_format", "%s"), ("time_strict", "off")];
        let parser = parses.then(|| Arc::from(build(json, &given).unwrap()));
        let records =
            LineRecords::new("log", parser).ignore_older(max_age.map(Duration::from_secs));
        let mut batch = ChunkBuilder::new(Tag::new("t").unwrap());
        let entries = Entries { count: 1, bytes: b"\xa4file\xa1f" };
        for line in lines {
            records.push(&mut batch, NOW, line.as_bytes(), entries).unwrap();
        }
        let batch = batch.build();
        let shown = batch.records().map(|event| (event.time.sec, json_text(event.body)));
        let shown: Vec<String> = shown.map(|(sec, body)| format!("{sec} {body}")).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn entries_stand_before_a_line_and_behind_what_a_parser_found() {
        check(None, false, &["{}"], &[r#"100 {"file":"f","log":"{}"}"#]);
        check(
            None,
            true,
            &[r#"{"a":1}"#, "no"],
            &[r#"100 {"a":1,"file":"f"}"#, r#"100 {"file":"f","log":"no"}"#],
        );
    }

    #[test]
    fn a_time_in_a_line_stands_for_now_and_may_be_too_old() {
        let lines = [r#"{"t":"98","a":1}"#, r#"{"t":"80","a":2}"#, r#"{"a":3}"#];
        let [young, old, timeless] =
            [r#"98 {"a":1,"file":"f"}"#, r#"80 {"a":2,"file":"f"}"#, r#"100 {"a":3,"file":"f"}"#];
        check(None, true, &lines, &[young, old, timeless]);
        check(Some(10), true, &lines, &[young, timeless]);
    }
}
