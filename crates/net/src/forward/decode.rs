//! The Forward protocol's messages, from bytes that nobody has checked. Pure: bytes in, records out.

use std::borrow::Cow;
use std::io::Read;

use flb_event::msgpack::{MAX_DEPTH, MsgpackError, Reader, Value, map_header};
use flb_event::{Event, Timestamp};

use crate::unzstd::unzstd;

/// Why a message, or the rest of one, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The bytes are no msgpack.
    #[error(transparent)]
    Msgpack(#[from] MsgpackError),
    /// Msgpack, but not what the protocol asks for.
    #[error("{0}")]
    Shape(&'static str),
    /// `compressed` names what this agent does not know.
    #[error("compression '{0}' is not known: use gzip or zstd")]
    Compression(String),
    /// The compressed data is damaged.
    #[error("damaged {0} data: {1}")]
    Damaged(&'static str, String),
    /// Decompressed, the message is above the limit.
    #[error("decompressed, the message is longer than {0} bytes")]
    Bomb(usize),
}

/// Finds the end of a value whose bytes are still coming in. Each byte is looked at once.
#[derive(Debug, Default)]
pub struct Scan {
    at: usize,
    /// How many values each open container still waits for.
    waiting: Vec<u64>,
}

impl Scan {
    /// The value's length, once all of it is there. `data` begins with the value and has grown since the last call.
    pub fn advance(&mut self, data: &[u8]) -> Result<Option<usize>, MsgpackError> {
        loop {
            let mut reader = Reader::new(data.get(self.at..).unwrap_or_default());
            let value = match reader.next() {
                Ok(value) => value,
                Err(MsgpackError::Truncated { .. }) => return Ok(None),
                Err(MsgpackError::BadMarker { at }) => {
                    return Err(MsgpackError::BadMarker { at: self.at + at });
                }
                Err(other) => return Err(other),
            };
            let elements = match value {
                Value::Array(length) => Some(u64::from(length)),
                Value::Map(length) => Some(u64::from(length) * 2),
                _ => None,
            };
            if elements.is_some() && self.waiting.len() == MAX_DEPTH {
                return Err(MsgpackError::TooDeep { at: self.at });
            }
            let elements = elements.unwrap_or(0);
            if elements > 0 {
                self.waiting.push(elements);
            }
            self.at += reader.position();
            if elements > 0 {
                continue;
            }
            while let Some(left) = self.waiting.last_mut() {
                *left -= 1;
                if *left > 0 {
                    break;
                }
                self.waiting.pop();
            }
            if self.waiting.is_empty() {
                return Ok(Some(self.at));
            }
        }
    }
}

/// A message: a tag and what holds its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The sender's tag; nobody promises that it is UTF-8.
    pub tag: &'a [u8],
    /// The records, not yet looked at.
    pub entries: Entries<'a>,
    /// What the sender wants to have acknowledged: the `chunk` option's value, encoded.
    pub chunk: Option<&'a [u8]>,
    /// Logs, by the `fluent_signal` option; others are metrics and traces.
    pub is_logs: bool,
}

/// What holds a message's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entries<'a> {
    /// `[tag, time, record]`: one record, its time and body one behind the other.
    One(&'a [u8]),
    /// `[tag, [[time, record], ..]]`, `[tag, "..."]`: entries one behind the other.
    Many(&'a [u8]),
    /// The same, compressed.
    Packed(Packing, &'a [u8]),
}

/// By what entries are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As Fluent Bit does.
    Gzip,
    /// As newer Fluentd does.
    Zstd,
}

/// Reads the outside of a whole message.
pub fn message(data: &[u8]) -> Result<Message<'_>, ForwardError> {
    let mut reader = Reader::new(data);
    let Value::Array(length @ 2..=4) = reader.next()? else {
        return Err(ForwardError::Shape("a message must be an array of two to four"));
    };
    let Value::Str(tag) = reader.next()? else {
        return Err(ForwardError::Shape("a message must begin with a tag"));
    };
    let second = reader.position();
    let mut behind = reader.clone();
    let (entries, used) = match reader.next()? {
        Value::Array(_) => {
            behind.skip()?;
            (Entries::Many(&data[reader.position()..behind.position()]), 2)
        }
        Value::Bin(packed) | Value::Str(packed) => {
            behind.skip()?;
            (Entries::Many(packed), 2)
        }
        _ if length >= 3 => {
            behind.skip()?;
            behind.skip()?;
            (Entries::One(&data[second..behind.position()]), 3)
        }
        _ => return Err(ForwardError::Shape("a message must have records")),
    };
    let mut message = Message { tag, entries, chunk: None, is_logs: true };
    match length - used {
        0 => {}
        1 => message.take_options(behind.skip()?)?,
        _ => return Err(ForwardError::Shape("a message has more than its options at the end")),
    }
    Ok(message)
}

impl<'a> Message<'a> {
    fn take_options(&mut self, options: &'a [u8]) -> Result<(), ForwardError> {
        let mut reader = Reader::new(options);
        let count = match reader.next()? {
            Value::Map(count) => count,
            // Some senders say that they have no options.
            Value::Nil => 0,
            _ => return Err(ForwardError::Shape("a message's options must be a map")),
        };
        for _ in 0..count {
            let key = reader.skip()?;
            let raw = reader.skip()?;
            let Value::Str(key) = Reader::new(key).next()? else { continue };
            let value = Reader::new(raw).next()?;
            match (key, value) {
                (b"chunk", Value::Nil) => {}
                (b"chunk", _) => self.chunk = Some(raw),
                (b"fluent_signal", Value::Uint(signal)) => self.is_logs = signal == 0,
                (b"compressed", Value::Str(b"text")) => {}
                (b"compressed", Value::Str(b"gzip")) => self.unpack_by(Packing::Gzip)?,
                (b"compressed", Value::Str(b"zstd")) => self.unpack_by(Packing::Zstd)?,
                (b"compressed", Value::Str(other)) => {
                    let name = String::from_utf8_lossy(other).into_owned();
                    return Err(ForwardError::Compression(name));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Message<'_> {
    fn unpack_by(&mut self, packing: Packing) -> Result<(), ForwardError> {
        let Entries::Many(packed) = self.entries else {
            return Err(ForwardError::Shape("only packed entries can be compressed"));
        };
        self.entries = Entries::Packed(packing, packed);
        Ok(())
    }
}

impl<'a> Entries<'a> {
    /// The entries' bytes, decompressed if need be, and what stopped the decompression; at most `limit` bytes.
    pub fn unpack(
        &self,
        limit: usize,
    ) -> Result<(Cow<'a, [u8]>, Option<ForwardError>), ForwardError> {
        let (packing, packed) = match self {
            Self::One(bytes) | Self::Many(bytes) => return Ok((Cow::Borrowed(bytes), None)),
            Self::Packed(packing, packed) => (packing, *packed),
        };
        let (mut unpacked, most) = (Vec::new(), limit.saturating_add(1));
        let (name, read) = match packing {
            Packing::Gzip => {
                let from = flate2::read::MultiGzDecoder::new(packed);
                ("gzip", from.take(most as u64).read_to_end(&mut unpacked).map(drop))
            }
            Packing::Zstd => ("zstd", unzstd(packed, most, &mut unpacked)),
        };
        if unpacked.len() > limit {
            return Err(ForwardError::Bomb(limit));
        }
        let damage = read.err().map(|error| ForwardError::Damaged(name, error.to_string()));
        Ok((Cow::Owned(unpacked), damage))
    }
}

/// An entry, or the reason why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A record. Its time is unusable where there is none.
    Record {
        /// When it happened.
        time: Option<Timestamp>,
        /// A msgpack map.
        metadata: &'a [u8],
        /// A msgpack map.
        body: &'a [u8],
    },
    /// Marks the beginning or end of a group of records.
    Group,
    /// Msgpack that is no record.
    NoRecord(&'a [u8]),
}

/// Walks over unpacked entries. After an error there is nothing more.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    reader: Reader<'a>,
    is_one: bool,
    ended: bool,
}

impl<'a> Records<'a> {
    /// The entries in `unpacked`, which [`Entries::unpack`] gave.
    pub fn new(entries: &Entries<'_>, unpacked: &'a [u8]) -> Self {
        let is_one = matches!(entries, Entries::One(_));
        Self { reader: Reader::new(unpacked), is_one, ended: false }
    }

    fn read(&mut self) -> Result<Entry<'a>, MsgpackError> {
        if self.is_one {
            let time = self.reader.skip()?;
            return record(time, Event::NO_METADATA, self.reader.skip()?);
        }
        let raw = self.reader.skip()?;
        let mut reader = Reader::new(raw);
        let Value::Array(2) = reader.next()? else { return Ok(Entry::NoRecord(raw)) };
        let (head, body) = (reader.skip()?, reader.skip()?);
        let mut reader = Reader::new(head);
        match reader.next()? {
            Value::Array(2) => record(reader.skip()?, reader.skip()?, body),
            _ => record(head, Event::NO_METADATA, body),
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Entry<'a>, MsgpackError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.reader.is_at_end() {
            return None;
        }
        let entry = self.read();
        self.ended = entry.is_err();
        Some(entry)
    }
}

/// An entry of its three parts, each a well-formed value.
fn record<'a>(time: &[u8], metadata: &'a [u8], body: &'a [u8]) -> Result<Entry<'a>, MsgpackError> {
    let time = match Time::of(Reader::new(time).next()?) {
        Time::At(time) => Some(time),
        Time::Unusable => None,
        Time::Group => return Ok(Entry::Group),
    };
    let is_map = |bytes| map_header(bytes).is_ok();
    if !is_map(body) {
        return Ok(Entry::NoRecord(body));
    }
    let metadata = if is_map(metadata) { metadata } else { Event::NO_METADATA };
    Ok(Entry::Record { time, metadata, body })
}

/// What an entry says of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    At(Timestamp),
    /// Fluent Bit marks the two ends of a group with times that no clock shows.
    Group,
    Unusable,
}

impl Time {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Uint(sec) => match u32::try_from(sec) {
                Ok(sec) => Self::At(Timestamp { sec, nsec: 0 }),
                Err(_) => Self::Unusable,
            },
            Value::Float(seconds) if (0.0..f64::from(u32::MAX)).contains(&seconds) => {
                let nsec = ((seconds.fract() * 1e9) as u32).min(999_999_999);
                Self::At(Timestamp { sec: seconds as u32, nsec })
            }
            Value::Ext(0, &[a, b, c, d, e, f, g, h]) => {
                Self::ext(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
            }
            _ => Self::Unusable,
        }
    }

    fn ext(sec: u32, nsec: u32) -> Self {
        const GROUP_START: u32 = u32::MAX;
        const GROUP_END: u32 = u32::MAX - 1;
        if nsec == 0 && matches!(sec, GROUP_START | GROUP_END) {
            return Self::Group;
        }
        let sec = sec.saturating_add(nsec / 1_000_000_000);
        Self::At(Timestamp { sec, nsec: nsec % 1_000_000_000 })
    }
}
