//! What parsers of all formats have in common: the record's time, the types of values, and decoders.

use flb_event::{Timestamp, msgpack};
use flb_plugin::{Build, BuildError, Options, ParseError, Parsed};

use super::decoders::Decoders;
use super::time_field::TimeField;
use super::types::Types;
use flb_event::msgpack::map;

/// What a parser does with the fields it has found.
#[derive(Default)]
pub(super) struct Common {
    time: Option<TimeField>,
    types: Types,
    decoders: Decoders,
}

impl Common {
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        Ok(Self {
            time: TimeField::new(options, build)?,
            types: Types::new(options, build),
            decoders: Decoders::new(options)?,
        })
    }

    /// Only the time.
    pub(super) fn timed(time: TimeField) -> Self {
        Self { time: Some(time), ..Self::default() }
    }

    /// Begins a map at the end of `body`.
    pub(super) fn begin<'a>(&'a self, body: &'a mut Vec<u8>, now: Timestamp) -> Fields<'a> {
        let start = body.len();
        body.push(0x80);
        Fields { common: self, body, start, now, count: 0, time: None }
    }

    /// Decodes and takes the time of the map at `body[start..]`.
    pub(super) fn finish(&self, body: &mut Vec<u8>, start: usize, now: Timestamp) -> Parsed {
        self.decoders.apply(body, start);
        Parsed { time: self.time.as_ref().and_then(|time| time.take(body, start, now)) }
    }
}

/// A map on its way, of fields that are text.
pub(super) struct Fields<'a> {
    common: &'a Common,
    body: &'a mut Vec<u8>,
    start: usize,
    now: Timestamp,
    count: u32,
    time: Option<Timestamp>,
}

impl Fields<'_> {
    /// Adds a field, as its type says. The time goes its own way.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        if let Some(field) = &self.common.time
            && self.time.is_none()
            && field.is(key)
        {
            self.time = field.read(value, self.now);
            if self.time.is_some() && !field.stays() {
                return;
            }
        }
        msgpack::write_str(self.body, key);
        self.common.types.write(key, value, self.body);
        self.count += 1;
    }

    /// Adds a field that is a switch.
    pub(super) fn push_bool(&mut self, key: &[u8], value: bool) {
        msgpack::write_str(self.body, key);
        msgpack::write_bool(self.body, value);
        self.count += 1;
    }

    /// The map is whole.
    pub(super) fn end(self) -> Parsed {
        map::set_len(self.body, self.start, self.count);
        self.common.decoders.apply(self.body, self.start);
        Parsed { time: self.time }
    }

    /// There is no map.
    pub(super) fn fail(self, why: impl Into<String>) -> ParseError {
        self.body.truncate(self.start);
        ParseError(why.into())
    }

    /// Whether nothing was found yet.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && self.time.is_none()
    }
}
