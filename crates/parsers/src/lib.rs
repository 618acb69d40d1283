//! Parsers: from a line of text to a record.

use std::sync::Arc;

use flb_plugin::keys::{Bool, Key, Many, Text};
use flb_plugin::{Parser, Parsers, Spec, Table, keys};

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

const OPTIONS: Table = Table(&[KEYS]);

/// Every kind of parser, alphabetic.
pub static ALL: &[Spec<dyn Parser>] = &[json::SPEC, logfmt::SPEC, ltsv::SPEC, regex::SPEC];

keys! {
    /// The options of all kinds. Those that a kind has no use for are accepted, as in Fluent Bit.
    const KEYS;
    NAME: Option<Text> = Key::new("name", "Name that inputs and filters use");
    FORMAT: Option<Text> = Key::new("format", "json, logfmt, ltsv or regex");
    REGEX: Option<Text> = Key::new("regex", "For regex: a pattern with named groups");
    SKIP_EMPTY_VALUES: Bool =
        Key::new("skip_empty_values", "For regex: no empty values").default("on");
    LOGFMT_NO_BARE_KEYS: Bool =
        Key::new("logfmt_no_bare_keys", "For logfmt: no key alone").default("off");
    TIME_KEY: Text = Key::new("time_key", "Key of the time").default("time");
    TIME_FORMAT: Option<Text> = Key::new("time_format", "How the time is written, as strptime");
    TIME_KEEP: Bool = Key::new("time_keep", "Keep the time's key").default("off");
    TIME_STRICT: Bool = Key::new("time_strict", "The time must be written so").default("on");
    TIME_OFFSET: Option<Text> = Key::new("time_offset", "Time zone, if the time has none: +0200");
    TIME_ZONE: Option<Text> = Key::new("time_zone", "The same by name: Europe/Vienna");
    TIME_SYSTEM_TIMEZONE: Bool =
        Key::new("time_system_timezone", "The same, this machine's").default("off");
    TYPES: Option<Text> = Key::new("types", "Types of values: code:integer size:float");
    DECODE_FIELD: Many<Text> =
        Key::new("decode_field", "Adds what a field holds: json log").repeated();
    DECODE_FIELD_AS: Many<Text> =
        Key::new("decode_field_as", "Decodes a field: escaped log").repeated();
}

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
