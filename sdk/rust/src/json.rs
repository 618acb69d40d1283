//! JSON text, read and written here where no host does it: in native tests, and for stock Fluent Bit.
//!
//! The text is that of the agent's `Event_Format json`, but for keys that are maps or arrays, which are left empty.

use core::fmt::Write;

use crate::value::{Kind, Value};
use crate::write::{Encode, Shape, Writer};

/// Deeper than any record may be.
const MAX_DEPTH: usize = 128;

/// Appends the one JSON value that the text is, as msgpack; `None` if it is none, or there is no room.
pub(crate) fn parse(text: &str, to: &mut Writer<'_>) -> Option<()> {
    let mut parser = Parser { rest: text.as_bytes() };
    parser.value(to, 0)?;
    parser.blanks();
    (parser.rest.is_empty() && !to.is_full()).then_some(())
}

struct Parser<'t> {
    rest: &'t [u8],
}

impl Parser<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    /// Takes a sign that blanks may precede.
    fn sign(&mut self, sign: u8) -> Option<()> {
        self.blanks();
        self.take(&[sign])
    }

    fn value(&mut self, to: &mut Writer<'_>, depth: usize) -> Option<()> {
        self.blanks();
        match self.rest.first()? {
            b'{' if depth < MAX_DEPTH => self.list(to, Shape::Map, b"{}", |parser, to| {
                parser.blanks();
                parser.string(to)?;
                parser.sign(b':')?;
                parser.value(to, depth + 1)
            }),
            b'[' if depth < MAX_DEPTH => {
                self.list(to, Shape::Array, b"[]", |parser, to| parser.value(to, depth + 1))
            }
            b'"' => self.string(to),
            b't' => self.take(b"true").map(|()| true.encode(to)),
            b'f' => self.take(b"false").map(|()| false.encode(to)),
            b'n' => self.take(b"null").map(|()| ().encode(to)),
            _ => self.number(to),
        }
    }

    fn list(
        &mut self,
        to: &mut Writer<'_>,
        shape: Shape,
        brackets: &[u8; 2],
        mut element: impl FnMut(&mut Self, &mut Writer<'_>) -> Option<()>,
    ) -> Option<()> {
        let [open, close] = *brackets;
        self.sign(open)?;
        let mut whole = None;
        to.sized(shape, 0, |to| {
            let mut count = 0;
            whole = self.sign(close);
            while whole.is_none() {
                if count > 0 && self.sign(b',').is_none() || element(self, to).is_none() {
                    break;
                }
                count += 1;
                whole = self.sign(close);
            }
            count
        });
        whole
    }

    fn string(&mut self, to: &mut Writer<'_>) -> Option<()> {
        self.take(b"\"")?;
        let mut whole = None;
        to.sized(Shape::Text, 0, |to| {
            whole = self.letters(to);
            0
        });
        whole
    }

    /// The letters of a string, and the quote behind them.
    fn letters(&mut self, to: &mut Writer<'_>) -> Option<()> {
        loop {
            let plain = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
            let (text, rest) = self.rest.split_at_checked(plain)?;
            to.put(text);
            self.rest = rest;
            if self.take(b"\"").is_some() {
                return Some(());
            }
            self.take(b"\\")?;
            let (letter, rest) = self.rest.split_first()?;
            self.rest = rest;
            let letter = match letter {
                b'"' | b'\\' | b'/' => char::from(*letter),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.escaped()?,
                _ => return None,
            };
            to.put(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// What stands behind `\u`; half of a pair becomes U+FFFD.
    fn escaped(&mut self) -> Option<char> {
        let unit = self.unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.rest;
        if self.take(b"\\u").is_some() {
            let low = self.unit()?;
            if (0xdc00..0xe000).contains(&low) {
                return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            }
            self.rest = before;
        }
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    fn number(&mut self, to: &mut Writer<'_>) -> Option<()> {
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let len = self.rest.iter().position(|byte| !is_part(byte)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        let digits = core::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        if let Ok(number) = digits.parse::<u64>() {
            number.encode(to);
        } else if let Ok(number) = digits.parse::<i64>() {
            number.encode(to);
        } else {
            digits.parse::<f64>().ok()?.encode(to);
        }
        Some(())
    }
}

/// Appends the value's JSON text.
pub(crate) fn print(value: Value<'_>, to: &mut Writer<'_>) {
    match value.kind() {
        Kind::Missing | Kind::Nil => to.put(b"null"),
        Kind::Bool => to.put(if value == true { b"true" } else { b"false" }),
        Kind::Int => match value.as_i64() {
            // What does not fit is noticed by whoever reads the writer.
            Some(number) => drop(write!(to, "{number}")),
            None => drop(write!(to, "{}", value.as_u64().unwrap_or_default())),
        },
        Kind::Float => float(value.as_f64().unwrap_or_default(), to),
        Kind::Text => quoted(value.as_text().unwrap_or_default().as_bytes(), to),
        Kind::Binary => quoted(value.as_binary().unwrap_or_default(), to),
        Kind::Extension => {
            to.put(b"\"");
            for byte in value.as_extension().unwrap_or_default().1 {
                let _ = write!(to, "\\\\x{byte:02x}");
            }
            to.put(b"\"");
        }
        Kind::Array => {
            to.put(b"[");
            for (index, item) in value.items().enumerate() {
                to.put(if index > 0 { b"," } else { b"" });
                print(item, to);
            }
            to.put(b"]");
        }
        Kind::Map => {
            to.put(b"{");
            let mut comma: &[u8] = b"";
            let mut entries = value.entries();
            while let Some((key, value)) = entries.next() {
                // Of a name that comes again the last counts.
                let comes_again =
                    |name| entries.clone().any(|(later, _)| later.as_text() == Some(name));
                if key.as_text().is_some_and(comes_again) {
                    continue;
                }
                to.put(comma);
                comma = b",";
                print_key(key, to);
                to.put(b":");
                print(value, to);
            }
            to.put(b"}");
        }
    }
}

fn print_key(key: Value<'_>, to: &mut Writer<'_>) {
    match key.kind() {
        Kind::Text | Kind::Binary | Kind::Extension => print(key, to),
        Kind::Array | Kind::Map => to.put(b"\"\""),
        _ => {
            to.put(b"\"");
            print(key, to);
            to.put(b"\"");
        }
    }
}

/// A text in quotes, with everything escaped that is not printable ASCII.
fn quoted(mut text: &[u8], to: &mut Writer<'_>) {
    to.put(b"\"");
    while let Some((first, rest)) = text.split_first() {
        match first {
            b'"' | b'\\' => to.put(&[b'\\', *first]),
            b'\n' => to.put(b"\\n"),
            b'\r' => to.put(b"\\r"),
            b'\t' => to.put(b"\\t"),
            8 => to.put(b"\\b"),
            12 => to.put(b"\\f"),
            b' '..=b'~' => to.put(&[*first]),
            0x80.. => {
                text = beyond_ascii(text, to);
                continue;
            }
            _ => drop(write!(to, "\\u{first:04x}")),
        }
        text = rest;
    }
    to.put(b"\"");
}

/// The character that the text begins with, which is not ASCII; what follows it. A byte `xx` that begins none becomes U+E0xx, or
/// nothing if what it announces would reach beyond the end.
fn beyond_ascii<'t>(text: &'t [u8], to: &mut Writer<'_>) -> &'t [u8] {
    let first = text.first().copied().unwrap_or_default();
    let len = match first {
        0xf0..=0xf7 => 4,
        0xe0..=0xef => 3,
        0xc0..=0xdf => 2,
        _ => 1,
    };
    let letter = text.get(..len).and_then(|bytes| core::str::from_utf8(bytes).ok()?.chars().next());
    match letter {
        Some(letter) => {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(to, "\\u{unit:04x}");
            }
            text.get(len..).unwrap_or_default()
        }
        None => {
            if len <= text.len() {
                to.put(&[0xee, 0x80 | first >> 6, 0x80 | first & 0x3f]);
            }
            text.get(1..).unwrap_or_default()
        }
    }
}

/// As C prints it by `%.1f` if it is whole, else by `%.16g`.
fn float(value: f64, to: &mut Writer<'_>) {
    if !value.is_finite() {
        return to.put(b"null");
    }
    const END: f64 = 9_223_372_036_854_775_808.0;
    let whole = value as i64;
    if (-END..END).contains(&value) && whole as f64 == value {
        to.put(if value.is_sign_negative() { b"-" } else { b"" });
        let _ = write!(to, "{}.0", whole.unsigned_abs());
        return;
    }
    // A sign, a digit, a point, fifteen digits, `e`, and at most `-324`.
    let mut room = [0; 32];
    let start = room.as_mut_ptr();
    // SAFETY: the room is there, and nobody else uses it.
    let mut writer = unsafe { Writer::new(start, room.len()) };
    let _ = write!(writer, "{value:.15e}");
    let len = writer.written(start);
    let text = core::str::from_utf8(room.get(..len).unwrap_or_default()).unwrap_or_default();
    let (sign, text) = text.split_at(text.len() - text.trim_start_matches('-').len());
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (first, others) = digits.split_once('.').unwrap_or((digits, ""));
    let others = others.trim_end_matches('0');
    let exponent: i32 = exponent.parse().unwrap_or_default();
    to.put(sign.as_bytes());
    match exponent {
        0..16 => {
            to.put(first.as_bytes());
            let (before, behind) =
                others.split_at_checked(exponent as usize).unwrap_or((others, ""));
            to.put(before.as_bytes());
            (before.len()..exponent as usize).for_each(|_| to.put(b"0"));
            if !behind.is_empty() {
                to.put(b".");
                to.put(behind.as_bytes());
            }
        }
        -4..0 => {
            to.put(b"0.");
            (exponent..-1).for_each(|_| to.put(b"0"));
            to.put(first.as_bytes());
            to.put(others.as_bytes());
        }
        _ => {
            to.put(first.as_bytes());
            to.put(if others.is_empty() { b"" } else { b"." });
            to.put(others.as_bytes());
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(to, "e{sign}{:02}", exponent.unsigned_abs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::ToOwned;
    use std::string::String;

    /// The text of a value that was parsed.
    fn again(text: &str) -> Option<String> {
        let (mut msgpack, mut json) = ([0; 4096], [0; 4096]);
        let start = json.as_mut_ptr();
        // SAFETY: both rooms are there.
        unsafe {
            parse(text, &mut Writer::new(msgpack.as_mut_ptr(), msgpack.len()))?;
            let mut to = Writer::new(start, json.len());
            print(Value::at(msgpack.as_ptr()), &mut to);
            let len = to.written(start);
            Some(core::str::from_utf8(&json[..len]).unwrap().to_owned())
        }
    }

    #[test]
    fn text_is_printed_as_the_agent_prints_it() {
        for (text, printed) in [
            (
                r#" { "a" : [ 1 , -2 , 18446744073709551615 ] } "#,
                r#"{"a":[1,-2,18446744073709551615]}"#,
            ),
            (
                r#"[1.5,2.0,-0.0,0.1,1e300,1.25e-7,123456.789]"#,
                "[1.5,2.0,-0.0,0.1,1e+300,1.25e-07,123456.789]",
            ),
            (r#"[0.00012,12345678901234567890.0]"#, "[0.00012,1.234567890123457e+19]"),
            (r#""\u00fc\ud83d\ude00\ud800x\n\/""#, r#""\u00fc\ud83d\ude00\ufffdx\n/""#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":3}"#),
            ("[true,false,null,{},[]]", "[true,false,null,{},[]]"),
        ] {
            assert_eq!(again(text).as_deref(), Some(printed), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "[1,]", "{\"a\"}", "tru", "1 2", "+1", "\"\\x\"", "\"", "{1:2}"] {
            assert_eq!(again(text), None, "{text}");
        }
        assert_eq!(again(&"[".repeat(1000)), None);
    }
}
