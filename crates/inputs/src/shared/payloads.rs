//! What clients of `tcp`, `udp` and `unix_socket` send: JSON values, or texts between separators; and how records are made of
//! it.

use std::time::Duration;

use flb_event::msgpack::map;
use flb_event::{ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp, msgpack};
use flb_net::stream::{Client, Left, Peer, stalled};
use flb_plugin::keys::{Choice, Key, Options, Text, Word};
use flb_plugin::log::{Label, excerpt};
use flb_plugin::{Build, BuildError, Context, keys};
use tokio::io::AsyncReadExt;

use super::complaints::{Complaint, Complaints};
use super::pieces::Pieces;
use super::records::{self, Entries, LineRecords};
use super::values::{Piece, Values};
use super::{datagrams, served};

keys! {
    /// The options of all three.
    pub(crate) const KEYS;
    FORMAT: Choice<Sent> = Key::new("format", "What clients send").default("json");
    SEPARATOR: Text = Key::new("separator", "What ends a text of format none").default("\\n");
    PARSER: Option<Text> = Key::new("parser", "Parser of each text of format none");
    CHUNK_SIZE: Text = Key::new("chunk_size", "Kilobytes to read at once, or 1m").default("32");
    BUFFER_SIZE: Option<Text> =
        Key::new("buffer_size", "Kilobytes a value or text may have, or 1m");
    SOURCE_ADDRESS_KEY: Option<Text> =
        Key::new("source_address_key", "Key for the client's address");
}

/// What clients are said to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Json,
    Text,
}

impl Word for Sent {
    const ALL: &'static [(&'static str, Self)] = &[("json", Self::Json), ("none", Self::Text)];
}

/// Key of a text.
const KEY: &str = "log";
/// Key of an array.
const ARRAY_KEY: &str = "msg";

/// A number of kilobytes, or a size with its unit, as bytes. A kilobyte has 1024 of them here.
fn kilobytes(name: &str, text: &str) -> Result<usize, BuildError> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let kilobytes = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "k" | "kb" => Some(1),
        "m" | "mb" => Some(1024),
        "g" | "gb" => Some(1024 * 1024),
        _ => None,
    };
    let number: Option<usize> = text[..text.len() - unit.len()].parse().ok();
    let bytes = number.zip(kilobytes).and_then(|(number, unit)| number.checked_mul(unit * 1024));
    let bytes = bytes.filter(|bytes| (1..=1 << 30).contains(bytes));
    let refused = || {
        BuildError::new(format!("{name} '{text}' is not a number of kilobytes up to 1 GB"))
            .help("use a plain number, such as 32, or one with k, m or g: 512k, 1m")
    };
    bytes.ok_or_else(refused)
}

/// The separator, with its escapes resolved.
fn separator(text: &str) -> Vec<u8> {
    let text = text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    text.replace("\\0", "\0").into_bytes()
}

/// What clients send.
enum Format {
    Json,
    /// Texts, each with the separator behind it.
    Text {
        separator: Vec<u8>,
        records: LineRecords,
    },
}

/// What makes records of what clients send.
pub(crate) struct Payloads {
    tag: Tag,
    format: Format,
    read: usize,
    /// Longest value or text.
    pub(crate) limit: usize,
    address_key: Option<String>,
    complaints: Complaints<Wrong>,
}

/// What all connections have in common.
pub(crate) struct Clients {
    pub(crate) payloads: Payloads,
    /// How long a value or text that has begun may stand still.
    pub(crate) patience: Duration,
}

impl served::Clients for Clients {
    type Wrong = Wrong;

