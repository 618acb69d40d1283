//! JSON text to msgpack.

use super::block::{BLOCK, quote_or_backslash};
use super::float::POWERS_OF_10;
use super::{JsonError, Member, Reason};
use crate::msgpack::{
    self, Container, MAX_DEPTH, patch_container_header, patch_str_header, write_str,
};

/// What [`parse()`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// Bytes from the start of the text to behind the value.
    pub consumed: usize,
    /// What the value is.
    pub kind: Kind,
}

/// The kinds of JSON values that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// A string, a number, `true`, `false` or `null`.
    Other,
}

/// Appends the first JSON value of `text` to `out` as msgpack. What follows the value is not looked at. After an error
/// `out` is as it was before.
///
/// Strict JSON, with two exceptions that Fluent Bit makes: control characters may stand in strings unescaped, and so may
/// bytes that are not UTF-8, which are kept. Lone surrogates (`\ud83d`) become U+FFFD. Integers stay exact from
/// -2^63 to 2^64-1 and become float64 beyond; `1.0` and `1e3` are float64, `-0` is the integer 0. Keys may repeat; all
/// are kept, in order.
pub fn parse(text: &[u8], out: &mut Vec<u8>) -> Result<Parsed, JsonError> {
    let start = out.len();
    let mut parser = Parser { text, at: 0, out };
    match parser.value(0) {
        Ok(kind) => Ok(Parsed { consumed: parser.at, kind }),
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// As [`parse()`], but any value that is not an object is an error. Returns how many bytes of `text` were consumed.
pub fn parse_object(text: &[u8], out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let start = out.len();
    let parsed = parse(text, out)?;
    if parsed.kind == Kind::Object {
        return Ok(parsed.consumed);
    }
    out.truncate(start);
    let offset = text.iter().take_while(|byte| is_blank(**byte)).count();
    Err(JsonError { offset, reason: Reason::NotAnObject })
}

/// A map that was printed: the text, the msgpack that it was printed from, and which members a parser would give back.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// What was printed, from the opening brace on.
    pub text: &'a [u8],
    /// What it was printed from.
    pub map: &'a [u8],
    /// What [`Printer::members`](super::Printer::members) said.
    pub members: &'a [Member],
}

/// As [`parse_object()`], for a text that may begin as another one did: the members that both have in common are not parsed
/// but copied.
pub fn parse_again(text: &[u8], sent: Sent<'_>, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let Some((member, header)) = last_in_common(text, sent) else {
        return parse_object(text, out);
    };
    let start = out.len();
    out.push(0);
    out.extend_from_slice(&sent.map[header..header + sent.members[member].value]);
    let mut parser = Parser { text, at: sent.members[member].text, out };
    match parser.more_members(start, member as u64 + 1) {
        Ok(()) => Ok(parser.at),
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// The last member that is whole in both texts, and the length of the map's header.
fn last_in_common(text: &[u8], sent: Sent<'_>) -> Option<(usize, usize)> {
    let common = common_prefix(text, sent.text);
    let reached = sent.members.partition_point(|member| member.text <= common);
    let mut last = reached.checked_sub(1)?;
    // A number may go on in one text where it ends in the other. Between members there is a comma in both.
    let is_end = |byte: &u8| matches!(byte, b',' | b'}');
    if !text.get(sent.members[last].text).is_some_and(is_end) {
        last = last.checked_sub(1)?;
    }
    let (_, header) = msgpack::map_header(sent.map).ok()?;
    Some((last, header))
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    const AT_ONCE: usize = 32;
    let length = one.len().min(other.len());
    let (one, other) = (&one[..length], &other[..length]);
    let (chunks, _) = one.as_chunks::<AT_ONCE>();
    let (others, _) = other.as_chunks::<AT_ONCE>();
    let equal = chunks.iter().zip(others).take_while(|(one, other)| one == other).count() * AT_ONCE;
    let rest = one[equal..].iter().zip(&other[equal..]);
    equal + rest.take_while(|(one, other)| one == other).count()
}

struct Parser<'t, 'o> {
    text: &'t [u8],
    at: usize,
    out: &'o mut Vec<u8>,
}

impl<'t> Parser<'t, '_> {
    /// The next value, which lies inside `depth` containers.
    fn value(&mut self, depth: usize) -> Result<Kind, JsonError> {
        match self.token() {
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'{') => {
                self.open(depth)?;
                self.object(depth + 1)?;
                return Ok(Kind::Object);
            }
            Some(b'[') => {
                self.open(depth)?;
                self.array(depth + 1)?;
                return Ok(Kind::Array);
            }
            Some(b't') => self.literal(b"true", 0xc3)?,
            Some(b'f') => self.literal(b"false", 0xc2)?,
            Some(b'n') => self.literal(b"null", 0xc0)?,
            _ => return Err(self.expected(Reason::Value)),
        }
        Ok(Kind::Other)
    }

    fn open(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth == MAX_DEPTH {
            return Err(self.error(Reason::TooDeep));
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        let header = self.reserve_header();
        if self.token() == Some(b'}') {
            self.at += 1;
            return self.patch_header(header, Container::Map, 0);
        }
        self.members(header, 0, depth)
    }

    /// Before a key, behind `len` members.
    fn members(&mut self, header: usize, mut len: u64, depth: usize) -> Result<(), JsonError> {
        loop {
            if self.token() != Some(b'"') {
                return Err(self.expected(Reason::Key));
            }
            self.string()?;
            if self.token() != Some(b':') {
                return Err(self.expected(Reason::Colon));
            }
            self.at += 1;
            match self.token() {
                // Most values are strings, and need no call.
                Some(b'"') => self.string()?,
                _ => {
                    self.value(depth)?;
                }
            }
            len += 1;
            if self.closes(b'}', Reason::CommaOrBrace)? {
                return self.patch_header(header, Container::Map, len);
            }
        }
    }

    /// Behind a member of the outermost object, the last of `len` so far.
    fn more_members(&mut self, header: usize, len: u64) -> Result<(), JsonError> {
        if self.closes(b'}', Reason::CommaOrBrace)? {
            return self.patch_header(header, Container::Map, len);
        }
        self.members(header, len, 1)
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        let header = self.reserve_header();
        let mut len = 0;
        if self.token() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.value(depth)?;
                len += 1;
                if self.closes(b']', Reason::CommaOrBracket)? {
                    break;
                }
            }
        }
        self.patch_header(header, Container::Array, len)
    }

    /// Whether `close` follows, and not a comma.
    #[inline(always)]
    fn closes(&mut self, close: u8, reason: Reason) -> Result<bool, JsonError> {
        let token = self.token();
        if token == Some(b',') || token == Some(close) {
            self.at += 1;
            return Ok(token == Some(close));
        }
        Err(self.expected(reason))
    }

    /// One byte, enough for small containers and short strings.
    #[inline]
    fn reserve_header(&mut self) -> usize {
        self.out.push(0);
        self.out.len() - 1
    }

    #[inline]
    fn patch_header(&mut self, at: usize, kind: Container, len: u64) -> Result<(), JsonError> {
        let len = u32::try_from(len).map_err(|_| self.error(Reason::TooLarge))?;
        patch_container_header(self.out, at, kind, len);
        Ok(())
    }

    fn literal(&mut self, word: &[u8], marker: u8) -> Result<(), JsonError> {
        let rest = &self.text[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            self.out.push(marker);
            return Ok(());
        }
        if word.starts_with(rest) {
            self.at = self.text.len();
        }
        Err(self.expected(Reason::Value))
    }

    /// Most strings are short, so those are taken in one go.
    #[inline(always)]
    fn string(&mut self) -> Result<(), JsonError> {
        let rest = &self.text[self.at + 1..];
        if let Some(near) = rest.first_chunk::<BLOCK>() {
            let length = quote_or_backslash(near);
            if length < BLOCK {
                if near[length] == b'"' {
                    self.short_string(length, near);
                    return Ok(());
                }
            } else if let Some(far) = rest.first_chunk::<FAR>() {
                let (blocks, _) = far.as_chunks();
                let length = BLOCK + quote_or_backslash(&blocks[1]);
                if length < FAR && far[length] == b'"' {
                    self.short_string(length, far);
                    return Ok(());
                }
            }
        }
        self.any_string()
    }

    /// A string of less than 32 bytes, which `near` begins with.
    #[inline(always)]
    fn short_string<const N: usize>(&mut self, length: usize, near: &[u8; N]) {
        self.out.push(0xa0 | length as u8);
        let end = self.out.len() + length;
        // All of it, because a copy of known length needs no loop.
        self.out.extend_from_slice(near);
        self.out.truncate(end);
        self.at += length + 2;
    }

    #[inline(never)]
    fn any_string(&mut self) -> Result<(), JsonError> {
        let start = self.at + 1;
        let rest = &self.text[start..];
        let plain = self.plain_len(start)?;
        if rest[plain] == b'"' {
            write_str(self.out, &rest[..plain]);
            self.at = start + plain + 1;
            return self.check_len(plain);
        }
        let header = self.reserve_header();
        self.out.extend_from_slice(&rest[..plain]);
        self.at = start + plain;
        while self.text[self.at] == b'\\' {
            self.escape()?;
            let plain = self.plain_len(self.at)?;
            self.out.extend_from_slice(&self.text[self.at..self.at + plain]);
            self.at += plain;
        }
        self.at += 1;
        self.check_len(self.out.len() - header - 1)?;
        patch_str_header(self.out, header);
        Ok(())
    }

    fn check_len(&self, len: usize) -> Result<(), JsonError> {
        u32::try_from(len).map(|_| ()).map_err(|_| self.error(Reason::TooLarge))
    }

    /// Bytes from `start` to the next quote or backslash.
    fn plain_len(&self, start: usize) -> Result<usize, JsonError> {
        let rest = &self.text[start..];
        end_of_plain(rest).ok_or(JsonError { offset: self.text.len(), reason: Reason::End })
    }

    /// At a backslash; ends behind the whole escape.
    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.expected(Reason::Escape)),
        };
        self.at += 1;
        self.out.push(byte);
        Ok(())
    }

    /// Behind `\u`.
    fn unicode_escape(&mut self) -> Result<(), JsonError> {
        let unit = self.hex4()?;
        let mut character = char::from_u32(unit.into());
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with(b"\\u") {
            let second_at = self.at;
            self.at += 2;
            let second = self.hex4()?;
            character = char::decode_utf16([unit, second]).next().and_then(Result::ok);
            if character.is_none() {
                // The first was alone; the second may begin a pair of its own.
                self.at = second_at;
            }
        }
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex4(&mut self) -> Result<u16, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.expected(Reason::Hex));
            };
            unit = unit << 4 | digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let mut digits = Digits::default();
        let is_zero = self.peek() == Some(b'0');
        self.digits(&mut digits)?;
        if is_zero && digits.count > 1 {
            self.at -= digits.count - 1;
            return Err(self.error(Reason::LeadingZero));
        }
        match self.peek() {
            Some(b'.') => {}
            Some(b'e' | b'E') => return self.exponent(start),
            _ => return self.integer(start, negative, &digits),
        }
        self.at += 1;
        let whole = digits.count;
        self.digits(&mut digits)?;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            return self.exponent(start);
        }
        match digits.exact_quotient(digits.count - whole) {
            Some(value) => msgpack::write_float(self.out, if negative { -value } else { value }),
            None => self.float(start)?,
        }
        Ok(())
    }

    /// At the letter before the exponent of the number that begins at `start`.
    fn exponent(&mut self, start: usize) -> Result<(), JsonError> {
        self.at += 1;
        if matches!(self.peek(), Some(b'+' | b'-')) {
            self.at += 1;
        }
        self.digits(&mut Digits::default())?;
        self.float(start)
    }

    /// At least one digit.
    #[inline]
    fn digits(&mut self, digits: &mut Digits) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            digits.value = digits.value.wrapping_mul(10).wrapping_add((byte - b'0').into());
            self.at += 1;
        }
        digits.count += self.at - start;
        if self.at == start { Err(self.expected(Reason::Digit)) } else { Ok(()) }
    }

    fn integer(&mut self, start: usize, negative: bool, digits: &Digits) -> Result<(), JsonError> {
        let exact = digits.exact().or_else(|| {
            let from = start + usize::from(negative);
            std::str::from_utf8(&self.text[from..self.at]).ok()?.parse().ok()
        });
        match exact {
            Some(value) if !negative => msgpack::write_uint(self.out, value),
            Some(value) if value <= i64::MIN.unsigned_abs() => {
                msgpack::write_int(self.out, 0_i64.wrapping_sub_unsigned(value));
            }
            _ => return self.float(start),
        }
        Ok(())
    }

    /// The number from `start` to here, by the standard library, which rounds correctly.
    #[inline(never)]
    fn float(&mut self, start: usize) -> Result<(), JsonError> {
        let infinite = JsonError { offset: start, reason: Reason::Infinite };
        let digits = std::str::from_utf8(&self.text[start..self.at]).ok();
        let value: Option<f64> = digits.and_then(|digits| digits.parse().ok());
        let value = value.filter(|value| value.is_finite()).ok_or(infinite)?;
        msgpack::write_float(self.out, value);
        Ok(())
    }

    /// Passes over blanks; the byte behind them.
    #[inline(always)]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = self.peek();
            if !byte.is_some_and(is_blank) {
                return byte;
            }
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[cold]
    fn error(&self, reason: Reason) -> JsonError {
        JsonError { offset: self.at, reason }
    }

    /// `reason`, unless there is no byte that could be wrong.
    #[cold]
    fn expected(&self, reason: Reason) -> JsonError {
        self.error(if self.at == self.text.len() { Reason::End } else { reason })
    }
}

