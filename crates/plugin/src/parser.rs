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
    /// Appends the map to `body`. On an error `body` is as it was.
    fn parse(&self, line: &[u8], body: &mut Vec<u8>) -> Result<Parsed, ParseError>;
}

/// The parsers that a configuration may name.
#[derive(Clone, Default)]
pub struct Parsers(BTreeMap<String, Arc<dyn Parser>>);

impl std::fmt::Debug for Parsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Parsers {
    /// Adds a parser; false when the name is taken.
    pub fn insert(&mut self, name: &str, parser: Arc<dyn Parser>) -> bool {
        let free = !self.0.contains_key(name);
        if free {
            self.0.insert(name.to_owned(), parser);
        }
        free
    }

    /// The parser with this name.
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Parser>> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
