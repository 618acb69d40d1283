//! Filters under test: a host that lives in the test, and carries out verdicts as the agent does.
//!
//! Records go in and come out as JSON text. A panic of the filter is one of the test.

use std::borrow::ToOwned;
use std::format;
use std::string::String;
use std::vec::Vec;

use crate::abi::{self, Batch, Rec, StartBlock};
use crate::apply::{Wrong, apply, is_value};
use crate::value::{Kind, Value};
use crate::write::{Encode, Shape, Writer};
use crate::{Context, Record, Start, Time, Verdict, json};

/// What became of a record. It equals the JSON texts of the bodies that came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer(Result<Vec<Made>, String>);

/// A record that has left the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Its time.
    pub time: Time,
    /// Its tag.
    pub tag: String,
    /// Its metadata, as JSON text.
    pub metadata: String,
    /// Its body, as JSON text.
    pub body: String,
    /// Its body, as msgpack.
    pub msgpack: Vec<u8>,
}

impl Answer {
    /// The records that came of it: none if it was dropped, or is a failure.
    pub fn records(&self) -> &[Made] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Why it is a failure, if it is one.
    pub fn failure(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }
}

impl<const N: usize> PartialEq<[&str; N]> for Answer {
    fn eq(&self, bodies: &[&str; N]) -> bool {
        self.0.as_ref().is_ok_and(|made| made.iter().map(|made| &made.body).eq(bodies))
    }
}

/// Filters one record, which is a JSON object, under the tag `test`.
///
/// ```
/// use flb_filter::{Context, Record, Verdict, testing};
///
/// fn hide(record: &mut Record, _: &Context) -> Verdict {
///     if record.get("password").exists() { Verdict::Drop } else { Verdict::Keep }
/// }
///
/// assert_eq!(testing::run(hide, r#"{"user":"jane"}"#), [r#"{"user":"jane"}"#]);
/// assert_eq!(testing::run(hide, r#"{"password":"x"}"#), []);
/// ```
pub fn run(filter: impl Filter, record: &str) -> Answer {
    Host::new().run(filter, record)
}

/// A function that decides about a record.
pub trait Filter: for<'b> Fn(&mut Record<'b>, &Context<'b>) -> Verdict {}
impl<F: for<'b> Fn(&mut Record<'b>, &Context<'b>) -> Verdict> Filter for F {}

/// A host: what a filter is told beside the record.
///
/// ```
/// use flb_filter::{Context, Record, Verdict, testing::Host};
///
/// fn when(record: &mut Record, ctx: &Context) -> Verdict {
///     record.set("when", record.time().rfc3339());
///     record.set_tag(ctx.config("tag").as_str().unwrap_or("none"));
///     Verdict::Keep
/// }
///
/// let host = Host::new().tag("app").time(1_700_000_000, 5).config("tag", "web");
/// let answer = host.run(when, r#"{"a":1}"#);
/// assert_eq!(answer, [r#"{"a":1,"when":"2023-11-14T22:13:20.000000005Z"}"#]);
/// assert_eq!(answer.records()[0].tag, "web");
/// ```
#[derive(Clone, Debug)]
pub struct Host {
    tag: String,
    time: Time,
    metadata: Vec<u8>,
    config: Vec<(String, String)>,
    room: usize,
}

impl Default for Host {
    fn default() -> Self {
        let time = Time { sec: 1_700_000_000, nsec: 0 };
        let (tag, metadata, config) = ("test".to_owned(), [EMPTY_MAP].to_vec(), Vec::new());
        Self { tag, time, metadata, config, room: 65_536 }
    }
}

const EMPTY_MAP: u8 = 0x80;
const MOST: usize = 1 << 26;

impl Host {
    /// Tag `test`, a time in 2023, no metadata and no configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this tag.
    pub fn tag(self, tag: &str) -> Self {
        Self { tag: tag.to_owned(), ..self }
    }

    /// With this time.
    pub fn time(self, sec: u32, nsec: u32) -> Self {
        Self { time: Time { sec, nsec }, ..self }
    }

    /// With these metadata, a JSON object.
    pub fn metadata(self, metadata: &str) -> Self {
        Self { metadata: msgpack(metadata), ..self }
    }

