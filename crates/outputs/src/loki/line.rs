//! A record as the line of an entry: without the keys that stand elsewhere, as JSON or as keys and values.

use flb_event::Accessor;
use flb_event::json::Printer;
use flb_event::msgpack::{self, MsgpackError, Reader, Value};
use flb_plugin::keys::Word;

/// How a record becomes a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum LineFormat {
    Json,
    KeyValue,
}

impl Word for LineFormat {
    const ALL: &'static [(&'static str, Self)] =
        &[("json", Self::Json), ("key_value", Self::KeyValue)];
}

/// What becomes of a record of which a single key is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SingleKey {
    /// It is a record.
    Keep,
    /// The line is its value.
    Drop,
    /// The line is its value, and a text stands as it is.
    Raw,
}

impl Word for SingleKey {
    const ALL: &'static [(&'static str, Self)] = &[
        ("off", Self::Keep),
        ("on", Self::Drop),
        ("raw", Self::Raw),
        ("false", Self::Keep),
        ("true", Self::Drop),
        ("no", Self::Keep),
        ("yes", Self::Drop),
    ];
}

/// How records become lines.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) format: LineFormat,
    pub(super) single_key: SingleKey,
    /// What the lines are without.
    pub(super) removed: Vec<Accessor>,
}

impl Line {
    /// Appends the line of a record.
    pub(super) fn write(
        &self,
        body: &[u8],
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        let found: Vec<&[u8]> =
            self.removed.iter().filter_map(|accessor| accessor.find(body)).collect();
        let mut rest = Vec::new();
        let body = match found.is_empty() {
            true => body,
            false => {
                without(body, &found, &mut rest)?;
                &rest
            }
        };
        match (self.single(body)?, self.format) {
            (Some(value), _) if self.is_bare(value) => {
                out.extend_from_slice(msgpack::as_str(value).unwrap_or_default());
                Ok(())
            }
            (Some(value), LineFormat::Json) => printer.print(value, out),
            (Some(value), LineFormat::KeyValue) => write_value(value, printer, out),
            (None, LineFormat::Json) => printer.print(body, out),
            (None, LineFormat::KeyValue) => write_entries(body, "=", printer, out),
        }
    }

    /// The record's only value, if it is to be the line.
    fn single<'a>(&self, body: &'a [u8]) -> Result<Option<&'a [u8]>, MsgpackError> {
        if self.single_key == SingleKey::Keep || msgpack::map_header(body)?.0 != 1 {
            return Ok(None);
        }
        Ok(msgpack::entries(body)?.next().transpose()?.map(|(_, value)| value))
    }

    /// Whether a value is a text that gets no quotes.
    fn is_bare(&self, value: &[u8]) -> bool {
        let is_asked_for =
            self.single_key == SingleKey::Raw || matches!(self.format, LineFormat::KeyValue);
        is_asked_for && msgpack::as_str(value).is_some()
    }
}

/// Appends a map without these values of it, which stand in it or in maps within. Elements of lists stay.
fn without(map: &[u8], gone: &[&[u8]], out: &mut Vec<u8>) -> Result<(), MsgpackError> {
    let (start, mut left) = (out.len(), 0);
    msgpack::write_map_header(out, 0);
    for entry in msgpack::entries(map)? {
        let (key, value) = entry?;
        if gone.iter().any(|gone| std::ptr::eq(*gone, value)) {
            continue;
        }
        left += 1;
        out.extend_from_slice(key);
        let has_some = gone.iter().any(|gone| value.as_ptr_range().contains(&gone.as_ptr()));
        if has_some && msgpack::map_header(value).is_ok() {
            without(value, gone, out)?;
        } else {
            out.extend_from_slice(value);
        }
    }
    msgpack::map::set_len(out, start, left);
    Ok(())
}

/// Appends `key=value key=value`, or with another sign between them.
fn write_entries(
    map: &[u8],
    sign: &str,
    printer: &mut Printer,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    let start = out.len();
    for entry in msgpack::entries(map)? {
        let (key, value) = entry?;
        let Some(key) = msgpack::as_str(key) else { continue };
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(key);
        out.extend_from_slice(sign.as_bytes());
        write_value(value, printer, out)?;
    }
    Ok(())
}

