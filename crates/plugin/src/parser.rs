//! Parsers: from a line of text to a record's body.

use std::collections::BTreeMap;
use std::sync::Arc;

use flb_event::Timestamp;

/// Why a line could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

/// What a parser found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// The time that the line itself says, if the parser looks for one and found it.
    pub time: Option<Timestamp>,
}

/// Turns one line of text into one msgpack map.
pub trait Parser: Send + Sync {
    /// Appends the map to `body`. `now` stands in for what a line's time leaves open, such as the year. On an error `body` is
    /// as it was.
    fn parse(&self, line: &[u8], now: Timestamp, body: &mut Vec<u8>) -> Result<Parsed, ParseError>;
}

/// Things that a configuration may name.
pub struct Named<T: ?Sized>(BTreeMap<String, Arc<T>>);

/// The parsers that a configuration may name.
pub type Parsers = Named<dyn Parser>;

impl<T: ?Sized> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: ?Sized> Clone for Named<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> std::fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<T: ?Sized> Named<T> {
    /// Adds one; false when the name is taken.
    pub fn insert(&mut self, name: &str, thing: Arc<T>) -> bool {
        let free = !self.0.contains_key(name);
        if free {
            self.0.insert(name.to_owned(), thing);
        }
        free
    }

    /// Adds those of `others` whose names are still free.
    pub fn fill(&mut self, others: &Self) {
        for (name, thing) in &others.0 {
            self.insert(name, Arc::clone(thing));
        }
    }

    /// The one with this name.
    pub fn find(&self, name: &str) -> Option<&Arc<T>> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
