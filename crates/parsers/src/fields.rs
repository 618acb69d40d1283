//! What parsers of all formats have in common: the record's time, the types of values, and decoders.

use flb_event::{Timestamp, msgpack};
use flb_plugin::{Build, BuildError, Options, ParseError, Parsed};

use super::decoders::Decoders;
use super::time_field::TimeField;
use super::types::{Type, Types};
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

    /// What becomes of a field of this key, for who knows its keys before any line.
    pub(super) fn column(&self, key: &[u8]) -> Column {
        let mut written = Vec::new();
        msgpack::write_str(&mut written, key);
        let is_time = self.time.as_ref().is_some_and(|time| time.is(key));
        Column { key: written, wanted: self.types.of(key), is_time }
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

/// A field that is known before any line.
pub(super) struct Column {
    /// As msgpack.
    key: Vec<u8>,
    wanted: Type,
    is_time: bool,
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
        if self.common.time.as_ref().is_some_and(|time| time.is(key)) && self.takes_time(value) {
            return;
        }
        msgpack::write_str(self.body, key);
        self.common.types.write(self.common.types.of(key), value, self.body);
        self.count += 1;
    }

    /// As [`Self::push`].
    pub(super) fn push_in(&mut self, column: &Column, value: &[u8]) {
        if column.is_time && self.takes_time(value) {
            return;
        }
        self.body.extend_from_slice(&column.key);
        self.common.types.write(column.wanted, value, self.body);
        self.count += 1;
    }

    /// Takes the record's time from the field that says it, if it is the first; whether the field goes.
    fn takes_time(&mut self, value: &[u8]) -> bool {
        let field = self.common.time.as_ref().filter(|_| self.time.is_none());
        self.time = self.time.or_else(|| field?.read(value, self.now));
        self.time.is_some() && field.is_some_and(|field| !field.stays())
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
