//! `json`: a line that is one JSON object.

use std::ops::Range;

use flb_event::{Timestamp, json, msgpack};
use flb_plugin::{Build, BuildError, Kind, OptionSpec, Options, ParseError, Parsed, Parser, Spec};

use super::time_format::{self, TimeFormat};
use crate::log::{Label, Mishaps, excerpt};
use crate::map;

pub(super) const SPEC: Spec<dyn Parser> = Spec {
    name: "json",
    about: "Parse a line that is one JSON object",
    options: &[
        OptionSpec::new("name", Kind::Text, None, "Name that inputs and filters use"),
        OptionSpec::new("format", Kind::Text, None, "json"),
        OptionSpec::new("time_key", Kind::Text, Some("time"), "Key of the time"),
        OptionSpec::new("time_format", Kind::Text, None, "How the time is written, as strptime"),
        OptionSpec::new("time_keep", Kind::Bool, Some("off"), "Keep the time's key"),
        OptionSpec::new("time_strict", Kind::Bool, Some("on"), "The time must be written so"),
        OptionSpec::new("time_offset", Kind::Text, None, "Time zone, if the time has none: +0200"),
    ],
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Parser>, BuildError> {
    Ok(Box::new(JsonParser { time: TimeField::new(options, build)? }))
}

/// The parser.
pub(super) struct JsonParser {
    time: Option<TimeField>,
}

impl JsonParser {
    /// A parser that does not look for a time.
    pub(super) fn plain() -> Self {
        Self { time: None }
    }
}

impl Parser for JsonParser {
    fn parse(&self, line: &[u8], body: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        let start = body.len();
        let consumed =
            json::parse_object(line, body).map_err(|error| ParseError(error.to_string()))?;
        if let Err(error) = only_junk(&line[consumed..]) {
            body.truncate(start);
            return Err(error);
        }
        Ok(Parsed { time: self.time.as_ref().and_then(|time| time.take(body, start)) })
    }
}

/// Whatever follows the object is passed over, but not a second value: that would be lost.
fn only_junk(rest: &[u8]) -> Result<(), ParseError> {
    if rest.iter().all(u8::is_ascii_whitespace) || json::parse(rest, &mut Vec::new()).is_err() {
        return Ok(());
    }
    Err(ParseError("a second JSON value follows the object".to_owned()))
}

/// The key that says when the record happened.
struct TimeField {
    label: Label,
    key: Vec<u8>,
    /// The format as it was given.
    text: String,
    format: TimeFormat,
    keeps_key: bool,
    is_strict: bool,
    invalid: Mishaps,
}

impl TimeField {
    /// None without a `time_format`.
    fn new(options: &Options, build: &Build<'_>) -> Result<Option<Self>, BuildError> {
        let Some(text) = options.text("time_format") else { return Ok(None) };
        let offset = options.text("time_offset").unwrap_or("Z");
        let Some(offset) = time_format::offset(offset) else {
            return Err(BuildError::new(format!("'{offset}' is no time_offset"))
                .help("write hours and minutes: +0200 or -03:30"));
        };
        let format = TimeFormat::new(text, offset)
            .map_err(|error| BuildError::new(format!("time_format '{text}': {error}")))?;
        Ok(Some(Self {
            label: Label::parser(build),
            key: options.text("time_key").unwrap_or("time").as_bytes().to_vec(),
            text: text.to_owned(),
            format,
            keeps_key: options.bool("time_keep"),
            is_strict: options.bool("time_strict"),
            invalid: Mishaps::default(),
        }))
    }

    /// The time that the map at `body[start..]` says; its key goes, unless it shall stay. A time that can't be understood
    /// stays where it is.
    fn take(&self, body: &mut Vec<u8>, start: usize) -> Option<Timestamp> {
        let (entry, text) = self.find(body, start)?;
        let (time, is_whole) = self.format.parse(&body[text.clone()]);
        if self.is_strict && !is_whole || time.is_none() {
            if let Some(total) = self.invalid.another() {
                tracing::warn!(
                    "{} invalid time format {} for '{}' ({total} so far)",
                    self.label,
                    self.text,
                    excerpt(&body[text])
                );
            }
            return None;
        }
        if !self.keeps_key {
            map::remove(body, start, entry);
        }
        time
    }

    /// Where the entry is, and the text in it. None if there is none, or no text.
    fn find(&self, body: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>)> {
        let mut reader = msgpack::Reader::new(&body[start..]);
        let msgpack::Value::Map(length) = reader.next().ok()? else { return None };
        for _ in 0..length {
            let entry = start + reader.position();
            let key = reader.skip().ok()?;
            let value = reader.skip().ok()?;
            if msgpack::as_str(key) == Some(&self.key) {
                let end = start + reader.position();
                let text = msgpack::as_str(value)?;
                return Some((entry..end, end - text.len()..end));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn parse(
        given: &[(&str, &str)],
        line: &str,
    ) -> Result<(Option<Timestamp>, String), ParseError> {
        let parser = testing::build(&SPEC, given).unwrap();
        let mut body = b"before".to_vec();
        let parsed = parser.parse(line.as_bytes(), &mut body);
        if parsed.is_err() {
            assert_eq!(body, b"before", "on an error the body is as it was");
        }
        parsed.map(|parsed| (parsed.time, testing::json_text(&body[6..])))
    }

    fn check(given: &[(&str, &str)], line: &str, time: Option<(u32, u32)>, body: &str) {
        let time = time.map(|(sec, nsec)| Timestamp { sec, nsec });
        assert_eq!(parse(given, line).unwrap(), (time, body.to_owned()), "{line}");
    }

    #[test]
    fn an_object_is_a_record() {
        check(&[], r#" {"a":1,"time":"2024"} "#, None, r#"{"a":1,"time":"2024"}"#);
        check(&[("time_key", "time")], r#"{"time":"2024"}"#, None, r#"{"time":"2024"}"#);
    }

    #[test]
    fn junk_behind_the_object_is_passed_over_but_not_a_second_value() {
        check(&[], r#"{"a":1} # comment"#, None, r#"{"a":1}"#);
        let error = parse(&[], r#"{"a":1} {"b":2}"#).unwrap_err();
        assert_eq!(error.0, "a second JSON value follows the object");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["", "hello", "[1]", "1", r#"{"a":"#] {
            assert!(parse(&[], line).is_err(), "{line}");
        }
    }

    const ISO: &[(&str, &str)] = &[("time_format", "%Y-%m-%dT%H:%M:%S.%L%z")];

    #[test]
    fn the_time_becomes_the_record_s_and_its_key_goes() {
        check(
            ISO,
            r#"{"a":1,"time":"2023-11-14T22:13:20.123456789Z","b":2}"#,
            Some((1_700_000_000, 123_456_789)),
            r#"{"a":1,"b":2}"#,
        );
    }

    #[test]
    fn the_time_s_key_may_be_another_and_may_stay() {
        check(
            &[("time_format", "%s"), ("time_key", "ts"), ("time_keep", "on")],
            r#"{"ts":"5"}"#,
            Some((5, 0)),
            r#"{"ts":"5"}"#,
        );
    }

    #[test]
    fn a_time_that_is_not_understood_stays_in_the_record() {
        for line in [r#"{"time":"yesterday"}"#, r#"{"time":7}"#, r#"{"other":"5"}"#] {
            check(ISO, line, None, line);
        }
    }

    #[test]
    fn a_time_may_be_understood_in_part() {
        check(
            &[("time_format", "%Y-%m-%d %H:%M:%S"), ("time_strict", "off")],
            r#"{"time":"1970-01-02 nope"}"#,
            Some((86_400, 0)),
            "{}",
        );
    }

    #[test]
    fn a_time_without_a_zone_is_in_that_of_the_offset() {
        let given = [("time_format", "%Y-%m-%d %H:%M:%S"), ("time_offset", "+01:30")];
        check(&given, r#"{"time":"1970-01-01 02:00:00"}"#, Some((1800, 0)), "{}");
    }

    #[test]
    fn a_bad_format_or_offset_is_refused() {
        let refused = |given| testing::build(&SPEC, given).err().unwrap().message;
        assert_eq!(refused(&[("time_format", "%Y %q")]), "time_format '%Y %q': %q is not known");
        assert_eq!(
            refused(&[("time_format", "%s"), ("time_offset", "2h")]),
            "'2h' is no time_offset"
        );
    }
}
