//! Takes the backslashes out of text.

/// Which backslashes mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// The letters that C knows: `\n`, `\t`, `\"`.
    Letters,
    /// Those, and numbers of bytes and characters: `\x41`, `\101`, `\u00e9`.
    Numbers,
    /// Those of MySQL: `\Z`, `\%`.
    MySql,
}

/// The text without its escapes. A backslash that means nothing stays, and what follows it.
pub(super) fn unescape(text: &[u8], escapes: Escapes) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(length) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
        let taken = match escapes {
            Escapes::MySql => mysql(rest, &mut out),
            Escapes::Letters => letter(rest, &mut out),
            Escapes::Numbers => letter(rest, &mut out).or_else(|| number(rest, &mut out)),
        };
        let taken = taken.unwrap_or_else(|| {
            let kept = rest.len().min(2);
            out.extend_from_slice(&rest[..kept]);
            kept
        });
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    out
}

fn letter(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    out.push(match text.get(1)? {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 7,
        b'b' => 8,
        b'v' => 11,
        b'f' => 12,
        same @ (b'\\' | b'"' | b'\'' | b'/') => *same,
        _ => return None,
    });
    Some(2)
}

fn mysql(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    out.push(match text.get(1)? {
        b'0' => 0,
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'Z' => 26,
        same @ (b'\\' | b'"' | b'\'' | b'%' | b'_') => *same,
        _ => return None,
    });
    Some(2)
}

fn number(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    match text.get(1)? {
        b'x' => {
            let (byte, length) = digits(text, 2, 2, 16)?;
            out.push(byte as u8);
            Some(length)
        }
        b'0'..=b'7' => {
            let (byte, length) = digits(text, 1, 3, 8)?;
            out.push(u8::try_from(byte).ok()?);
            Some(length)
        }
        b'u' => {
            let (unit, length) = digits(text, 2, 4, 16).filter(|(_, length)| *length == 6)?;
            let (point, length) = low_surrogate(unit, &text[length..])
                .map_or((unit, length), |(point, more)| (point, length + more));
            push_char(point, out);
            Some(length)
        }
        b'U' => {
            let (point, length) = digits(text, 2, 8, 16).filter(|(_, length)| *length == 10)?;
            push_char(point, out);
            Some(length)
        }
        _ => None,
    }
}

/// The character of two halves, if the second one follows.
fn low_surrogate(high: u32, text: &[u8]) -> Option<(u32, usize)> {
    if !(0xd800..0xdc00).contains(&high) || !text.starts_with(b"\\u") {
        return None;
    }
    let (low, length) = digits(text, 2, 4, 16)?;
    (0xdc00..0xe000)
        .contains(&low)
        .then(|| (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), length))
}

fn push_char(point: u32, out: &mut Vec<u8>) {
    let letter = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The number that at most `most` digits from byte `from` on make, and where it ends. None without a digit.
fn digits(text: &[u8], from: usize, most: usize, base: u32) -> Option<(u32, usize)> {
    let digits = text.get(from..)?.iter().take(most);
    let digits = digits.map_while(|digit| char::from(*digit).to_digit(base));
    let (number, count) =
        digits.fold((0_u32, 0), |(number, count), digit| (number * base + digit, count + 1));
    (count > 0).then_some((number, from + count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(escapes: Escapes, text: &str, expected: &[u8]) {
        let out = unescape(text.as_bytes(), escapes);
        assert_eq!(out, expected, "{text}: {}", out.escape_ascii());
    }

    #[test]
    fn letters_are_those_of_c() {
        check(Escapes::Letters, r#"a\n\t\"\\\/b\u00e9\"#, b"a\n\t\"\\/b\\u00e9\\");
    }

    #[test]
    fn numbers_are_bytes_and_characters() {
        check(Escapes::Numbers, r"\x41\101\u00e9\ud83d\ude00\U0001F600", "AAé😀😀".as_bytes());
        check(Escapes::Numbers, r"\ud83d!\xff\0", b"\xef\xbf\xbd!\xff\0");
        check(Escapes::Numbers, r"\u12 \xg \q \777", br"\u12 \xg \q \777");
    }

    #[test]
    fn mysql_has_letters_of_its_own() {
        check(Escapes::MySql, r"a\0\Z\%\'\x", b"a\0\x1a%'\\x");
    }
}
