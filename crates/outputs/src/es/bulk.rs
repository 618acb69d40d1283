//! The body of a bulk: for each record a line that says what to do with it, and a line with the record.

use std::ops::Range;

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::{self, MsgpackError};
use flb_event::{Accessor, Chunk, Event, Scene, Tag, Template, Timestamp};
use flb_net::hex;
use sha2::{Digest, Sha256};

use super::dots::without_dots;
use crate::date::print;
use crate::dates::{Dates, Format};
use crate::json::{Field, close_with};

/// The longest name of a document that servers take.
const LONGEST_ID: usize = 512;
/// The longest beginning of an index that comes from a record.
const LONGEST_PREFIX: usize = 128;

/// What is to be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Index,
    Update,
    Upsert,
}

impl Operation {
    /// What the server calls it, and what stands before a record and behind it.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Create => ("create", "", ""),
            Self::Index => ("index", "", ""),
            Self::Update => ("update", "{\"doc\":", "}"),
            Self::Upsert => ("update", "{\"doc_as_upsert\":true,\"doc\":", "}"),
        }
    }

    /// Whether it is nothing without the name of a document.
    pub(super) fn needs_id(self) -> bool {
        matches!(self, Self::Update | Self::Upsert)
    }
}

/// Where records go.
#[derive(Debug)]
pub(super) enum Index {
    /// A name with the date of today in it, and what a record says.
    Named(Format),
    /// `logstash-2026.12.01`: a name, and the date of the record.
    Daily { prefix: String, of_record: Option<Template>, separator: String, date: Format },
}

/// Why a record cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    #[error(transparent)]
    Body(#[from] MsgpackError),
    #[error("it has none of what Index is made of")]
    NoIndex,
    #[error("it has no Id_Key, which says what to update")]
    NoId,
    #[error("its Id_Key has more than {LONGEST_ID} bytes")]
    LongId,
}

impl Unsendable {
    /// What kind of reason that is, for who counts.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Body(_) => "unprintable",
            Self::NoIndex => "index",
            Self::NoId | Self::LongId => "id",
        }
    }
}

/// How records are written.
#[derive(Debug)]
pub(super) struct Bulk {
    pub(super) operation: Operation,
    pub(super) index: Index,
    /// The type of documents, for servers that have such.
    pub(super) kind: Option<String>,
    pub(super) time_key: Field,
    pub(super) time_format: Format,
    pub(super) has_nanos: bool,
    /// Whether the time of the request stands for that of each record.
    pub(super) is_current: bool,
    pub(super) tag_key: Option<Field>,
    pub(super) id_key: Option<Accessor>,
    pub(super) makes_ids: bool,
    pub(super) replaces_dots: bool,
    pub(super) json: JsonOptions,
}

/// A body, and what is in it.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) body: Vec<u8>,
    /// The records in it, by their places in the chunk.
    pub(super) places: Vec<usize>,
    /// Those that are not.
    pub(super) unsendable: Vec<(usize, Unsendable)>,
}

/// What is used again from record to record.
struct Pen<'a> {
    printer: Printer,
    times: Dates<'a>,
    indices: Indices<'a>,
    now: Timestamp,
    tag: &'a Tag,
    index: Vec<u8>,
    undotted: Vec<u8>,
}

impl Bulk {
    /// The records of a chunk at these places, sent at this time.
    pub(super) fn request(&self, chunk: &Chunk, places: Range<usize>, now: Timestamp) -> Request {
        let mut request = Request::default();
        let mut pen = Pen {
            printer: Printer::new(self.json),
            times: self.time_format.dates(),
            indices: self.index.names(now),
            now,
            tag: chunk.tag(),
            index: Vec::new(),
            undotted: Vec::new(),
        };
        let events = chunk.records().enumerate().skip(places.start).take(places.len());
        for (at, event) in events {
            let start = request.body.len();
            match self.write(event, &mut pen, &mut request.body) {
                Ok(()) => request.places.push(at),
                Err(error) => {
                    request.body.truncate(start);
                    request.unsendable.push((at, error));
                }
            }
        }
        request
    }

    fn write(
        &self,
        event: Event<'_>,
        pen: &mut Pen<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        let time = if self.is_current { pen.now } else { event.time };
        self.write_action(event, time, pen, out)?;
        let (_, before, behind) = self.operation.words();
        out.extend_from_slice(before.as_bytes());
        self.write_record(event, time, pen, out)?;
        out.extend_from_slice(behind.as_bytes());
        out.push(b'\n');
        Ok(())
    }

    /// `{"create":{"_index":"logs","_type":"_doc","_id":"1"}}`
    fn write_action(
        &self,
        event: Event<'_>,
        time: Timestamp,
        pen: &mut Pen<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        pen.index.clear();
        pen.indices.write(
            &Scene { tag: pen.tag, body: event.body, captures: &[] },
            time,
            &mut pen.index,
        );
        if pen.index.is_empty() {
            return Err(Unsendable::NoIndex);
        }
        let id = self.id(event, pen.tag)?;
        let (operation, ..) = self.operation.words();
        print(out, format_args!("{{\"{operation}\":{{\"_index\":"));
        string(&pen.index, &mut pen.printer, out)?;
        for (name, value) in [("_type", self.kind.as_deref()), ("_id", id.as_deref())] {
            if let Some(value) = value {
                print(out, format_args!(",\"{name}\":"));
                string(value.as_bytes(), &mut pen.printer, out)?;
            }
        }
        out.extend_from_slice(b"}}\n");
        Ok(())
    }