/// The digits of a number so far.
#[derive(Default)]
struct Digits {
    /// As an integer, modulo 2^64.
    value: u64,
    count: usize,
}

impl Digits {
    /// The value, if so few digits always fit.
    fn exact(&self) -> Option<u64> {
        const FIT: usize = 19;
        (self.count <= FIT).then_some(self.value)
    }

    /// The value with its last `fraction` digits behind the point, if both parts are exact as float64: then the one
    /// rounding of the division is the right one.
    fn exact_quotient(&self, fraction: usize) -> Option<f64> {
        let value = self.exact().filter(|value| *value < 1 << 53)?;
        Some(value as f64 / POWERS_OF_10.get(fraction)?)
    }
}

#[inline]
fn is_blank(byte: u8) -> bool {
    // One comparison for all that is not.
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Bytes that are looked at before a string is called long.
const FAR: usize = 2 * BLOCK;

/// Blocks that are looked at one by one: in longer texts the library's search is faster.
const BLOCKS: usize = 8;

fn end_of_plain(text: &[u8]) -> Option<usize> {
    let (blocks, _) = text.as_chunks();
    for (index, block) in blocks.iter().take(BLOCKS).enumerate() {
        let plain = quote_or_backslash(block);
        if plain < BLOCK {
            return Some(index * BLOCK + plain);
        }
    }
    let passed = blocks.len().min(BLOCKS) * BLOCK;
    memchr::memchr2(b'"', b'\\', &text[passed..]).map(|found| passed + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `text` to the msgpack `expected`, all of it.
    fn check(text: impl AsRef<[u8]>, expected: &[u8]) {
        let text = text.as_ref();
        let mut out = b"before".to_vec();
        let parsed = parse(text, &mut out).map_err(|error| error.to_string());
        let shown = String::from_utf8_lossy(text);
        assert_eq!(parsed.map(|parsed| parsed.consumed), Ok(text.len()), "{shown}");
        assert_eq!(&out[6..], expected, "{shown}");
    }

    fn check_float(text: &str, expected: f64) {
        check(text, &[&[0xcb], &expected.to_be_bytes()[..]].concat());
    }

    fn check_fault(text: impl AsRef<[u8]>, offset: usize, reason: Reason) {
        let text = text.as_ref();
        let mut out = b"before".to_vec();
        let shown = String::from_utf8_lossy(text);
        assert_eq!(parse(text, &mut out), Err(JsonError { offset, reason }), "{shown}");
        assert_eq!(out, b"before", "{shown}");
    }

    #[test]
    fn values_of_every_kind() {
        check("null", &[0xc0]);
        check("true", &[0xc3]);
        check("false", &[0xc2]);
        check(r#""text""#, b"\xa4text");
        check("{}", &[0x80]);
        check("[]", &[0x90]);
        check(r#"{"a":[1,{"b":null}],"":""}"#, b"\x82\xa1a\x92\x01\x81\xa1b\xc0\xa0\xa0");
        check(" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } }", b"\x82\xa1a\x92\x01\x02\xa1b\x80");
    }

    #[test]
    fn only_the_first_value_is_looked_at() {
        let parsed = |text: &str| parse(text.as_bytes(), &mut Vec::new());
        assert_eq!(parsed("{\"a\":1}xyz"), Ok(Parsed { consumed: 7, kind: Kind::Object }));
        assert_eq!(parsed("\n[1] [2"), Ok(Parsed { consumed: 4, kind: Kind::Array }));
        assert_eq!(parsed("{}{}"), Ok(Parsed { consumed: 2, kind: Kind::Object }));
        assert_eq!(parsed("12,"), Ok(Parsed { consumed: 2, kind: Kind::Other }));
    }

    #[test]
    fn integers_are_exact_and_short() {
        check("0", &[0]);
        check("-0", &[0]);
        check("127", &[0x7f]);
        check("128", &[0xcc, 0x80]);
        check("-33", &[0xd0, 0xdf]);
        check("9007199254740993", &[0xcf, 0, 0x20, 0, 0, 0, 0, 0, 1]);
        check("18446744073709551615", &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]);
        check("-9223372036854775808", &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn integers_out_of_range_become_floats() {
        check_float("18446744073709551616", 18446744073709551616.0);
        check_float("-9223372036854775809", -9223372036854775808.0);
        check_float("100000000000000000000000000000", 1e29);
    }

    #[test]
    fn a_point_or_an_exponent_makes_a_float() {
        check_float("1.0", 1.0);
        check_float("-0.0", -0.0);
        check_float("1e3", 1000.0);
        check_float("1E+3", 1000.0);
        check_float("25e-1", 2.5);
        check_float("0e5", 0.0);
        check_float("0.1", 0.1);
        check_float("-2.5e-10", -2.5e-10);
        check_float("123456.789", 123456.789);
        check_float("0.0000000000000000000001", 1e-22);
        check_float("0.00000000000000000000001", 1e-23);
        check_float("9007199254740993.0", 9007199254740992.0);
        check_float("1.7976931348623157e308", f64::MAX);
        check_float("1e-400", 0.0);
        check_float("0.123456789012345678901234567890", 0.12345678901234568);
    }

    #[test]
    fn numbers_are_strict() {
        check_fault("1e400", 0, Reason::Infinite);
        check_fault("[-1e309]", 1, Reason::Infinite);
        check_fault("9".repeat(400), 0, Reason::Infinite);
        check_fault("007", 1, Reason::LeadingZero);
        check_fault("-01", 2, Reason::LeadingZero);
        check_fault("+1", 0, Reason::Value);
        check_fault(".5", 0, Reason::Value);
        check_fault("-a", 1, Reason::Digit);
        check_fault("-.5", 1, Reason::Digit);
        check_fault("1.e5", 2, Reason::Digit);
        check_fault("1e+", 3, Reason::End);
        check_fault("1.", 2, Reason::End);
        check_fault("-", 1, Reason::End);
        check_fault("[0x10]", 2, Reason::CommaOrBracket);
        check_fault("NaN", 0, Reason::Value);
        check_fault("Infinity", 0, Reason::Value);
        check_fault("-Infinity", 1, Reason::Digit);
    }

    #[test]
    fn escapes_are_decoded() {
        check(r#""\"\\\/\b\f\n\r\t""#, b"\xa8\"\\/\x08\x0c\n\r\t");
        check(r#""\u0041\u00e9\u20AC""#, b"\xa6A\xc3\xa9\xe2\x82\xac");
        check(r#""a\u0000b""#, b"\xa3a\0b");
        check(r#""\ud83d\ude00!""#, b"\xa5\xf0\x9f\x98\x80!");
    }

    #[test]
    fn a_surrogate_without_its_other_half_is_replaced() {
        check(r#""x\ud83dy""#, b"\xa5x\xef\xbf\xbdy");
        check(r#""\ude00""#, b"\xa3\xef\xbf\xbd");
        check(r#""\ud83d\u0041""#, b"\xa4\xef\xbf\xbdA");
        check(r#""\ud83d\ud83d\ude00""#, b"\xa7\xef\xbf\xbd\xf0\x9f\x98\x80");
        check(r#""\ud83d\n""#, b"\xa4\xef\xbf\xbd\n");
    }

    #[test]
    fn bad_escapes_are_errors() {
        check_fault(r#""\x41""#, 2, Reason::Escape);
        check_fault(r#""\u12""#, 5, Reason::Hex);
        check_fault(r#""\u12g4""#, 5, Reason::Hex);
        check_fault(r#""\ud83d\uzzzz""#, 9, Reason::Hex);
        check_fault(r#""\u12"#, 5, Reason::End);
        check_fault("\"\\", 2, Reason::End);
    }

    #[test]
    fn control_characters_and_invalid_utf8_are_kept() {
        check(b"\"a\nb\0c\x1f\"", b"\xa6a\nb\0c\x1f");
        check(b"\"x\xff\xfey\\n\"", b"\xa5x\xff\xfey\n");
        check(b"{\"\xe2\x82\":1}", b"\x81\xa2\xe2\x82\x01");
    }

    #[test]
    fn strings_of_every_length() {
        for len in [0, 1, 15, 16, 17, 31, 32, 255, 256, 65535, 65536] {
            let text = "x".repeat(len);
            let mut expected = Vec::new();
            write_str(&mut expected, &text);
            check(format!("\"{text}\""), &expected);
            if len > 0 {
                check(format!("\"{}\\u0078\"", &text[1..]), &expected);
            }
        }
    }

    #[test]
    fn containers_of_every_length() {
        for len in [1, 15, 16, 65535, 65536] {
            let mut array = Vec::new();
            msgpack::write_array_header(&mut array, len);
            array.extend(std::iter::repeat_n(7, len as usize));
            check(format!("[{}7]", "7,".repeat(len as usize - 1)), &array);
            let mut map = Vec::new();
            msgpack::write_map_header(&mut map, len);
            map.extend(b"\xa1k\x07".repeat(len as usize));
            check(format!("{{{}\"k\":7}}", "\"k\":7,".repeat(len as usize - 1)), &map);
        }
    }

    #[test]
    fn repeated_keys_are_kept() {
        check(r#"{"a":1,"a":2,"b":3,"a":3}"#, b"\x84\xa1a\x01\xa1a\x02\xa1b\x03\xa1a\x03");
    }

    #[test]
    fn the_grammar_is_strict() {
        check_fault("", 0, Reason::End);
        check_fault("  ", 2, Reason::End);
        check_fault("\u{feff}{}", 0, Reason::Value);
        check_fault("hello", 0, Reason::Value);
        check_fault("nul", 3, Reason::End);
        check_fault("nulL", 0, Reason::Value);
        check_fault("[tru]", 1, Reason::Value);
        check_fault("{\"a\":1,}", 7, Reason::Key);
        check_fault("[1,]", 3, Reason::Value);
        check_fault("[,1]", 1, Reason::Value);
        check_fault("[1 2]", 3, Reason::CommaOrBracket);
        check_fault("{\"a\":1 \"b\":2}", 7, Reason::CommaOrBrace);
        check_fault("{\"a\" 1}", 5, Reason::Colon);
        check_fault("{a:1}", 1, Reason::Key);
        check_fault("{'a':1}", 1, Reason::Key);
        check_fault("{1:1}", 1, Reason::Key);
        check_fault("{\"a\":1/**/}", 6, Reason::CommaOrBrace);
        check_fault("[1}", 2, Reason::CommaOrBracket);
        check_fault("\x0b1", 0, Reason::Value);
    }

    #[test]
    fn every_beginning_of_a_good_text_ends_too_early() {
        let text = r#"{"a":[1,-2.5e3,"\ud83d\ude00 x"],"b":{"c":null},"d":[true,false]}"#;
        for len in 0..text.len() {
            check_fault(&text[..len], len, Reason::End);
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(nested(MAX_DEPTH), &[vec![0x91; MAX_DEPTH - 1], vec![0x90]].concat());
        check_fault(nested(MAX_DEPTH + 1), MAX_DEPTH, Reason::TooDeep);
        check_fault("{\"\":".repeat(100_000), MAX_DEPTH * 4, Reason::TooDeep);
    }

    #[test]
    fn only_an_object_will_do_when_an_object_is_wanted() {
        let mut out = b"before".to_vec();
        let error = parse_object(b" [1]", &mut out).unwrap_err();
        assert_eq!(error, JsonError { offset: 1, reason: Reason::NotAnObject });
        assert_eq!(parse_object(b"{", &mut out).unwrap_err().reason, Reason::End);
        assert_eq!(out, b"before");
        assert_eq!(parse_object(b" {} ", &mut out), Ok(3));
        assert_eq!(out, b"before\x80");
    }

    #[test]
    fn messages_say_what_and_where() {
        let message = |text: &str| parse(text.as_bytes(), &mut Vec::new()).unwrap_err().to_string();
        assert_eq!(message(r#"{"a":1 "b":2}"#), "expected ',' or '}' at byte 7");
        assert_eq!(message(r#"{"a":"#), "the JSON text ends too early, at byte 5");
        assert_eq!(message(r#"["\x"]"#), r#"expected one of \" \\ \/ \b \f \n \r \t \u at byte 3"#);
    }
}
