//! Logs as records, whatever encoding they came in.

use flb_event::msgpack::{self, map};
use flb_event::{Chunk, ChunkBuilder, Tag, Timestamp};

use super::{BODY_IS_MAP, GROUP, OtlpError, field};

/// A batch over this size is finished before the next record.
const BATCH: usize = 1_000_000;

/// Which keys records get.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Of the map with the log's fields, in the metadata.
    pub metadata: String,
    /// Of the log's body. Without one, a body that is a map is the record's, and any other is under `log`.
    pub body: Option<String>,
}

/// Entries of a map, encoded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entries<'a> {
    pub(super) count: u32,
    pub(super) bytes: &'a [u8],
}

/// What describes the origin of logs: their resource, or their scope.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin<'a> {
    pub(super) attributes: Entries<'a>,
    pub(super) dropped_attributes: u64,
    pub(super) schema_url: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) version: &'a [u8],
}

/// A log, its values as msgpack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) time: u64,
    pub(super) observed: u64,
    pub(super) severity: i64,
    pub(super) severity_text: &'a [u8],
    pub(super) attributes: Entries<'a>,
    pub(super) dropped_attributes: u64,
    pub(super) trace: &'a [u8],
    pub(super) span: &'a [u8],
    pub(super) flags: u64,
    pub(super) event: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Default for Log<'_> {
    fn default() -> Self {
        Self {
            time: 0,
            observed: 0,
            severity: 0,
            severity_text: b"",
            attributes: Entries::default(),
            dropped_attributes: 0,
            trace: b"",
            span: b"",
            flags: 0,
            event: b"",
            body: &[0xc0],
        }
    }
}

/// Collects records.
#[derive(Debug)]
pub struct Records<'a> {
    tag: &'a Tag,
    /// The time of logs that say none.
    now: Timestamp,
    keys: &'a Keys,
    /// The most that records may take together.
    limit: usize,
    size: usize,
    finished: Vec<Chunk>,
    batch: ChunkBuilder,
    /// The entry of the metadata that all records of a group have.
    group: Vec<u8>,
    metadata: Vec<u8>,
}

impl<'a> Records<'a> {
    /// None yet; at most `limit` bytes of them.
    pub fn new(tag: &'a Tag, now: Timestamp, keys: &'a Keys, limit: usize) -> Self {
        let batch = ChunkBuilder::new(tag.clone());
        let (group, metadata) = (Vec::new(), Vec::new());
        Self { tag, now, keys, limit, size: 0, finished: Vec::new(), batch, group, metadata }
    }

    /// All of them, in their order.
    pub fn finish(mut self) -> Vec<Chunk> {
        if !self.batch.is_empty() {
            self.finished.push(self.batch.build());
        }
        self.finished
    }

    /// Begins a group.
    pub(super) fn begin(&mut self, resource: &Origin<'_>, scope: &Origin<'_>) {
        self.group.clear();
        msgpack::write_str(&mut self.group, GROUP);
        msgpack::write_map_header(&mut self.group, 2);
        for (name, origin) in [(field::RESOURCE, resource), (field::SCOPE, scope)] {
            msgpack::write_str(&mut self.group, name);
            write_origin(&mut self.group, origin);
        }
    }

    /// Adds a record to the group.
    pub(super) fn push(&mut self, log: &Log<'_>) -> Result<(), OtlpError> {
        self.metadata.clear();
        msgpack::write_map_header(&mut self.metadata, 2);
        msgpack::write_str(&mut self.metadata, &self.keys.metadata);
        let is_map = self.keys.body.is_none() && msgpack::map_header(log.body).is_ok();
        write_fields(&mut self.metadata, log, is_map);
        self.metadata.extend_from_slice(&self.group);
        let before = self.batch.size();
        let key = self.keys.body.as_deref().unwrap_or("log");
        let time = time_of(log).unwrap_or(self.now);
        self.batch.push_with(time, &self.metadata, |out| {
            if !is_map {
                msgpack::write_map_header(out, 1);
                msgpack::write_str(out, key);
            }
            out.extend_from_slice(log.body);
            Ok::<_, OtlpError>(())
        })?;
        self.size += self.batch.size() - before;
        if self.size > self.limit {
            return Err(OtlpError::TooMuch(self.limit));
        }
        if self.batch.size() >= BATCH {
            let next = ChunkBuilder::new(self.tag.clone());
            self.finished.push(std::mem::replace(&mut self.batch, next).build());
        }
        Ok(())
    }
}

/// When a log happened, or else when it was seen; none if it does not say, or says a time beyond those that records have.
fn time_of(log: &Log<'_>) -> Option<Timestamp> {
    let nanos = if log.time > 0 { log.time } else { log.observed };
    let sec = u32::try_from(nanos / 1_000_000_000).ok()?;
    (nanos > 0).then_some(Timestamp { sec, nsec: (nanos % 1_000_000_000) as u32 })
}

/// A map at the end of a buffer, of which only those entries are written that say something.
struct Map<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
    count: u32,
}

impl<'b> Map<'b> {
    fn new(out: &'b mut Vec<u8>) -> Self {
        let start = out.len();
        msgpack::write_map_header(out, 0);
        Self { out, start, count: 0 }
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.count += 1;
        msgpack::write_str(self.out, key);
        self.out
    }

    fn number(&mut self, key: &str, number: u64) {
        if number > 0 {
            msgpack::write_uint(self.key(key), number);
        }
    }

    fn text(&mut self, key: &str, text: &[u8]) {
        if !text.is_empty() {
            msgpack::write_str(self.key(key), text);
        }
    }

    fn bytes(&mut self, key: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            msgpack::write_bin(self.key(key), bytes);
        }
    }

    fn entries(&mut self, key: &str, entries: Entries<'_>) {
        if entries.count > 0 {
            let out = self.key(key);
            msgpack::write_map_header(out, entries.count);
            out.extend_from_slice(entries.bytes);
        }
    }

    fn end(self) {
        map::set_len(self.out, self.start, self.count);
    }
}

fn write_origin(out: &mut Vec<u8>, origin: &Origin<'_>) {
    let mut map = Map::new(out);
    map.text(field::NAME, origin.name);
    map.text(field::VERSION, origin.version);
    map.entries(field::ATTRIBUTES, origin.attributes);
    map.number(field::DROPPED_ATTRIBUTES, origin.dropped_attributes);
    map.text(field::SCHEMA_URL, origin.schema_url);
    map.end();
}

fn write_fields(out: &mut Vec<u8>, log: &Log<'_>, is_map: bool) {
    let mut map = Map::new(out);
    map.number(field::OBSERVED, log.observed);
    map.number(field::TIME, log.time);
    if log.severity != 0 {
        msgpack::write_int(map.key(field::SEVERITY), log.severity);
    }
    map.text(field::SEVERITY_TEXT, log.severity_text);
    map.entries(field::ATTRIBUTES, log.attributes);
    map.number(field::DROPPED_ATTRIBUTES, log.dropped_attributes);
    map.bytes(field::TRACE, log.trace);
    map.bytes(field::SPAN, log.span);
    msgpack::write_uint(map.key(field::FLAGS), log.flags);
    map.text(field::EVENT, log.event);
    if is_map {
        map.text(field::BODY_TYPE, BODY_IS_MAP.as_bytes());
    }
    map.end();
}