    /// A record's name: what it says itself, or one that the same record always gets, so that it is not stored twice.
    fn id(&self, event: Event<'_>, tag: &Tag) -> Result<Option<String>, Unsendable> {
        let own = self.id_key.as_ref().and_then(|key| key.find_str(event.body));
        match own.filter(|id| !id.is_empty()) {
            Some(id) if id.len() > LONGEST_ID => Err(Unsendable::LongId),
            Some(id) => Ok(Some(String::from_utf8_lossy(id).into_owned())),
            None if self.makes_ids => Ok(Some(made_id(event, tag))),
            None if self.operation.needs_id() => Err(Unsendable::NoId),
            None => Ok(None),
        }
    }

    fn write_record(
        &self,
        event: Event<'_>,
        time: Timestamp,
        pen: &mut Pen<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        let mut body = event.body;
        if self.replaces_dots {
            pen.undotted.clear();
            without_dots(body, &mut pen.undotted)?;
            body = &pen.undotted;
        }
        let start = out.len();
        out.push(b'{');
        // Of two equal keys only the last is printed, and the body's come last.
        if !self.time_key.is_in(body)? {
            out.extend_from_slice(&self.time_key.json);
            let text = self.time(time, &mut pen.times);
            string(text.as_bytes(), &mut pen.printer, out)?;
        }
        if let Some(key) = &self.tag_key
            && !key.is_in(body)?
        {
            if out.len() > start + 1 {
                out.push(b',');
            }
            out.extend_from_slice(&key.json);
            string(pen.tag.as_str().as_bytes(), &mut pen.printer, out)?;
        }
        close_with(body, start, &mut pen.printer, out)
    }

    /// `2026-12-01T10:00:00.123Z`
    fn time(&self, time: Timestamp, dates: &mut Dates<'_>) -> String {
        let (date, nanos) = (dates.text(time.sec), time.nsec);
        match self.has_nanos {
            true => format!("{date}.{nanos:09}Z"),
            false => format!("{date}.{:03}Z", nanos / 1_000_000),
        }
    }
}

impl Index {
    /// What names indices, in a request that is made at this time.
    fn names(&self, now: Timestamp) -> Indices<'_> {
        match self {
            Self::Named(name) => {
                let name = name.dates().text(now.sec).to_owned();
                let template = Template::parse(&name);
                Indices::Named(template.map_err(|_| name))
            }
            Self::Daily { prefix, of_record, separator, date } => Indices::Daily {
                prefix,
                of_record: of_record.as_ref(),
                separator,
                dates: date.dates(),
            },
        }
    }
}

/// Names indices for the records of one request.
enum Indices<'a> {
    /// Or the name as it is, where today's date makes brackets wrong.
    Named(Result<Template, String>),
    Daily {
        prefix: &'a str,
        of_record: Option<&'a Template>,
        separator: &'a str,
        dates: Dates<'a>,
    },
}

impl Indices<'_> {
    fn write(&mut self, record: &Scene<'_>, time: Timestamp, out: &mut Vec<u8>) {
        match self {
            Self::Named(Ok(name)) => name.write(record, out),
            Self::Named(Err(name)) => out.extend_from_slice(name.as_bytes()),
            Self::Daily { prefix, of_record, separator, dates } => {
                if let Some(of_record) = of_record {
                    of_record.write(record, out);
                    shorten(out, LONGEST_PREFIX);
                }
                if out.is_empty() {
                    out.extend_from_slice(prefix.as_bytes());
                }
                out.extend_from_slice(separator.as_bytes());
                out.extend_from_slice(dates.text(time.sec).as_bytes());
            }
        }
    }
}

/// Leaves at most so many bytes, and no part of a character.
fn shorten(text: &mut Vec<u8>, most: usize) {
    let is_within = |byte: &u8| byte & 0xc0 == 0x80;
    let mut end = most;
    while end > 0 && text.get(end).is_some_and(is_within) {
        end -= 1;
    }
    text.truncate(end);
}

fn string(text: &[u8], printer: &mut Printer, out: &mut Vec<u8>) -> Result<(), MsgpackError> {
    let mut encoded = Vec::with_capacity(text.len() + 5);
    msgpack::write_str(&mut encoded, text);
    printer.print(&encoded, out)
}

/// A name as a UUID looks, made of the tag, the time and the record.
fn made_id(event: Event<'_>, tag: &Tag) -> String {
    let mut hash = Sha256::new();
    hash.update(tag.as_str());
    hash.update([0]);
    hash.update(event.time.sec.to_be_bytes());
    hash.update(event.time.nsec.to_be_bytes());
    hash.update(event.body);
    let digits = hex::digits(&hash.finalize()[..16]);
    let part = |range: Range<usize>| &digits[range];
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}
