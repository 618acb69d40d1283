//! A record as one JSON object: the date, what is known beside the body, the body.

use flb_event::Event;
use flb_event::json::{self, JsonOptions, Printer};
use flb_event::msgpack::{self, MsgpackError};
use flb_net::otlp::GROUP;
use flb_plugin::keys::{Choice, Key, Text};
use flb_plugin::{Build, Options, keys};

use super::date::DateFormat;

/// Key of what is known beside the body.
const INTERNAL: &str = "__internal__";

keys! {
    /// The options for the time in JSON.
    pub(super) const KEYS;
    JSON_DATE_KEY: Text =
        Key::new("json_date_key", "Key of the time in JSON; false for no time").default("date");
    JSON_DATE_FORMAT: Choice<DateFormat> =
        Key::new("json_date_format", "How the time is written in JSON").default("double");
}

/// How records become JSON objects.
#[derive(Debug, Clone)]
pub(super) struct RecordJson {
    /// Where the date goes, if it shall be there.
    date: Option<(Field, DateFormat)>,
    internal: Field,
    json: JsonOptions,
}

impl RecordJson {
    /// As the options [`KEYS`] say.
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Self {
        Self::dated(options.get(JSON_DATE_KEY), options.get(JSON_DATE_FORMAT), build)
    }

    /// With the time under this key, unless that is `false`.
    pub(super) fn dated(key: &str, format: DateFormat, build: &Build<'_>) -> Self {
        let json = json_options(build);
        let key = Some(key).filter(|key| !is_off(key));
        Self {
            date: key.map(|key| (Field::new(key, json), format)),
            internal: Field::new(INTERNAL, json),
            json,
        }
    }

    /// What [`write`](Self::write) prints with; its memory serves for many records.
    pub(super) fn printer(&self) -> Printer {
        Printer::new(self.json)
    }

