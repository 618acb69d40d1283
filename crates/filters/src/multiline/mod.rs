//! `multiline`: joins records whose texts belong together, such as the lines of a stack trace.
//!
//! It joins as the input tail does; what it is given as a line is a record's body, and the first one's time and metadata stay.

mod partial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp};
use flb_plugin::keys::{Bool, Choice, Int, Key, List, Many, Text, Word};
use flb_plugin::{
    Build, BuildError, Fate, Filter, MultilineParser, Options, Outlet, ParseError, Parsed, Parser,
    Spec, Table, Tally, keys,
};

use self::partial::Pieces;
use flb_parsers::multiline::{Join, Joined, Joiner, What, find_multiline};

keys! {
    const KEYS;
    MULTILINE_PARSER: Many<List> =
        Key::new("multiline.parser", "Multiline parsers: java, python").repeated();
    MULTILINE_KEY_CONTENT: Text =
        Key::new("multiline.key_content", "Key of the text").default("log");
    MODE: Choice<Mode> =
        Key::new("mode", "What tells that texts belong together").default("parser");
    BUFFER: Bool = Key::new("buffer", "Wait for more beyond a batch").default("on");
    FLUSH_MS: Int = Key::new("flush_ms", "How long to wait, in milliseconds").default("2000");
    EMITTER_NAME: Option<Text> =
        Key::new("emitter_name", "").idle("what is joined goes on at once");
    EMITTER_STORAGE_TYPE: Option<Text> =
        Key::new("emitter_storage.type", "").idle("what is joined goes on at once");
    EMITTER_MEM_BUF_LIMIT: Option<Text> =
        Key::new("emitter_mem_buf_limit", "").idle("what is joined goes on at once");
    DEBUG_FLUSH: Option<Bool> = Key::new("debug_flush", "").idle("see log_level");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "multiline",
    about: "Join records whose texts belong together",
    options: Table(&[KEYS]),
    build,
};

/// What tells that texts belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Parser,
    PartialMessage,
}

impl Word for Mode {
    const ALL: &'static [(&'static str, Self)] =
        &[("parser", Self::Parser), ("partial_message", Self::PartialMessage)];
}

/// How many tags are remembered of which nothing waits.
const IDLE_STREAMS: usize = 1000;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let key = options.get(MULTILINE_KEY_CONTENT);
    let millis = u64::try_from(options.get(FLUSH_MS)).unwrap_or_default();
    let wait = Duration::from_millis(millis);
    let names = options.get(MULTILINE_PARSER).concat();
    let way = match options.get(MODE) {
        Mode::PartialMessage => Way::Pieces { key: key.to_owned(), wait },
        Mode::Parser if names.is_empty() => {
            return Err(BuildError::new("no 'multiline.parser' is given")
                .help("say which records belong together: multiline.parser java, python"));
        }
        Mode::Parser => {
            let known = names.iter().map(|name| find_multiline(name, build));
            let parsers = known.map(|known| Ok(Arc::new(of_bodies(&*known?, key, wait))));
            Way::Parsers(parsers.collect::<Result<_, BuildError>>()?)
        }
    };
    Ok(Box::new(Multiline::new(
        Arc::new(way),
        options.get(BUFFER),
        build.service.multiline_limit(),
    )))
}

/// What tells that records belong together.
enum Way {
    Parsers(Arc<[Arc<MultilineParser>]>),
    Pieces { key: String, wait: Duration },
}

impl Way {
    fn start(&self, limit: usize) -> Box<dyn Join> {
        match self {
            Self::Parsers(parsers) => Box::new(Joiner::new(Arc::clone(parsers), limit)),
            Self::Pieces { key, wait } => Box::new(Pieces::new(key, *wait, limit)),
        }
    }
}

/// The parser for records that hold the text under `key`.
fn of_bodies(parser: &MultilineParser, key: &str, wait: Duration) -> MultilineParser {
    MultilineParser {
        parser: Some(Arc::new(AsItIs)),
        key_content: Some(key.to_owned()),
        flush_timeout: wait,
        ..parser.clone()
    }
}

/// Takes a body for a line that is parsed.
struct AsItIs;

impl Parser for AsItIs {
    fn parse(&self, line: &[u8], _: Timestamp, body: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        body.extend_from_slice(line);
        Ok(Parsed { time: None })
    }
}

struct Multiline {
    way: Arc<Way>,
    /// Whether records wait for those of later batches.
    waits: bool,
    /// The most bytes of records that are joined.
    limit: usize,
    /// Those of which something waits, or the state counts for what comes.
    streams: BTreeMap<Tag, Stream>,
}

impl Multiline {
    fn new(way: Arc<Way>, waits: bool, limit: usize) -> Self {
        Self { way, waits, limit, streams: BTreeMap::new() }
    }
}