    /// With a property of the configuration.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Calls what is called before the first record.
    pub fn start<E: AsRef<str>>(
        &self,
        start: impl for<'b> Fn(&Start<'b>) -> Result<(), E>,
    ) -> Result<(), String> {
        let (config, mut out) = (self.config_map(), std::vec![0; 65_536]);
        let mut block = StartBlock::of(&config, "wasm.0", &mut out);
        // SAFETY: the block is as the ABI has it.
        let (answer, reason) = unsafe {
            (abi::start(&raw mut block, start), abi::bytes(block.reason, block.reason_len))
        };
        if answer == 0 { Ok(()) } else { Err(String::from_utf8_lossy(reason).into_owned()) }
    }

    /// Filters one record, which is a JSON object.
    pub fn run(&self, filter: impl Filter, record: &str) -> Answer {
        self.msgpack(filter, &msgpack(record))
    }

    /// Filters one record, which is a msgpack map. Panics if it is none.
    pub fn msgpack(&self, filter: impl Filter, record: &[u8]) -> Answer {
        assert!(is_map(record), "a record is a map: {record:02x?}");
        let mut room = self.room;
        loop {
            match self.answer(&filter, record, room) {
                Some(answer) => return answer,
                None if room < MOST => room *= 8,
                None => return Answer(Err("its answer does not fit in the scratch memory".into())),
            }
        }
    }

    /// As [`Host::msgpack`], within that much room; `None` if it is too little.
    fn answer(&self, filter: impl Filter, record: &[u8], room: usize) -> Option<Answer> {
        let mut came = [&self.metadata, record, &[0; 16]].concat();
        let (meta, body) = (came.as_mut_ptr().cast_const(), self.metadata.len());
        let (config, mut out, mut edited) =
            (self.config_map(), std::vec![0; room], std::vec![0; room + record.len()]);
        let start = StartBlock::of(&config, "wasm.0", &mut []);
        let Time { sec, nsec } = self.time;
        let end = meta.wrapping_add(body + record.len());
        let mut recs = [Rec::new((sec, nsec), meta, meta.wrapping_add(body), end)];
        let now = u64::from(sec) * 1_000_000_000;
        let scratch = (out.as_mut_ptr(), room);
        let mut batch = Batch::of(&mut recs, &self.tag, scratch, now, &raw const start);
        let mut made = Vec::new();
        // SAFETY: the block is as the ABI has it, and so is what the filter leaves in it.
        unsafe {
            if abi::run(&raw mut batch, filter) != 0 {
                return None;
            }
            let mut edits = Writer::new(edited.as_mut_ptr(), edited.len());
            let applied = apply(&batch, &recs[0], &mut edits, |one| {
                made.push(Made {
                    time: one.time,
                    tag: String::from_utf8_lossy(one.tag).into_owned(),
                    metadata: text(one.metadata),
                    body: text(one.body),
                    msgpack: one.body.to_vec(),
                });
            });
            Some(Answer(match applied {
                Ok(()) => Ok(made),
                Err(Wrong::NoRoom) => return None,
                Err(Wrong::BadOutput(why)) => Err(format!("bad output: {why}")),
                Err(Wrong::Refused(why)) => Err(String::from_utf8_lossy(why).into_owned()),
            }))
        }
    }

    fn config_map(&self) -> Vec<u8> {
        filled(|to| {
            to.sized(Shape::Map, 0, |to| {
                for (key, value) in &self.config {
                    key.as_str().encode(to);
                    value.as_str().encode(to);
                }
                self.config.len()
            });
        })
    }
}

/// The msgpack of a JSON object. Panics if the text is none.
fn msgpack(text: &str) -> Vec<u8> {
    let mut parsed = None;
    let msgpack = filled(|to| parsed = json::parse(text, to));
    assert!(parsed.is_some() && is_map(&msgpack), "a record is a JSON object: {text}");
    msgpack
}

/// Whether the bytes are one map, and nothing else.
fn is_map(bytes: &[u8]) -> bool {
    let padded = [bytes, &[0; 16]].concat();
    // SAFETY: it is whole.
    is_value(&padded[..bytes.len()]) && unsafe { Value::at(padded.as_ptr()) }.kind() == Kind::Map
}

/// JSON text of msgpack that is whole.
fn text(msgpack: &[u8]) -> String {
    // SAFETY: the caller's promise.
    let value = unsafe { Value::at(msgpack.as_ptr()) };
    String::from_utf8_lossy(&filled(|to| json::print(value, to))).into_owned()
}

/// What is written, in as much room as it needs.
fn filled(mut write: impl FnMut(&mut Writer<'_>)) -> Vec<u8> {
    let mut room = std::vec![0; 4_096];
    loop {
        let start = room.as_mut_ptr();
        // SAFETY: the room is there.
        let mut to = unsafe { Writer::new(start, room.len()) };
        write(&mut to);
        if !to.is_full() {
            let len = to.written(start);
            room.truncate(len);
            return room;
        }
        assert!(room.len() < MOST, "more than a record may be");
        room = std::vec![0; 8 * room.len()];
    }
}

/// A line of the log, among what the test prints.
#[expect(clippy::print_stderr, reason = "what a test prints is shown when it fails")]
pub(crate) fn log(level: u32, line: &[u8]) {
    std::eprintln!("log {level}: {}", String::from_utf8_lossy(line));
}
