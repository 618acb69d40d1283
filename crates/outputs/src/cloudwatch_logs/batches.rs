//! Records as batches of events: each of one stream, in the order of time, and within what a request may hold.

use std::collections::HashMap;
use std::sync::Arc;

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::{MsgpackError, Reader, Value};
use flb_event::{Accessor, Chunk, Event, Scene, Tag, Template};

use crate::date::print;
use crate::json::quote;

/// The most events of a batch.
const MOST_EVENTS: usize = 10_000;
/// The most bytes of a batch: those of all messages, and so many more for each.
const MOST_BYTES: usize = 1_048_576;
const EVENT: usize = 26;
/// The longest message.
const LONGEST: usize = 1_000_000;
/// The time that a batch may span, in milliseconds.
const SPAN: u64 = 24 * 60 * 60 * 1000;
/// The longest name of a group or a stream.
const LONGEST_NAME: usize = 512;

/// Which stream records go to.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) group: String,
    pub(super) stream: Name,
    pub(super) group_template: Option<Template>,
    pub(super) stream_template: Option<Template>,
}

/// What a stream is called whose record does not say so.
#[derive(Debug)]
pub(super) enum Name {
    Fixed(String),
    /// What the tag follows.
    BeforeTag(String),
}

/// A stream of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Stream {
    pub(super) group: String,
    pub(super) name: String,
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}

impl Streams {
    fn of(&self, tag: &Tag, body: &[u8]) -> Stream {
        let scene = Scene { tag, body, captures: &[] };
        let group = self.group_template.as_ref().and_then(|template| filled(template, &scene));
        let name = self.stream_template.as_ref().and_then(|template| filled(template, &scene));
        let otherwise = || match &self.stream {
            Name::Fixed(name) => name.clone(),
            Name::BeforeTag(prefix) => format!("{prefix}{}", tag.as_str()),
        };
        let is_in_group = |letter: char| letter.is_ascii_alphanumeric() || "-_/.#".contains(letter);
        let is_in_stream = |letter: char| !(letter.is_control() || ":*".contains(letter));
        Stream {
            group: allowed(&group.unwrap_or_else(|| self.group.clone()), is_in_group),
            name: allowed(&name.unwrap_or_else(otherwise), is_in_stream),
        }
    }
}

/// The text of a template, if the record has all that it names.
fn filled(template: &Template, scene: &Scene<'_>) -> Option<String> {
    if !template.fields().all(|field| field.find(scene.body).is_some()) {
        return None;
    }
    let mut text = Vec::new();
    template.write(scene, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    (!text.is_empty()).then_some(text)
}

/// A name that CloudWatch takes: with `_` in place of all else, and not too long.
fn allowed(name: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let letters = name.chars().map(|letter| if is_allowed(letter) { letter } else { '_' });
    let mut name: String = letters.collect();
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}

/// Why a record is no event.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    #[error(transparent)]
    Body(#[from] MsgpackError),
    #[error("it has no Log_Key")]
    NoKey,
    #[error("nothing is in it")]
    Empty,
}

impl Unsendable {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Body(_) => "unprintable",
            Self::NoKey => "log_key",
            Self::Empty => "empty",
        }
    }
}

/// The events of one request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) stream: Arc<Stream>,
    /// The places of their records in the chunk.
    pub(super) places: Vec<usize>,
    /// The request's body.
    pub(super) body: Vec<u8>,
}

/// What a chunk becomes.
#[derive(Debug, Default)]
pub(super) struct Batches {
    pub(super) batches: Vec<Batch>,
    /// Records that are no events, by their places.
    pub(super) unsendable: Vec<(usize, Unsendable)>,
    /// How many messages were cut.
    pub(super) truncated: usize,
}

/// What makes batches.
#[derive(Debug)]
pub(super) struct Packer {
    pub(super) streams: Streams,
    pub(super) log_key: Option<Accessor>,
    pub(super) json: JsonOptions,
}

/// A record as an event.
struct Entry {
    place: usize,
    /// In milliseconds.
    time: u64,
    message: Vec<u8>,
}

impl Packer {
    /// The batches of a chunk, by streams in the order in which these appear.
    pub(super) fn batches(&self, chunk: &Chunk) -> Batches {
        let mut printer = Printer::new(self.json);
        let mut made = Batches::default();
        let mut streams: Vec<(Arc<Stream>, Vec<Entry>)> = Vec::new();
        let mut known: HashMap<Arc<Stream>, usize> = HashMap::new();
        for (place, event) in chunk.records().enumerate() {
            let mut message = match self.message(event, &mut printer) {
                Ok(message) => message,
                Err(why) => {
                    made.unsendable.push((place, why));
                    continue;
                }
            };
            made.truncated += usize::from(cut(&mut message));
            let stream = Arc::new(self.streams.of(chunk.tag(), event.body));
            let at = *known.entry(Arc::clone(&stream)).or_insert(streams.len());
            if at == streams.len() {
                streams.push((stream, Vec::new()));
            }
            let time = u64::from(event.time.sec) * 1000 + u64::from(event.time.nsec / 1_000_000);
            streams[at].1.push(Entry { place, time, message });
        }
        for (stream, mut entries) in streams {
            // Those of one moment stay in their order.
            entries.sort_by_key(|entry| entry.time);
            made.batches.extend(runs(&entries).map(|run| batch(&stream, run, &mut printer)));
        }
        made
    }

    fn message(&self, event: Event<'_>, printer: &mut Printer) -> Result<Vec<u8>, Unsendable> {
        let value = match &self.log_key {
            Some(key) => key.find(event.body).ok_or(Unsendable::NoKey)?,
            None => event.body,
        };
        let mut message = Vec::new();
        match Reader::new(value).next()? {
            Value::Str(text) => message.extend_from_slice(text),
            _ => printer.print(value, &mut message)?,
        }
        match &*message {
            b"" | b"{}" => Err(Unsendable::Empty),
            _ => Ok(message),
        }
    }
}

/// Cuts a message to the longest that there may be, and says whether it had to.
fn cut(message: &mut Vec<u8>) -> bool {
    if message.len() <= LONGEST {
        return false;
    }
    // Not within a letter, if it is text.
    let is_inside = |at: &usize| message[*at] & 0b1100_0000 == 0b1000_0000;
    let end = (LONGEST - 3..=LONGEST).rev().find(|at| !is_inside(at)).unwrap_or(LONGEST);
    message.truncate(end);
    true
}

/// The runs of entries that fit into a request each.
fn runs(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.message.len() + EVENT;
            bytes <= MOST_BYTES && entry.time - first.time < SPAN
        };
        // The first one fits alone.
        let count = rest.iter().take(MOST_EVENTS).take_while(fits).count().max(1);
        let (run, others) = rest.split_at(count);
        rest = others;
        Some(run)
    })
}

fn batch(stream: &Arc<Stream>, run: &[Entry], printer: &mut Printer) -> Batch {
    let size: usize = run.iter().map(|entry| entry.message.len() + 64).sum();
    let mut body = Vec::with_capacity(size + 256);
    body.extend_from_slice(b"{\"logGroupName\":");
    quote(stream.group.as_bytes(), printer, &mut body);
    body.extend_from_slice(b",\"logStreamName\":");
    quote(stream.name.as_bytes(), printer, &mut body);
    body.extend_from_slice(b",\"logEvents\":[");
    for (number, entry) in run.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        print(&mut body, format_args!("{comma}{{\"timestamp\":{},\"message\":", entry.time));
        quote(&entry.message, printer, &mut body);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    let places = run.iter().map(|entry| entry.place).collect();
    Batch { stream: Arc::clone(stream), places, body }
}