    /// Appends a record. After an error `out` is as it was.
    pub(super) fn write(
        &self,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        let start = out.len();
        let written = self.write_parts(event, printer, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write_parts(
        &self,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        let start = out.len();
        out.push(b'{');
        // Of two equal keys only the last is printed, and the body's come last.
        if let Some((key, format)) = &self.date
            && !key.is_in(event.body)?
        {
            out.extend_from_slice(&key.json);
            format.write(event.time, out)?;
        }
        if event.metadata != Event::NO_METADATA && !self.internal.is_in(event.body)? {
            if out.len() > start + 1 {
                out.push(b',');
            }
            out.extend_from_slice(&self.internal.json);
            write_internal(event.metadata, printer, out)?;
        }
        close_with(event.body, start, printer, out)
    }
}

/// Ends the object that is open since `start` with a body's members, behind those that are there.
pub(super) fn close_with(
    body: &[u8],
    start: usize,
    printer: &mut Printer,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    if out.len() == start + 1 {
        out.truncate(start);
        return printer.print(body, out);
    }
    let at = out.len();
    printer.print(body, out)?;
    // The body joins what stands before it: its opening brace becomes a comma, or nothing.
    out[at] = b',';
    if out[at + 1] == b'}' {
        out.remove(at);
    }
    Ok(())
}

/// Appends what is known beside the body; what the record has in common with its group is told apart.
fn write_internal(
    metadata: &[u8],
    printer: &mut Printer,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    let (mut own, mut count, mut group) = (Vec::new(), 0, None);
    for entry in msgpack::entries(metadata)? {
        let (key, value) = entry?;
        if msgpack::as_str(key) == Some(GROUP.as_bytes()) {
            group = Some(value);
        } else {
            own.extend_from_slice(key);
            own.extend_from_slice(value);
            count += 1;
        }
    }
    out.push(b'{');
    if let Some(group) = group {
        out.extend_from_slice(b"\"group_attributes\":");
        printer.print(group, out)?;
        out.push(b',');
    }
    let mut map = Vec::with_capacity(own.len() + 5);
    msgpack::write_map_header(&mut map, count);
    map.extend_from_slice(&own);
    out.extend_from_slice(b"\"log_metadata\":");
    printer.print(&map, out)?;
    out.push(b'}');
    Ok(())
}

/// How JSON text is written in this agent.
pub(super) fn json_options(build: &Build<'_>) -> JsonOptions {
    JsonOptions { escape_unicode: build.service.escape_unicode() }
}

/// Appends a text in quotes, as JSON.
pub(super) fn quote(text: &[u8], printer: &mut Printer, out: &mut Vec<u8>) {
    let mut encoded = Vec::with_capacity(text.len() + 5);
    msgpack::write_str(&mut encoded, text);
    printer.print(&encoded, out).expect("a string has just been encoded");
}

fn is_off(text: &str) -> bool {
    ["false", "off", "no"].iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// A key that is put before a body.
#[derive(Debug, Clone)]
pub(super) struct Field {
    text: Vec<u8>,
    /// With quotes and colon.
    pub(super) json: Vec<u8>,
}

impl Field {
    pub(super) fn new(text: &str, options: JsonOptions) -> Self {
        let mut encoded = Vec::new();
        msgpack::write_str(&mut encoded, text);
        let mut json = Vec::new();
        json::write(&encoded, &mut json, options).expect("a string has just been encoded");
        json.push(b':');
        Self { text: text.as_bytes().to_vec(), json }
    }

    pub(super) fn is_in(&self, body: &[u8]) -> Result<bool, MsgpackError> {
        for entry in msgpack::entries(body)? {
            let (key, _) = entry?;
            if msgpack::as_str(key) == Some(&self.text) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_event::Timestamp;
    use flb_harness as testing;

    fn check(given: &[(&str, &str)], metadata: &str, body: &str, expected: &str) {
        let options = testing::options(flb_plugin::Table(&[KEYS]), given);
        let build = Build {
            instance: "x.0",
            tag: &flb_event::Tag::new("t").unwrap(),
            parsers: &flb_plugin::Parsers::default(),
            multiline: &Default::default(),
            service: &flb_plugin::Service::default(),
            metrics: &flb_plugin::Metrics::default(),
        };
        let (metadata, body) = (testing::msgpack(metadata), testing::msgpack(body));
        let time = Timestamp { sec: 5, nsec: 0 };
        let mut out = b"x".to_vec();
        let event = Event { time, metadata: &metadata, body: &body };
        let json = RecordJson::new(&options, &build);
        json.write(event, &mut json.printer(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("x{expected}"));
    }

    #[test]
    fn the_date_comes_first() {
        check(&[], "{}", r#"{"a":1}"#, r#"{"date":5.0,"a":1}"#);
        check(&[], "{}", "{}", r#"{"date":5.0}"#);
        check(&[("json_date_key", "\"")], "{}", "{}", r#"{"\"":5.0}"#);
    }

    #[test]
    fn the_date_can_be_left_out() {
        for off in ["false", "Off", "no"] {
            check(&[("json_date_key", off)], "{}", r#"{"a":1}"#, r#"{"a":1}"#);
            check(&[("json_date_key", off)], "{}", "{}", "{}");
        }
    }

    #[test]
    fn of_two_equal_keys_the_body_s_is_printed() {
        check(&[], "{}", r#"{"a":1,"date":2}"#, r#"{"a":1,"date":2}"#);
        check(&[], r#"{"m":1}"#, r#"{"__internal__":1}"#, r#"{"date":5.0,"__internal__":1}"#);
    }

    #[test]
    fn metadata_stands_between_date_and_body() {
        check(
            &[],
            r#"{"m":1}"#,
            r#"{"a":1}"#,
            r#"{"date":5.0,"__internal__":{"log_metadata":{"m":1}},"a":1}"#,
        );
        check(
            &[("json_date_key", "off")],
            r#"{"m":1}"#,
            "{}",
            r#"{"__internal__":{"log_metadata":{"m":1}}}"#,
        );
    }

    #[test]
    fn what_a_group_has_in_common_is_told_apart() {
        check(
            &[],
            r#"{"otlp":{"n":1},"group_attributes":{"resource":{}},"m":2}"#,
            r#"{"a":1}"#,
            r#"{"date":5.0,"__internal__":{"group_attributes":{"resource":{}},"log_metadata":{"otlp":{"n":1},"m":2}},"a":1}"#,
        );
    }
}
