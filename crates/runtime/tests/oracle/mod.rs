//! What must hold of a filter's answers, whatever they are: nothing panics, and what comes back is whole maps.
#![allow(clippy::unwrap_used, reason = "whoever checks sees the panic")]

mod batch;
mod functions;
mod library;

use std::time::Duration;

use flb_event::json::{JsonOptions, Printer};
use flb_event::{ChunkBuilder, Event, Tag, Timestamp, Verdict, msgpack};
use flb_runtime::{
    Answers, EngineOptions, EventFormat, FilterEngine, FilterError, FilterModule, FilterOptions,
    Part, Recycle,
};

pub(crate) use batch::Batches;
pub(crate) use library::Library;

/// A guest that answers what it is told to: the event's seconds are the address of its answer, from 65536 on as it is, below
/// that counted from the record. The nanoseconds are what its allocator, if it has one, gives at the next call.
const GUEST: &str = r#"
    (memory (export "memory") 2 3)
    (global $next (mut i32) (i32.const 1024))
    (func (export "filter") (param i32 i32 i32) (param $nsec i32) (param $record i32) (param i32) (result i32)
        (global.set $next (local.get $nsec))
        (select (i32.add (local.get $record) (local.get 2)) (local.get 2) (i32.lt_u (local.get 2) (i32.const 65536))))"#;
const ALLOCATOR: &str = r#"
    (func (export "malloc") (param $size i32) (result i32)
        (local $given i32)
        (local.set $given (global.get $next))
        (global.set $next (i32.add (global.get $next) (i32.add (local.get $size) (i32.const 16))))
        (local.get $given))
    (func (export "free") (param i32))"#;
const FREES: &str = r#"(func (export "flb_free_result") (param i32))"#;

/// Most bytes of a record that one call gets.
const MOST: usize = 4096;

/// The guests, each for JSON and for msgpack.
pub(crate) struct Calls(Vec<FilterModule>);

impl Calls {
    pub(crate) fn new() -> Self {
        let engine =
            FilterEngine::new(EngineOptions { no_signals: true, ..EngineOptions::default() });
        let engine = engine.unwrap();
        let guests = ["", ALLOCATOR, &format!("{ALLOCATOR}{FREES}")]
            .map(|more| wat::parse_str(format!("(module {GUEST} {more})")).unwrap());
        let formats = [EventFormat::Json { escape_unicode: true }, EventFormat::Msgpack];
        let load = |wasm: &Vec<u8>, format| {
            let options = FilterOptions {
                format,
                deadline: Duration::from_secs(10),
                recycle: Recycle { calls: Some(20), ..Recycle::default() },
                ..FilterOptions::new("filter")
            };
            FilterModule::load(&engine, wasm.clone(), options).unwrap()
        };
        Self(guests.iter().flat_map(|wasm| formats.map(|format| load(wasm, format))).collect())
    }

    /// The first byte chooses guest and format; then come calls: seconds, nanoseconds, a record's length in two bytes, and
    /// its text. A text that is a whole msgpack map is the record itself.
    pub(crate) fn check(&self, data: &[u8]) {
        let Some((choice, mut data)) = data.split_first() else { return };
        let mut filter = self.0[usize::from(*choice) % self.0.len()].instantiate().unwrap();
        let tag = Tag::new("fuzz").unwrap();
        while let Some((sec, nsec, text)) = next(&mut data) {
            let mut body = Vec::new();
            if msgpack::map_len(text) == Ok(text.len()) {
                body.extend_from_slice(text);
            } else {
                msgpack::write_map_header(&mut body, 1);
                msgpack::write_str(&mut body, "log");
                msgpack::write_str(&mut body, text);
            }
            let time = Timestamp { sec, nsec };
            let event = Event { time, metadata: Event::NO_METADATA, body: &body };
            let mut batch = ChunkBuilder::new(tag.clone());
            batch.push(event).unwrap();
            let mut checked = Checked(0);
            filter.filter(&batch.build(), &mut checked);
            assert_eq!(checked.0, 1, "each record has one answer");
        }
    }
}

fn next<'a>(data: &mut &'a [u8]) -> Option<(u32, u32, &'a [u8])> {
    let (sec, rest) = data.split_first_chunk()?;
    let (nsec, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length)).min(MOST).min(rest.len());
    let (text, rest) = rest.split_at(length);
    *data = rest;
    Some((u32::from_le_bytes(*sec), u32::from_le_bytes(*nsec), text))
}

/// How many answers were sound.
struct Checked(usize);

impl Answers for Checked {
    fn keep(&mut self, records: usize) {
        self.0 += records;
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        check_verdict(verdict, event.body);
        self.0 += 1;
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        for Part { event, .. } in parts {
            assert_eq!(msgpack::map_len(event.body), Ok(event.body.len()));
            assert_eq!(msgpack::map_len(event.metadata), Ok(event.metadata.len()));
        }
        self.0 += 1;
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        assert!(!error.to_string().is_empty());
        self.0 += 1;
    }
}

fn check_verdict(verdict: Verdict<'_>, body: &[u8]) {
    let mut printer = Printer::new(JsonOptions::default());
    let mut bodies = 0;
    for new in verdict.bodies(body) {
        assert_eq!(msgpack::map_len(new), Ok(new.len()), "{new:02x?}");
        let read = rmpv::decode::read_value_ref(&mut &*new).expect("another reader takes it, too");
        assert!(matches!(read, rmpv::ValueRef::Map(_)));
        let mut text = Vec::new();
        printer.print(new, &mut text).unwrap();
        bodies += 1;
    }
    assert_eq!(bodies == 0, verdict == Verdict::Drop);
    assert!(!matches!(verdict, Verdict::Split(_)) || bodies > 1);
}