    async fn serve(&self, client: Client, context: &dyn Context) -> Option<Left> {
        let Client { mut stream, peer, read: before, place } = client;
        let payloads = &self.payloads;
        let mut decoder = payloads.decoder(&peer);
        let mut data = vec![0; payloads.read];
        let mut ended = false;
        if let Some(before) = before {
            // It is no whole record, so no batch comes of it.
            decoder.feed(&before, context.now(), &mut ChunkBuilder::new(payloads.tag.clone()));
        }
        while !ended {
            let read = tokio::select! {
                biased;
                () = context.stopped() => {
                    if context.is_replaced() {
                        let read = decoder.rest().to_vec();
                        return Some(Left { stream, peer, read });
                    }
                    Ok(0)
                }
                read = stream.read(&mut data) => read,
                () = context.sleep(self.patience), if decoder.has_begun() => {
                    Err(stalled(self.patience))
                }
            };
            let mut batch = ChunkBuilder::new(payloads.tag.clone());
            match read {
                Ok(length) => {
                    ended = length == 0;
                    decoder.feed(&data[..length], context.now(), &mut batch);
                }
                Err(error) => {
                    payloads.complaints.add(Wrong::BrokenOff, &peer, error);
                    ended = true;
                }
            }
            if ended {
                decoder.finish(context.now(), &mut batch);
            }
            served::hand_on(batch, &place, context).await.ok()?;
        }
        None
    }

    fn complaints(&self) -> &Complaints<Wrong> {
        &self.payloads.complaints
    }
}

impl datagrams::Messages for Payloads {
    type Wrong = Wrong;
    const CUT: Wrong = Wrong::Cut;

    fn take(&self, datagram: &[u8], peer: &Peer, now: Timestamp, batch: &mut ChunkBuilder) {
        let mut decoder = self.decoder(peer);
        decoder.feed(datagram, now, batch);
        decoder.finish(now, batch);
    }

    fn complaints(&self) -> &Complaints<Wrong> {
        &self.complaints
    }
}

impl Payloads {
    /// As the options say, for the input called `plugin`.
    pub(crate) fn new(
        plugin: &str,
        options: &Options,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        let label = Label::input(plugin, build);
        let read = kilobytes(CHUNK_SIZE.name(), options.get(CHUNK_SIZE))?;
        let limit = options.get(BUFFER_SIZE).map(|text| kilobytes(BUFFER_SIZE.name(), text));
        let limit = limit.transpose()?.unwrap_or(read);
        let parser = records::parser(options.get(PARSER), build)?;
        let wants_json = options.get(FORMAT) == Sent::Json;
        if parser.is_some() && wants_json {
            tracing::warn!("{label} 'parser' is for format none, which is used now");
        }
        let format = if wants_json && parser.is_none() {
            Format::Json
        } else {
            Format::Text {
                separator: separator(options.get(SEPARATOR)),
                records: LineRecords::new(KEY, parser),
            }
        };
        Ok(Self {
            tag: build.tag.clone(),
            format,
            read: read.min(limit),
            limit,
            address_key: options.get(SOURCE_ADDRESS_KEY).map(str::to_owned),
            complaints: Complaints::new(label),
        })
    }

    /// The prefix of log lines.
    pub(crate) fn label(&self) -> &Label {
        self.complaints.label()
    }

    fn decoder<'a>(&'a self, peer: &'a Peer) -> Decoder<'a> {
        let mut entries = Vec::new();
        if let Some(key) = &self.address_key {
            msgpack::write_str(&mut entries, key);
            msgpack::write_str(&mut entries, peer.to_string());
        }
        Decoder {
            stream: match &self.format {
                Format::Json => Incoming::Json(Values::new(self.limit)),
                Format::Text { separator, records } => {
                    Incoming::Text { pieces: Pieces::new(separator, self.limit), records }
                }
            },
            entries,
            peer,
            complaints: &self.complaints,
        }
    }
}

/// What a client can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Invalid,
    Unexpected,
    TooLong,
    Cut,
    Unparsed,
    TooLarge,
    BrokenOff,
}

impl Complaint for Wrong {
    const ALL: &'static [Self] = &[
        Self::Invalid,
        Self::Unexpected,
        Self::TooLong,
        Self::Cut,
        Self::Unparsed,
        Self::TooLarge,
        Self::BrokenOff,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Invalid => "invalid JSON is skipped to the end of its line",
            Self::Unexpected => "a value that is no JSON map or array is skipped",
            Self::TooLong => "what is longer than buffer_size is skipped",
            Self::Cut => "a datagram above buffer_size is cut off",
            Self::Unparsed => "a text is kept unparsed",
            Self::TooLarge => "a record is lost",
            Self::BrokenOff => "the connection broke off",
        }
    }
}