impl Filter for Multiline {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let tag = batch.tag().clone();
        let mut stream =
            self.streams.remove(&tag).unwrap_or_else(|| Stream::new(self.way.start(self.limit)));
        let mut out = Outcome::new(&stream, &tag);
        for event in batch.records() {
            stream.take(&event, outlet.now(), &mut out);
        }
        if !self.waits {
            stream.join(&mut out, |join, out| join.flush(out));
        }
        out.end(batch.len() as u64, outlet);
        if self.streams.len() >= IDLE_STREAMS {
            self.streams.retain(|_, stream| stream.waits());
        }
        if stream.waits() || stream.join.remembers() {
            self.streams.insert(tag, stream);
        }
    }

    fn release(&mut self, outlet: &mut Outlet, is_end: bool) {
        let now = outlet.now();
        self.streams.retain(|tag, stream| {
            let mut out = Outcome::new(stream, tag);
            stream.join(&mut out, |join, out| match is_end {
                true => join.flush(out),
                false => join.flush_due(now, out),
            });
            out.end(0, outlet);
            stream.waits() || stream.join.remembers()
        });
    }

    fn joins_batches(&self) -> bool {
        true
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self::new(Arc::clone(&self.way), self.waits, self.limit)))
    }
}

/// The records of one tag.
struct Stream {
    join: Box<dyn Join>,
    /// What is known of those that may be the first of several, by their numbers.
    heads: BTreeMap<u64, Head>,
    /// The number of the next record.
    next: u64,
}

struct Head {
    time: Timestamp,
    metadata: Vec<u8>,
}

impl Stream {
    fn new(join: Box<dyn Join>) -> Self {
        Self { join, heads: BTreeMap::new(), next: 0 }
    }

    fn waits(&self) -> bool {
        self.join.waits_from().is_some()
    }

    fn take(&mut self, event: &Event<'_>, now: Timestamp, out: &mut Outcome) {
        let number = self.next;
        self.next += 1;
        self.heads.insert(number, Head { time: event.time, metadata: event.metadata.to_vec() });
        self.join(out, |join, out| join.push(event.body, number, now, out));
    }

