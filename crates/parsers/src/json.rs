//! `json`: a line that is one JSON object.

use flb_event::{Timestamp, json};
use flb_plugin::{Build, BuildError, Options, ParseError, Parsed, Parser, Spec};

use super::OPTIONS;
use super::fields::Common;

pub(super) const SPEC: Spec<dyn Parser> =
    Spec { name: "json", about: "Parse a line that is one JSON object", options: OPTIONS, build };

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Parser>, BuildError> {
    Ok(Box::new(JsonParser { common: Common::new(options, build)? }))
}

/// The parser.
#[derive(Default)]
pub(super) struct JsonParser {
    common: Common,
}

impl JsonParser {
    /// A parser with what all formats have in common.
    pub(super) fn new(common: Common) -> Self {
        Self { common }
    }
}

impl Parser for JsonParser {
    fn parse(&self, line: &[u8], now: Timestamp, body: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        let start = body.len();
        let consumed =
            json::parse_object(line, body).map_err(|error| ParseError(error.to_string()))?;
        if let Err(error) = only_junk(&line[consumed..]) {
            body.truncate(start);
            return Err(error);
        }
        Ok(self.common.finish(body, start, now))
    }
}

/// Whatever follows the object is passed over, but not a second value: that would be lost.
fn only_junk(rest: &[u8]) -> Result<(), ParseError> {
    if rest.iter().all(u8::is_ascii_whitespace) || json::parse(rest, &mut Vec::new()).is_err() {
        return Ok(());
    }
    Err(ParseError("a second JSON value follows the object".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    fn parse(
        given: &[(&str, &str)],
        line: &str,
    ) -> Result<(Option<Timestamp>, String), ParseError> {
        let parser = testing::build(&SPEC, given).unwrap();
        let mut body = b"before".to_vec();
        let parsed = parser.parse(line.as_bytes(), testing::NOW, &mut body);
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
    fn a_bad_offset_is_refused_and_a_bad_format_understands_nothing() {
        let refused = |given| testing::build(&SPEC, given).err().unwrap().message;
        testing::ParserCheck::new(&SPEC, &[("time_format", "%Y %q")])
            .reads(r#"{"time":"2023 x"}"#, r#"{"time":"2023 x"}"#);
        assert_eq!(
            refused(&[("time_format", "%s"), ("time_offset", "2h")]),
            "'2h' is not a time_offset"
        );
    }

    #[test]
    fn zones_exclude_each_other() {
        let refused = |given: &[(&str, &str)]| {
            let given = [&[("time_format", "%s")], given].concat();
            testing::build(&SPEC, &given).err().unwrap().message
        };
        let both = [("time_offset", "Z"), ("time_system_timezone", "on")];
        assert!(refused(&both).ends_with("exclude each other"));
        assert!(refused(&[("time_zone", "Nowhere/At_All")]).contains("is not a time_zone"));
    }

    #[test]
    fn a_field_may_be_decoded() {
        let given = [("decode_field_as", "json log"), ("time_format", "%s")];
        check(&given, r#"{"time":"5","log":"[1]"}"#, Some((5, 0)), r#"{"log":[1]}"#);
    }
}
