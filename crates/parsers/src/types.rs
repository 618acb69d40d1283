//! `Types`: values that are not to stay text.

use super::TYPES;
use flb_event::msgpack;
use flb_plugin::{Build, Options};

use flb_plugin::log::{Label, Mishaps, excerpt};

/// The types of fields, by their keys.
#[derive(Default)]
pub(super) struct Types {
    label: Option<Label>,
    types: Vec<(Vec<u8>, Type)>,
    odd: Mishaps,
}

/// What a value is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Integer,
    Float,
    Hex,
    Bool,
    String,
}

const NAMES: &[(&str, Type)] = &[
    ("integer", Type::Integer),
    ("float", Type::Float),
    ("hex", Type::Hex),
    ("bool", Type::Bool),
    ("string", Type::String),
];

impl Types {
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Self {
        let label = Label::parser(build);
        let text = options.get(TYPES).unwrap_or_default();
        let types = text.split_whitespace().filter_map(|text| read(text, &label)).collect();
        Self { label: Some(label), types, odd: Mishaps::default() }
    }

    /// The type of a field.
    pub(super) fn of(&self, key: &[u8]) -> Type {
        let known = self.types.iter().find(|(known, _)| known == key);
        known.map_or(Type::String, |(_, wanted)| *wanted)
    }

    /// Appends a value as its type says.
    pub(super) fn write(&self, wanted: Type, value: &[u8], out: &mut Vec<u8>) {
        match wanted {
            Type::String => msgpack::write_str(out, value),
            Type::Integer => msgpack::write_int(out, integer(value)),
            Type::Float => msgpack::write_float(out, float(value)),
            Type::Hex => msgpack::write_uint(out, hex(value)),
            Type::Bool if begins(value, b"true") => msgpack::write_bool(out, true),
            Type::Bool if begins(value, b"false") => msgpack::write_bool(out, false),
            Type::Bool => {
                if let (Some(label), Some(total)) = (&self.label, self.odd.another()) {
                    tracing::warn!(
                        "{label} '{}' is neither true nor false ({total} so far)",
                        excerpt(value)
                    );
                }
                msgpack::write_str(out, value);
            }
        }
    }
}

/// A key and its type. Without a type that is known the value stays text, as it does in Fluent Bit.
fn read(text: &str, label: &Label) -> Option<(Vec<u8>, Type)> {
    let (key, name) = text.split_once(':').unwrap_or((text, ""));
    let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    if found.is_none() {
        tracing::warn!(
            "{label} types: '{text}' has no type that is known, so '{key}' stays text; \
             write key:type, of the types integer, float, hex, bool and string"
        );
    }
    found.map(|(_, found)| (key.as_bytes().to_vec(), *found))
}

fn begins(value: &[u8], word: &[u8]) -> bool {
    value.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
}

/// The number that the text begins with, as C's `atoll` finds it: 0 without one, the last possible one if it is too large.
fn integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|digit| digit.is_ascii_digit());
    digits.fold(0, |number: i64, digit| {
        let digit = i64::from(digit - b'0');
        let shifted = number.saturating_mul(10);
        if is_negative { shifted.saturating_sub(digit) } else { shifted.saturating_add(digit) }
    })
}

/// The number that the text begins with, as C's `atof` finds it.
fn float(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let length = float_length(text);
    std::str::from_utf8(&text[..length]).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn float_length(text: &[u8]) -> usize {
    let digits =
        |from: usize| text[from..].iter().take_while(|digit| digit.is_ascii_digit()).count();
    let mut at = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    at += digits(at);
    if text.get(at) == Some(&b'.') {
        at += 1 + digits(at + 1);
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = at + 1 + sign;
        let count = if exponent <= text.len() { digits(exponent) } else { 0 };
        if count > 0 {
            at = exponent + count;
        }
    }
    at
}

fn hex(text: &[u8]) -> u64 {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    let digits = text.iter().map_while(|digit| char::from(*digit).to_digit(16));
    digits.fold(0, |number: u64, digit| {
        number.checked_mul(16).map_or(u64::MAX, |number| number + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_far_as_they_go() {
        for (text, number) in [
            ("12", 12),
            (" -7x", -7),
            ("+3", 3),
            ("-", 0),
            ("x", 0),
            ("", 0),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(integer(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn floats_are_read_as_far_as_they_go() {
        for (text, number) in [
            ("1.5", 1.5),
            ("-2e3x", -2000.0),
            (" .5", 0.5),
            ("7.", 7.0),
            ("1e", 1.0),
            ("1e+", 1.0),
            ("-", 0.0),
            ("inf", 0.0),
        ] {
            assert_eq!(float(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn hex_numbers_may_have_a_prefix() {
        for (text, number) in
            [("ff", 255), ("0x1F g", 31), ("g", 0), ("ffffffffffffffffff", u64::MAX)]
        {
            assert_eq!(hex(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn what_has_no_type_that_is_known_stays_text() {
        let label = Label::named("[parser:t]".to_owned());
        let read = |text| read(text, &label).map(|(_, found)| found);
        assert_eq!(read("a:Float"), Some(Type::Float));
        for text in ["a:int", "a:number", "a", "a:b:integer"] {
            assert_eq!(read(text), None, "{text}");
        }
        let spec = crate::ALL.iter().find(|spec| spec.name == "regex").unwrap();
        let given = [("regex", "^(?<x>.*)-(?<y>.*)$"), ("types", "x:int y:integer")];
        flb_harness::ParserCheck::new(spec, &given)
            .reads("abc-12", r#"{"x":"abc","y":12}"#)
            .reads("12-abc", r#"{"x":"12","y":0}"#);
    }
}
