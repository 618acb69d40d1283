//! Entries that are made once and put behind those of many records.

use flb_event::msgpack;
use flb_event::msgpack::map;

/// Entries of a map, encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u32,
}

impl Entries {
    /// Adds a value that is encoded already, if there is one.
    pub(crate) fn add(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            msgpack::write_str(&mut self.bytes, key);
            self.bytes.extend_from_slice(value);
            self.count += 1;
        }
    }

    /// Adds a text, if there is one.
    pub(crate) fn add_text(&mut self, key: &str, text: Option<&[u8]>) {
        if let Some(text) = text {
            msgpack::write_str(&mut self.bytes, key);
            msgpack::write_str(&mut self.bytes, text);
            self.count += 1;
        }
    }

    /// Adds a map of these.
    pub(crate) fn add_map(&mut self, key: &str, inner: &Self) {
        msgpack::write_str(&mut self.bytes, key);
        msgpack::write_map_header(&mut self.bytes, inner.count);
        self.bytes.extend_from_slice(&inner.bytes);
        self.count += 1;
    }

    /// Puts them behind those of a map, which is all that the buffer holds.
    pub(crate) fn append_to(&self, record: &mut Vec<u8>) {
        map::append(record, 0, self.count, &self.bytes);
    }
}
