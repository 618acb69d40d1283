//! Parsers: from a line of text to a record.

use std::sync::Arc;

use flb_plugin::{Kind, OptionSpec, Parser, Parsers, Spec};

mod cri;
mod decoders;
mod fields;
mod json;
mod logfmt;
mod ltsv;
pub mod multiline;
mod regex;
mod time_field;
mod time_format;
mod types;
mod unescape;
mod zone_names;

use cri::CriParser;
use fields::Common;
use json::JsonParser;
use time_field::TimeField;
use time_format::{TimeFormat, Zone};

/// Every kind of parser, alphabetic.
pub static ALL: &[Spec<dyn Parser>] = &[json::SPEC, logfmt::SPEC, ltsv::SPEC, regex::SPEC];

/// The options of all kinds. Those that a kind has no use for are accepted, as in Fluent Bit.
const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("name", Kind::Text, None, "Name that inputs and filters use"),
    OptionSpec::new("format", Kind::Text, None, "json, logfmt, ltsv or regex"),
    OptionSpec::new("regex", Kind::Text, None, "For regex: a pattern with named groups"),
    OptionSpec::new("skip_empty_values", Kind::Bool, Some("on"), "For regex: no empty values"),
    OptionSpec::new("logfmt_no_bare_keys", Kind::Bool, Some("off"), "For logfmt: no key alone"),
    OptionSpec::new("time_key", Kind::Text, Some("time"), "Key of the time"),
    OptionSpec::new("time_format", Kind::Text, None, "How the time is written, as strptime"),
    OptionSpec::new("time_keep", Kind::Bool, Some("off"), "Keep the time's key"),
    OptionSpec::new("time_strict", Kind::Bool, Some("on"), "The time must be written so"),
    OptionSpec::new("time_offset", Kind::Text, None, "Time zone, if the time has none: +0200"),
    OptionSpec::new("time_zone", Kind::Text, None, "The same by name: Europe/Vienna"),
    OptionSpec::new("time_system_timezone", Kind::Bool, Some("off"), "The same, this machine's"),
    OptionSpec::new("types", Kind::Text, None, "Types of values: code:integer size:float"),
    OptionSpec {
        multiple: true,
        ..OptionSpec::new("decode_field", Kind::Text, None, "Adds what a field holds: json log")
    },
    OptionSpec {
        multiple: true,
        ..OptionSpec::new("decode_field_as", Kind::Text, None, "Decodes a field: escaped log")
    },
];

/// The parsers that need no file: `json`. Parsers of a file may take these names, so put in the file's first, then those of
/// these whose names are still free.
pub fn builtin_parsers() -> Parsers {
    let mut parsers = Parsers::default();
    parsers.insert("json", Arc::new(JsonParser::default()));
    parsers
}

/// Reads the lines of Docker's log files.
pub(crate) fn docker() -> Arc<dyn Parser> {
    Arc::new(JsonParser::new(stamped("docker", "%Y-%m-%dT%H:%M:%S.%L%z")))
}

/// Reads the lines of the container runtime interface.
pub(crate) fn cri() -> Arc<dyn Parser> {
    Arc::new(CriParser::new(stamped("cri", "%Y-%m-%dT%H:%M:%S.%L%z")))
}

/// Takes the time from the key `time`, and leaves it there.
fn stamped(name: &str, format: &str) -> Common {
    let time = TimeFormat::new(format, Zone::Offset(0));
    Common::timed(TimeField::lenient(name, time, format))
}