/// What a connection's bytes are.
enum Incoming<'a> {
    Json(Values),
    Text { pieces: Pieces<'a>, records: &'a LineRecords },
}

/// Makes records of what one client sends.
struct Decoder<'a> {
    stream: Incoming<'a>,
    /// The client's address under its key, encoded; or nothing.
    entries: Vec<u8>,
    peer: &'a Peer,
    complaints: &'a Complaints<Wrong>,
}

impl Decoder<'_> {
    /// Adds the records that `data` completes to `batch`.
    fn feed(&mut self, data: &[u8], now: Timestamp, batch: &mut ChunkBuilder) {
        if let Incoming::Json(values) = &mut self.stream {
            values.feed(data);
        }
        self.take(data, false, now, batch);
    }

    /// What belongs to no record yet.
    fn rest(&self) -> &[u8] {
        match &self.stream {
            Incoming::Json(values) => values.rest(),
            Incoming::Text { pieces, .. } => pieces.rest(),
        }
    }

    /// Whether a value or text has begun and not ended.
    fn has_begun(&self) -> bool {
        match &self.stream {
            Incoming::Json(values) => !values.rest().trim_ascii().is_empty(),
            Incoming::Text { pieces, .. } => !pieces.rest().is_empty(),
        }
    }

    /// Adds what is left to `batch`, when no more will come.
    fn finish(&mut self, now: Timestamp, batch: &mut ChunkBuilder) {
        self.take(&[], true, now, batch);
    }

    fn take(&mut self, data: &[u8], ended: bool, now: Timestamp, batch: &mut ChunkBuilder) {
        let Self { stream, entries, peer, complaints } = self;
        let add = |wrong, text: &[u8], why: &str| {
            complaints.add(wrong, peer, format_args!("'{}'{why}", excerpt(text)));
        };
        let entries = Entries { count: u32::from(!entries.is_empty()), bytes: entries };
        match stream {
            Incoming::Json(values) => {
                let mut value = Vec::new();
                while let Some(piece) = values.next(ended, &mut value) {
                    let text = |range| &values.bytes()[range];
                    match piece {
                        Piece::Value(range) => match push_value(&value, now, entries, batch) {
                            Some(Ok(())) => {}
                            Some(Err(error)) => {
                                add(Wrong::TooLarge, text(range), &format!(" ({error})"));
                            }
                            None => add(Wrong::Unexpected, text(range), ""),
                        },
                        Piece::Broken(range, why) => {
                            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                            add(Wrong::Invalid, text(range), &why);
                        }
                        Piece::TooLong(range) => add(Wrong::TooLong, text(range), ""),
                    }
                }
            }
            Incoming::Text { pieces, records } => {
                let mut each = |piece: Result<&[u8], usize>| match piece {
                    Ok(b"") => {}
                    Ok(text) => match records.push(batch, now, text, entries) {
                        Ok(None) => {}
                        Ok(Some(error)) => add(Wrong::Unparsed, text, &format!(" ({error})")),
                        Err(error) => add(Wrong::TooLarge, text, &format!(" ({error})")),
                    },
                    Err(limit) => add(Wrong::TooLong, &[], &format!(" over {limit} bytes")),
                };
                pieces.feed(data, &mut each);
                if ended {
                    pieces.finish(&mut each);
                }
            }
        }
    }
}

/// Adds a map's record, or that of an array under a key; `None` for other values.
fn push_value(
    value: &[u8],
    now: Timestamp,
    entries: Entries<'_>,
    batch: &mut ChunkBuilder,
) -> Option<Result<(), RecordTooLarge>> {
    let kind = msgpack::Reader::new(value).next().ok()?;
    let is_array = match kind {
        msgpack::Value::Map(_) => false,
        msgpack::Value::Array(_) => true,
        _ => return None,
    };
    Some(batch.push_with(now, Event::NO_METADATA, |out| {
        let start = out.len();
        if is_array {
            msgpack::write_map_header(out, 1);
            msgpack::write_str(out, ARRAY_KEY);
        }
        out.extend_from_slice(value);
        if entries.count > 0 {
            map::append(out, start, entries.count, entries.bytes);
        }
        Ok(())
    }))
}
