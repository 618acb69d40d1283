//! `Decode_Field` and `Decode_Field_As`: fields whose text holds something else in turn, such as JSON in JSON.

use std::borrow::Cow;

use flb_event::{json, msgpack};
use flb_plugin::{BuildError, Options};

use super::unescape::{Escapes, unescape};
use super::{DECODE_FIELD, DECODE_FIELD_AS};
use flb_event::msgpack::map;

/// The decoders of one parser, by the fields they are for.
#[derive(Debug, Default)]
pub(super) struct Decoders(Vec<(Vec<u8>, Vec<Step>)>);

/// One decoder of a field.
#[derive(Debug, Clone, Copy)]
struct Step {
    form: Form,
    /// What was decoded takes the field's place; else the entries of a decoded map are added to the record.
    replaces: bool,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Escaped,
    EscapedUtf8,
    MySqlQuoted,
}

const FORMS: &[(&str, Form)] = &[
    ("json", Form::Json),
    ("escaped", Form::Escaped),
    ("escaped_utf8", Form::EscapedUtf8),
    ("mysql_quoted", Form::MySqlQuoted),
];

/// Whether the field's next decoder is tried.
#[derive(Debug, Clone, Copy)]
enum Next {
    No,
    /// If this one failed.
    IfFailed,
    Always,
}

/// What a decoder makes of text.
enum Decoded {
    Text(Vec<u8>),
    /// Msgpack: a map or an array.
    Value(Vec<u8>),
}

impl Decoders {
    /// Of a field that both options name, the decoders of `decode_field_as` come first.
    pub(super) fn new(options: &Options) -> Result<Self, BuildError> {
        let mut decoders = Self::default();
        for (key, replaces) in [(DECODE_FIELD_AS, true), (DECODE_FIELD, false)] {
            for text in options.get(key) {
                let (field, step) = read(key.name(), text, replaces)?;
                match decoders.0.iter_mut().find(|(known, _)| *known == field) {
                    Some((_, steps)) => steps.push(step),
                    None => decoders.0.push((field, vec![step])),
                }
            }
        }
        Ok(decoders)
    }

    /// Decodes the fields of the map at `body[start..]`.
    pub(super) fn apply(&self, body: &mut Vec<u8>, start: usize) {
        if self.0.is_empty() {
            return;
        }
        let before = body[start..].to_vec();
        let Ok(entries) = msgpack::entries(&before) else { return };
        body.truncate(start);
        body.push(0x80);
        let (mut count, mut added) = (0_u32, Added::default());
        for (key, value) in entries.flatten() {
            body.extend_from_slice(key);
            match self.decode(key, value, &mut added) {
                Some(decoded) => body.extend_from_slice(&decoded),
                None => body.extend_from_slice(value),
            }
            count += 1;
        }
        body.extend_from_slice(&added.entries);
        map::set_len(body, start, count.saturating_add(added.count));
    }

    /// What takes the value's place, if anything does.
    fn decode(&self, key: &[u8], value: &[u8], added: &mut Added) -> Option<Vec<u8>> {
        let (key, text) = (msgpack::as_str(key)?, msgpack::as_str(value)?);
        let (_, steps) = self.0.iter().find(|(known, _)| known == key)?;
        let mut text = Cow::Borrowed(text);
        let mut replaced = None;
        for step in steps {
            let decoded = step.form.decode(&text);
            let is_done = decoded.is_some();
            match decoded {
                Some(Decoded::Text(decoded)) => {
                    if step.replaces {
                        let mut value = Vec::with_capacity(decoded.len() + 5);
                        msgpack::write_str(&mut value, &decoded);
                        replaced = Some(value);
                    }
                    text = Cow::Owned(decoded);
                }
                Some(Decoded::Value(decoded)) if step.replaces => replaced = Some(decoded),
                Some(Decoded::Value(decoded)) => added.take(&decoded),
                None => {}
            }
            match step.next {
                Next::Always => {}
                Next::IfFailed if !is_done => {}
                _ => break,
            }
        }
        replaced
    }
}

/// Entries for the end of the record.
#[derive(Default)]
struct Added {
    count: u32,
    entries: Vec<u8>,
}

impl Added {
    fn take(&mut self, value: &[u8]) {
        if let Ok((count, header)) = msgpack::map_header(value) {
            self.count = self.count.saturating_add(count);
            self.entries.extend_from_slice(&value[header..]);
        }
    }
}

