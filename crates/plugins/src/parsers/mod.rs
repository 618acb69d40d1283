//! Parsers: from a line of text to a record.

use std::sync::Arc;

use flb_plugin::{Parser, Parsers, Spec};

mod json;
mod time_format;

/// Every kind of parser, alphabetic.
pub(crate) static ALL: &[Spec<dyn Parser>] = &[json::SPEC];

/// The parsers that need no file: `json`. Parsers of a file may take these names, so put in the file's first, then those of
/// these whose names are still free.
pub fn builtin_parsers() -> Parsers {
    let mut parsers = Parsers::default();
    parsers.insert("json", Arc::new(json::JsonParser::plain()));
    parsers
}