/// Appends a value: texts stand in quotes as they are, maps and lists as Go prints them.
fn write_value(value: &[u8], printer: &mut Printer, out: &mut Vec<u8>) -> Result<(), MsgpackError> {
    match Reader::new(value).next()? {
        Value::Str(text) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Value::Map(_) => {
            out.extend_from_slice(b"\"map[");
            write_entries(value, ":", printer, out)?;
            out.extend_from_slice(b"]\"");
        }
        Value::Array(_) => {
            out.extend_from_slice(b"\"[");
            for (place, element) in msgpack::elements(value)?.enumerate() {
                if place > 0 {
                    out.push(b' ');
                }
                write_value(element?, printer, out)?;
            }
            out.extend_from_slice(b"]\"");
        }
        _ => printer.print(value, out)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_event::json::JsonOptions;
    use flb_harness::msgpack;

    const RECORD: &str = r#"{"log":"say \"x\"","k":{"pod":"p","labels":{"a":1}},"l":[1,{"z":null}],"f":1.5,"n":2.0}"#;

    fn line(format: LineFormat, single_key: SingleKey, removed: &[&str], body: &str) -> String {
        let removed = removed.iter().map(|text| Accessor::parse(text).unwrap()).collect();
        let (line, mut out) = (Line { format, single_key, removed }, Vec::new());
        let mut printer = Printer::new(JsonOptions { escape_unicode: true });
        line.write(&msgpack(body), &mut printer, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_json_or_keys_and_values() {
        assert_eq!(line(LineFormat::Json, SingleKey::Keep, &[], RECORD), RECORD);
        assert_eq!(
            line(LineFormat::KeyValue, SingleKey::Keep, &[], RECORD),
            r#"log="say "x"" k="map[pod:"p" labels:"map[a:1]"]" l="[1 "map[z:null]"]" f=1.5 n=2.0"#
        );
    }

    #[test]
    fn removed_keys_are_gone_at_any_depth() {
        let removed = ["$k['labels']", "$l[0]", "$f", "$none", "$n['x']"];
        assert_eq!(
            line(LineFormat::Json, SingleKey::Keep, &removed, RECORD),
            r#"{"log":"say \"x\"","k":{"pod":"p"},"l":[1,{"z":null}]}"#
        );
        assert_eq!(
            line(LineFormat::Json, SingleKey::Keep, &["$k", "$k['pod']"], r#"{"k":{"pod":1}}"#),
            "{}"
        );
        let many: Vec<String> = (0..20).map(|number| format!(r#""k{number}":{number}"#)).collect();
        let kept = format!("{{{}}}", many[1..].join(","));
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(line(LineFormat::Json, SingleKey::Keep, &["$k0"], &many), kept);
    }

    #[test]
    fn a_single_key_may_be_dropped() {
        for (format, single_key, body, expected) in [
            (LineFormat::Json, SingleKey::Keep, r#"{"a":"x"}"#, r#"{"a":"x"}"#),
            (LineFormat::Json, SingleKey::Drop, r#"{"a":"x"}"#, r#""x""#),
            (LineFormat::Json, SingleKey::Raw, r#"{"a":"x \" y"}"#, "x \" y"),
            (LineFormat::Json, SingleKey::Raw, r#"{"a":{"b":1}}"#, r#"{"b":1}"#),
            (LineFormat::Json, SingleKey::Raw, r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#),
            (LineFormat::Json, SingleKey::Drop, "{}", "{}"),
            (LineFormat::KeyValue, SingleKey::Drop, r#"{"a":"x"}"#, "x"),
            (LineFormat::KeyValue, SingleKey::Drop, r#"{"a":5.5}"#, "5.5"),
            (LineFormat::KeyValue, SingleKey::Drop, "{}", ""),
        ] {
            assert_eq!(line(format, single_key, &[], body), expected);
        }
    }
}