impl Form {
    /// `None` if the text is not of this form.
    fn decode(self, text: &[u8]) -> Option<Decoded> {
        match self {
            Self::Json => {
                let mut value = Vec::new();
                let parsed = json::parse(text, &mut value).ok()?;
                let is_whole = text[parsed.consumed..].trim_ascii().is_empty();
                (is_whole && parsed.kind != json::Kind::Other).then_some(Decoded::Value(value))
            }
            Self::Escaped => Some(Decoded::Text(unescape(text, Escapes::Letters))),
            Self::EscapedUtf8 => Some(Decoded::Text(unescape(text, Escapes::Numbers))),
            Self::MySqlQuoted => {
                let inside = match text {
                    [b'\'', inside @ .., b'\''] | [b'"', inside @ .., b'"'] => inside,
                    _ => return None,
                };
                Some(Decoded::Text(unescape(inside, Escapes::MySql)))
            }
        }
    }
}

fn read(option: &str, text: &str, replaces: bool) -> Result<(Vec<u8>, Step), BuildError> {
    let refuse = |why: String| {
        BuildError::new(format!("{option} '{text}': {why}")).help(
            "write a form, a key, and perhaps what is next: json log, or escaped_utf8 log do_next",
        )
    };
    let mut words = text.split_whitespace();
    let (Some(form), Some(field)) = (words.next(), words.next()) else {
        return Err(refuse("a form and a key are needed".to_owned()));
    };
    let known = FORMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(form));
    let Some((_, form)) = known else { return Err(refuse(format!("'{form}' is no form"))) };
    let next = match words.next() {
        None => Next::No,
        Some("try_next") => Next::IfFailed,
        Some("do_next") => Next::Always,
        Some(other) => return Err(refuse(format!("'{other}' is neither try_next nor do_next"))),
    };
    Ok((field.as_bytes().to_vec(), Step { form: *form, replaces, next }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    fn decoders(given: &[(&str, &str)]) -> Result<Decoders, BuildError> {
        Decoders::new(&testing::options(super::super::OPTIONS, given))
    }

    fn check(given: &[(&str, &str)], record: &str, expected: &str) {
        let mut body = b"-".to_vec();
        body.extend_from_slice(&testing::msgpack(record));
        decoders(given).unwrap().apply(&mut body, 1);
        assert_eq!(testing::json_text(&body[1..]), expected);
    }

    #[test]
    fn json_may_take_the_place_of_its_text() {
        let given = [("decode_field_as", "json log")];
        check(&given, r#"{"log":"{\"a\":[1]}","b":2}"#, r#"{"log":{"a":[1]},"b":2}"#);
        check(&given, r#"{"log":" [1] "}"#, r#"{"log":[1]}"#);
    }

    #[test]
    fn the_entries_of_a_map_may_be_added() {
        let given = [("decode_field", "json log")];
        let log = r#"{"log":"{\"a\":1,\"c\":2}","b":2}"#;
        check(&given, log, r#"{"log":"{\"a\":1,\"c\":2}","b":2,"a":1,"c":2}"#);
        check(&given, r#"{"log":"[1]"}"#, r#"{"log":"[1]"}"#);
    }

    #[test]
    fn what_cannot_be_decoded_stays() {
        let given = [("decode_field_as", "json log")];
        for record in [r#"{"log":"text"}"#, r#"{"log":"{} {}"}"#, r#"{"log":7}"#, r#"{"x":"{}"}"#] {
            check(&given, record, record);
        }
    }

    #[test]
    fn decoders_of_a_field_follow_each_other() {
        let log = r#"{"log":"{\\\"a\\\":\\\"é\\\"}"}"#;
        check(
            &[("decode_field_as", "escaped_utf8 log do_next"), ("decode_field_as", "json log")],
            log,
            r#"{"log":{"a":"é"}}"#,
        );
        check(&[("decode_field_as", "escaped log")], log, r#"{"log":"{\"a\":\"é\"}"}"#);
        let either =
            [("decode_field_as", "json log try_next"), ("decode_field_as", "mysql_quoted log")];
        check(&either, r#"{"log":"'it\\'s'"}"#, r#"{"log":"it's"}"#);
        check(&either, r#"{"log":"{\"a\":\"'x'\"}"}"#, r#"{"log":{"a":"'x'"}}"#);
    }

    #[test]
    fn a_decoder_that_nobody_knows_is_refused() {
        let refused = |text| decoders(&[("decode_field", text)]).unwrap_err().message;
        assert_eq!(refused("yaml log"), "decode_field 'yaml log': 'yaml' is no form");
        assert_eq!(refused("json"), "decode_field 'json': a form and a key are needed");
        assert_eq!(
            refused("json log next"),
            "decode_field 'json log next': 'next' is neither try_next nor do_next"
        );
    }
}
