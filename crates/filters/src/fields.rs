//! A record's entries as a list that can be edited: the filters that move keys about all work on it.

use std::borrow::Cow;

use flb_event::msgpack;

/// One entry: a key and its value, both encoded as msgpack.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    key: Cow<'a, [u8]>,
    value: Cow<'a, [u8]>,
}

impl<'a> Field<'a> {
    /// An entry whose key is a text and whose value is a text.
    pub(crate) fn text(key: &str, value: &[u8]) -> Self {
        Self::of(key.as_bytes(), encoded(value))
    }

    /// An entry whose key is a text and whose value is encoded already.
    pub(crate) fn of(key: &[u8], value: Vec<u8>) -> Self {
        Self { key: encoded(key).into(), value: value.into() }
    }

    /// The key, if it is a text.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        msgpack::as_str(&self.key)
    }

    /// Whether the key is this text.
    pub(crate) fn is(&self, key: &str) -> bool {
        self.key() == Some(key.as_bytes())
    }

    /// The value, encoded.
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    /// The same, without a copy.
    pub(crate) fn lent(&self) -> Field<'_> {
        Field { key: Cow::Borrowed(&self.key), value: Cow::Borrowed(&self.value) }
    }

    /// The same value under the key of another.
    pub(crate) fn under(&self, other: &'a Field<'_>) -> Self {
        Self { key: Cow::Borrowed(&other.key), value: self.value.clone() }
    }

    /// The same value under another key.
    pub(crate) fn renamed(&self, key: &[u8]) -> Self {
        Self { key: encoded(key).into(), value: self.value.clone() }
    }
}

fn encoded(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len() + 5);
    msgpack::write_str(&mut value, text);
    value
}

/// So many fields are mostly enough to be added.
const ADDED: usize = 4;

/// All entries of a map, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields<'a>(pub(crate) Vec<Field<'a>>);

impl<'a> Fields<'a> {
    /// The entries of a msgpack map; of anything else, none.
    pub(crate) fn read(map: &'a [u8]) -> Self {
        let Ok(entries) = msgpack::entries(map) else { return Self::default() };
        // An entry has two bytes at least: the number stands in data that nobody has checked.
        let most = (entries.left() as usize).min(map.len() / 2);
        let mut fields = Vec::with_capacity(most + ADDED);
        let entries = entries.map_while(Result::ok);
        fields.extend(entries.map(|(key, value)| Field { key: key.into(), value: value.into() }));
        Self(fields)
    }

    /// How many entries have this key.
    pub(crate) fn count(&self, key: &str) -> usize {
        self.0.iter().filter(|field| field.is(key)).count()
    }

    /// The first entry with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Field<'a>> {
        self.0.iter().find(|field| field.is(key))
    }

    /// Takes out all entries with this key.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|field| !field.is(key));
    }

    /// Appends the map to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        msgpack::write_map_header(out, u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        for field in &self.0 {
            out.extend_from_slice(&field.key);
            out.extend_from_slice(&field.value);
        }
    }
}