    /// Has lines joined, and forgets the heads of those that came out.
    fn join(
        &mut self,
        out: &mut Outcome,
        work: impl FnOnce(&mut dyn Join, &mut dyn FnMut(Joined<'_>)),
    ) {
        let heads = &self.heads;
        work(&mut *self.join, &mut |joined| out.add(&joined, heads.get(&joined.offset)));
        let first = self.join.waits_from().unwrap_or(self.next);
        self.heads = self.heads.split_off(&first);
    }
}

/// What comes out of the records of a batch.
struct Outcome {
    builder: ChunkBuilder,
    tally: Tally,
    /// The number of the batch's first record.
    first: u64,
}

impl Outcome {
    fn new(stream: &Stream, tag: &Tag) -> Self {
        let (builder, tally) = (ChunkBuilder::new(tag.clone()), Tally::default());
        Self { builder, tally, first: stream.next }
    }

    fn add(&mut self, joined: &Joined<'_>, head: Option<&Head>) {
        let (What::Text(body) | What::Body(body)) = joined.what;
        let time = head.map_or(joined.time, |head| head.time);
        let metadata = head.map_or(Event::NO_METADATA, |head| head.metadata.as_slice());
        let pushed: Result<(), RecordTooLarge> = self.builder.push(Event { time, metadata, body });
        match (&joined.what, pushed) {
            (_, Err(_)) => self.tally.fail(Fate::Dropped),
            _ if joined.offset < self.first => self.tally.emitted_extra += 1,
            (What::Text(_), Ok(())) => self.tally.kept += 1,
            (What::Body(_), Ok(())) => self.tally.replaced += 1,
        }
    }

    /// Of so many records; those that became part of another one, or wait, are gone.
    fn end(self, records: u64, outlet: &mut Outlet) {
        let mut tally = self.tally;
        tally.dropped = records.saturating_sub(tally.records());
        outlet.count(&tally);
        outlet.pass(self.builder.build());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{self as testing, NOW};

    const LATER: Timestamp = Timestamp { sec: NOW.sec + 2, nsec: 0 };

    fn filter(given: &[(&str, &str)]) -> Box<dyn Filter> {
        testing::build(&SPEC, given).unwrap()
    }

    /// What is released at a time.
    fn released(filter: &mut dyn Filter, now: Timestamp, is_end: bool) -> Outlet {
        let mut outlet = Outlet::new(now);
        filter.release(&mut outlet, is_end);
        outlet
    }

    fn shown(outlets: &[Outlet]) -> String {
        let records = outlets.iter().flat_map(Outlet::passed).flat_map(Chunk::records);
        let texts =
            records.map(|event| format!("{} {}", event.time.sec, testing::json_text(event.body)));
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Gives batches to the filter, and then all that waits.
    fn check(given: &[(&str, &str)], batches: &[&[&str]], expected: &[&str]) {
        let mut filter = filter(given);
        let (mut second, mut taken, mut out) = (0, 0, Vec::new());
        for batch in batches {
            let records = batch.iter().map(|record| {
                second += 1;
                (second, 0, *record)
            });
            let batch_of = testing::chunk("t", &records.collect::<Vec<_>>());
            let outlet = testing::given(&mut *filter, batch_of);
            assert_eq!(outlet.tally().records(), batch.len() as u64);
            let passed: usize = outlet.passed().iter().map(Chunk::len).sum();
            assert_eq!(outlet.tally().emitted(), passed as u64);
            taken += batch.len();
            out.push(outlet);
        }
        out.push(released(&mut *filter, LATER, true));
        assert!(released(&mut *filter, LATER, true).passed().is_empty());
        assert_eq!(shown(&out), expected.join("\n"));
        let gone: u64 = out.iter().map(|outlet| outlet.tally().removed()).sum();
        let extra: u64 = out.iter().map(|outlet| outlet.tally().emitted_extra).sum();
        let left: usize = out.iter().flat_map(Outlet::passed).map(Chunk::len).sum();
        assert_eq!(taken as u64 - gone + extra, left as u64);
    }

    const JAVA: &[&str] = &[
        r#"{"log":"one","n":1}"#,
        r#"{"log":"java.lang.Exception: no\n","n":2}"#,
        r#"{"log":"\tat a.B.c(B.java:1)","n":3}"#,
    ];

    #[test]
    fn records_of_a_trace_become_one_with_the_first_one_s_other_fields() {
        let joined = r#"2 {"log":"java.lang.Exception: no\n\tat a.B.c(B.java:1)\n\tat d.E.f(E.java:2)","n":2}"#;
        let rest =
            [r#"{"log":"\tat d.E.f(E.java:2)","n":4}"#, r#"{"log":"two"}"#, r#"{"other":"\tat"}"#];
        let expected =
            [r#"1 {"log":"one","n":1}"#, joined, r#"5 {"log":"two"}"#, r#"6 {"other":"\tat"}"#];
        let given = [("multiline.parser", "python, java"), ("multiline.key_content", "log")];
        check(&given, &[&[JAVA, &rest].concat()], &expected);
        check(&given, &[JAVA, &rest], &expected);
    }

    #[test]
    fn without_a_buffer_nothing_waits_beyond_its_batch() {
        check(
            &[("multiline.parser", "java"), ("buffer", "off")],
            &[JAVA, &[r#"{"log":"\tat d.E.f(E.java:2)"}"#]],
            &[
                r#"1 {"log":"one","n":1}"#,
                r#"2 {"log":"java.lang.Exception: no\n\tat a.B.c(B.java:1)","n":2}"#,
                r#"4 {"log":"\tat d.E.f(E.java:2)"}"#,
            ],
        );
    }

    #[test]
    fn a_record_that_no_rule_takes_leaves_the_state_as_it_is() {
        let frame = |n: u32| format!(r#"{{"log":"\tat {n}"}}"#);
        check(
            &[("multiline.parser", "java")],
            &[JAVA, &[r#"{"log":"2024 a"}"#], &[r#"{"log":"b"}"#, &frame(1)], &[&frame(2)]],
            &[
                r#"1 {"log":"one","n":1}"#,
                r#"2 {"log":"java.lang.Exception: no\n\tat a.B.c(B.java:1)","n":2}"#,
                r#"4 {"log":"2024 a"}"#,
                r#"5 {"log":"b"}"#,
                r#"6 {"log":"\tat 1\n\tat 2"}"#,
            ],
        );
    }

    #[test]
    fn what_waited_long_enough_is_released() {
        let mut filter = filter(&[("multiline.parser", "java"), ("flush_ms", "2000")]);
        let records: Vec<_> = JAVA[1..].iter().map(|record| (7, 0, *record)).collect();
        for tag in ["a", "b"] {
            let outlet = testing::given(&mut *filter, testing::chunk(tag, &records));
            assert!(outlet.passed().is_empty());
        }
        assert!(released(&mut *filter, NOW, false).passed().is_empty());
        let late = released(&mut *filter, LATER, false);
        let tags: Vec<&str> = late.passed().iter().map(|chunk| chunk.tag().as_str()).collect();
        assert_eq!(tags, ["a", "b"]);
        assert!(released(&mut *filter, LATER, true).passed().is_empty());
    }

    #[test]
    fn pieces_of_a_message_are_joined_by_their_id() {
        let piece = |id: &str, text: &str, last: &str| {
            format!(
                r#"{{"c":"x","partial_message":"true","partial_id":"{id}","partial_ordinal":"1","partial_last":"{last}","log":"{text}"}}"#
            )
        };
        let (first, other) = (piece("1", "one ", "false"), piece("2", "three", "false"));
        let (last, whole) = (piece("1", "two", "true"), r#"{"log":"whole"}"#);
        check(
            &[("mode", "partial_message"), ("multiline.key_content", "log")],
            &[&[&first, &other], &[whole, &last]],
            &[
                r#"3 {"log":"whole"}"#,
                r#"1 {"c":"x","log":"one two"}"#,
                r#"2 {"c":"x","log":"three"}"#,
            ],
        );
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for (given, words) in [
            (&[][..], "no 'multiline.parser' is given"),
            (&[("multiline.parser", "cobol")], "multiline parser 'cobol' is not known"),
        ] {
            let error = testing::build(&SPEC, given).map(drop).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
    }
}
