//! Msgpack to JSON text.

use super::escape::{self, string};
use super::float;
use super::options::JsonOptions;
use super::repeated::{Key, Printed, Repetitions, Suspicion};
use crate::msgpack::{MAX_DEPTH, MsgpackError, Reader, Value};
use crate::text;

/// Appends the first value of `value` as JSON, without blanks. After an error `out` is as it was before.
///
/// * Whole floats print as C's `%.1f` (`1.0`), others as `%.16g` (`0.1`, `1e+300`), those that are not numbers as `null`.
/// * Of entries with the same string key only the last is printed.
/// * In strings and bytes, `"` and `\` and control characters are escaped; `/` is not.
/// * Invalid UTF-8 never gets out. With `escape_unicode` a byte `xx` that begins no valid sequence becomes U+E0xx,
///   unescaped, or nothing if the sequence it announces would reach beyond the end. Without, each becomes U+FFFD.
pub fn write(value: &[u8], out: &mut Vec<u8>, options: JsonOptions) -> Result<(), MsgpackError> {
    Printer::new(options).print(value, out)
}

/// Prints values one after the other as [`write()`] does, but keeps its memory, and knows of the last value which of its
/// members a parser would give back as they were.
#[derive(Debug)]
pub struct Printer {
    options: JsonOptions,
    /// Entries of the maps being printed, those of inner maps last.
    printed: Vec<Printed>,
    repetitions: Repetitions,
    members: Vec<Member>,
}

/// Where a member of a printed map ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// In the text, from the map's opening brace on.
    pub text: usize,
    /// In the msgpack, from behind the map's header on.
    pub value: usize,
}

impl Printer {
    /// A printer that prints so.
    pub fn new(options: JsonOptions) -> Self {
        let (printed, repetitions, members) = Default::default();
        Self { options, printed, repetitions, members }
    }

    /// As [`write()`].
    pub fn print(&mut self, value: &[u8], out: &mut Vec<u8>) -> Result<(), MsgpackError> {
        self.print_while(value, out, &|| true)
    }

    /// As [`write()`], as long as `goes_on` says so: it is asked behind each 64 KiB, but not within a single string.
    pub fn print_while(
        &mut self,
        value: &[u8],
        out: &mut Vec<u8>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), MsgpackError> {
        let start = out.len();
        self.printed.clear();
        self.members.clear();
        let Self { options, printed, repetitions, members } = self;
        let reader = Reader::new(value);
        let options = *options;
        let (comes_back, pause) = (true, Pause { at: PIECE, goes_on });
        let mut writer =
            Writer { reader, out, options, printed, repetitions, members, comes_back, pause };
        let written = writer.top(start);
        if written.is_err() {
            self.members.clear();
            out.truncate(start);
        }
        written
    }

    /// The leading members of the last value, if it was a map, whose text parses to the very bytes that it was printed
    /// from: up to the first with, say, a number in a longer form than needed, invalid UTF-8, or a repeated key.
    pub fn members(&self) -> &[Member] {
        &self.members
    }
}

/// Maps with more entries are rare.
const MOST_ENTRIES: u32 = 32;

struct Writer<'a, 'o> {
    reader: Reader<'a>,
    out: &'o mut Vec<u8>,
    options: JsonOptions,
    printed: &'o mut Vec<Printed>,
    repetitions: &'o mut Repetitions,
    members: &'o mut Vec<Member>,
    /// Whether all that was printed so far would be parsed to the same bytes.
    comes_back: bool,
    pause: Pause<'o>,
}

/// Bytes of msgpack between two questions whether to go on, and elements of a container.
const PIECE: usize = 64 << 10;
const ELEMENTS: u32 = 1024;

/// When to ask next.
struct Pause<'o> {
    at: usize,
    goes_on: &'o dyn Fn() -> bool,
}

impl<'a> Writer<'a, '_> {
    /// Asks whether to go on, if it is time to.
    fn pause(&mut self) -> Result<(), MsgpackError> {
        let at = self.reader.position();
        if at < self.pause.at {
            return Ok(());
        }
        self.pause.at = at + PIECE;
        if (self.pause.goes_on)() { Ok(()) } else { Err(MsgpackError::GivenUp { at }) }
    }

    /// The whole value, and if it is a map, where its members end.
    fn top(&mut self, start: usize) -> Result<(), MsgpackError> {
        let before = self.reader.clone();
        let Value::Map(len) = self.reader.next()? else {
            self.reader = before;
            return self.value(0);
        };
        let header = self.reader.position();
        // No more than most maps have: the number stands in data that nobody has checked.
        self.printed.reserve(len.min(MOST_ENTRIES) as usize);
        self.members.reserve(len.min(MOST_ENTRIES) as usize);
        self.map::<true>(len, 1, start, header)
    }

    fn value(&mut self, depth: usize) -> Result<(), MsgpackError> {
        if let Some(text) = self.reader.next_short_str() {
            self.short_string(text, b"");
            return Ok(());
        }
        if let Some(value) = self.reader.next_short_uint() {
            integer(value, self.out);
            return Ok(());
        }
        let at = self.reader.position();
        match self.reader.next()? {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Uint(value) => {
                // A signed form may be just as long.
                self.comes_back &= !matches!(self.reader.data()[at], 0xd0..=0xd3)
                    && self.reader.position() - at == uint_len(value);
                integer(value, self.out);
            }
            Value::Int(value) => {
                self.comes_back &= self.reader.position() - at == int_len(value);
                integer(value, self.out);
            }
            Value::Float(value) => {
                let is_double = self.reader.position() - at == 9;
                self.comes_back &= float::write(value, self.out) && is_double;
            }
            Value::Str(text) => self.string(text, at),
            Value::Bin(bytes) => {
                self.comes_back = false;
                string(bytes, self.out, self.options);
            }
            Value::Ext(_, bytes) => {
                self.comes_back = false;
                escape::extension(bytes, self.out);
            }
            Value::Array(_) | Value::Map(_) if depth == MAX_DEPTH => {
                return Err(MsgpackError::TooDeep { at });
            }
            Value::Array(len) => {
                self.comes_back &= self.reader.position() - at == container_len(len);
                self.array(len, depth + 1)?;
            }
            Value::Map(len) => {
                self.comes_back &= self.reader.position() - at == container_len(len);
                self.map::<false>(len, depth + 1, 0, 0)?;
            }
        }
        Ok(())
    }

    /// A string whose value begins at `at`.
    fn string(&mut self, text: &'a [u8], at: usize) {
        let header = self.reader.position() - at - text.len();
        self.comes_back &= header == str_header_len(text.len());
        self.comes_back &= string(text, self.out, self.options);
    }

    /// A string in its shortest form, and what follows it.
    #[inline(always)]
    fn short_string(&mut self, text: &'a [u8], behind: &[u8]) {
        let near = self.reader.from(text);
        if !escape::plain(text.len(), near, self.out, behind) {
            self.comes_back &= string(text, self.out, self.options);
            self.out.extend_from_slice(behind);
        }
    }

    fn array(&mut self, len: u32, depth: usize) -> Result<(), MsgpackError> {
        self.out.push(b'[');
        for from in (0..len).step_by(ELEMENTS as usize) {
            self.pause()?;
            for index in from..len.min(from.saturating_add(ELEMENTS)) {
                if index > 0 {
                    self.out.push(b',');
                }
                self.value(depth)?;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    /// `TOP`: its members' ends are kept, relative to `start` and `header`.
    fn map<const TOP: bool>(
        &mut self,
        len: u32,
        depth: usize,
        start: usize,
        header: usize,
    ) -> Result<(), MsgpackError> {
        let first = self.printed.len();
        self.out.push(b'{');
        let mut comma = false;
        let mut suspicion = Suspicion::default();
        for from in (0..len).step_by(ELEMENTS as usize) {
            self.pause()?;
            for _ in from..len.min(from.saturating_add(ELEMENTS)) {
                if comma {
                    self.out.push(b',');
                }
                comma = true;
                let at = self.out.len();
                let key = self.key(depth)?;
                suspicion.add(key);
                self.printed.push(Printed { at, key });
                self.value(depth)?;
                if TOP && self.comes_back {
                    let (text, value) = (self.out.len() - start, self.reader.position() - header);
                    self.members.push(Member { text, value });
                }
            }
        }
        let data = self.reader.data();
        if suspicion.is_there() && self.repetitions.mark(data, &mut self.printed[first..]) {
            self.comes_back = false;
            if TOP {
                self.members.clear();
            }
            remove_repeated(&self.printed[first..], self.out);
        }
        self.out.push(b'}');
        self.printed.truncate(first);
        Ok(())
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self, depth: usize) -> Result<Key, MsgpackError> {
        if let Some(text) = self.reader.next_short_str() {
            self.short_string(text, b":");
            return Ok(Key::of(text, self.reader.position()));
        }
        self.long_key(depth)
    }

    #[inline(never)]
    fn long_key(&mut self, depth: usize) -> Result<Key, MsgpackError> {
        let before = self.reader.clone();
        let key = match self.reader.next()? {
            Value::Str(text) => {
                self.string(text, before.position());
                Key::of(text, self.reader.position())
            }
            _ => {
                self.comes_back = false;
                self.reader = before;
                self.odd_key(depth)?;
                Key::Other
            }
        };
        self.out.push(b':');
        Ok(key)
    }

    /// A key that is not a string, as one.
    fn odd_key(&mut self, depth: usize) -> Result<(), MsgpackError> {
        let before = self.reader.clone();
        match self.reader.next()? {
            Value::Bin(bytes) => {
                string(bytes, self.out, self.options);
            }
            Value::Ext(_, bytes) => escape::extension(bytes, self.out),
            Value::Array(_) | Value::Map(_) => {
                // As JSON within JSON, its quotes would double with every level of keys in keys.
                self.reader = before;
                let mut key = Vec::new();
                text::write_next(&mut self.reader, depth, &mut key)?;
                string(&key, self.out, self.options);
            }
            _ => {
                self.reader = before;
                self.out.push(b'"');
                self.value(depth)?;
                self.out.push(b'"');
            }
        }
        Ok(())
    }
}

/// Takes the text of repeated entries out of `out`, which ends with the map's last entry.
fn remove_repeated(map: &[Printed], out: &mut Vec<u8>) {
    let Some(start) = map.first().map(|printed| printed.at) else {
        return;
    };
    // Every entry but the last ends before the comma that precedes the next.
    let ends = map[1..].iter().map(|printed| printed.at - 1).chain([out.len()]).collect::<Vec<_>>();
    let mut to = start;
    for (printed, end) in map.iter().zip(ends) {
        if printed.key == Key::Repeated {
            continue;
        }
        if to > start {
            out[to] = b',';
            to += 1;
        }
        out.copy_within(printed.at..end, to);
        to += end - printed.at;
    }
    out.truncate(to);
}

fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Bytes that an integer takes in its shortest form.
fn uint_len(value: u64) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// As [`uint_len`], for one below 0.
fn int_len(value: i64) -> usize {
    match value {
        -0x20.. => 1,
        -0x80.. => 2,
        -0x8000.. => 3,
        -0x8000_0000.. => 5,
        _ => 9,
    }
}

fn str_header_len(len: usize) -> usize {
    match len {
        0..=0x1f => 1,
        0x20..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

fn container_len(len: u32) -> usize {
    match len {
        0..=0xf => 1,
        0x10..=0xffff => 3,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msgpack::{write_map_header, write_str, write_uint};

    fn print(value: &[u8], escape_unicode: bool) -> String {
        let mut out = b"> ".to_vec();
        write(value, &mut out, JsonOptions { escape_unicode }).unwrap();
        String::from_utf8(out).unwrap().split_off(2)
    }

    fn check(value: &[u8], expected: &str) {
        assert_eq!(print(value, true), expected);
    }

    /// A string under both settings of `escape_unicode`: on and off.
    fn check_string(text: &[u8], escaped: &str, raw: &str) {
        let mut value = Vec::new();
        write_str(&mut value, text);
        assert_eq!(print(&value, true), format!("\"{escaped}\""), "{text:02x?}");
        assert_eq!(print(&value, false), format!("\"{raw}\""), "{text:02x?}");
    }

    fn map<'a>(keys: impl ExactSizeIterator<Item = &'a str>) -> Vec<u8> {
        let mut value = Vec::new();
        write_map_header(&mut value, keys.len() as u32);
        for (index, key) in keys.enumerate() {
            write_str(&mut value, key);
            write_uint(&mut value, index as u64);
        }
        value
    }

    #[test]
    fn there_are_no_blanks() {
        check(b"\x82\xa1k\x92\x01\xff\xa1m\x80", r#"{"k":[1,-1],"m":{}}"#);
        check(b"\x93\xc0\xc3\xc2", "[null,true,false]");
        check(b"\x90", "[]");
    }

    #[test]
    fn integers_print_in_full() {
        check(&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], "18446744073709551615");
        check(&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808");
    }

    #[test]
    fn a_float32_prints_as_the_double_it_is() {
        check(&[0xca, 0x3d, 0xcc, 0xcc, 0xcd], "0.1000000014901161");
        check(&[0xca, 0x7f, 0xc0, 0, 0], "null");
    }

    #[test]
    fn quotes_backslashes_and_control_characters_are_escaped() {
        check_string(b"a\"b\\c/d", r#"a\"b\\c/d"#, r#"a\"b\\c/d"#);
        check_string(b"\n\r\t\x08\x0c", r"\n\r\t\b\f", r"\n\r\t\b\f");
        check_string(b"\0\x01\x1f\x7f", r"\u0000\u0001\u001f\u007f", r"\u0000\u0001\u001f\u007f");
        check_string(b"<a href='x'>&amp;</a>", "<a href='x'>&amp;</a>", "<a href='x'>&amp;</a>");
    }

    #[test]
    fn specials_are_found_at_every_place_in_a_word() {
        for (len, place) in (1..20).flat_map(|len| (0..len).map(move |place| (len, place))) {
            let mut text = vec![b'~'; len];
            text[place] = 0x7f;
            let (before, after) = ("~".repeat(place), "~".repeat(len - place - 1));
            let escaped = format!(r"{before}\u007f{after}");
            check_string(&text, &escaped, &escaped);
        }
    }

    #[test]
    fn text_beyond_ascii_is_escaped_in_lower_case_or_left() {
        check_string("é€".as_bytes(), r"\u00e9\u20ac", "é€");
        check_string("😀\u{10ffff}".as_bytes(), r"\ud83d\ude00\udbff\udfff", "😀\u{10ffff}");
        check_string("a\u{80}b\u{fffd}".as_bytes(), r"a\u0080b\ufffd", "a\u{80}b\u{fffd}");
    }

    #[test]
    fn an_invalid_byte_becomes_a_private_character_or_a_replacement() {
        check_string(b"x\xffabcdef", "x\u{e0ff}abcdef", "x\u{fffd}abcdef");
        check_string(b"\x80\xbf", "\u{e080}\u{e0bf}", "\u{fffd}\u{fffd}");
        check_string(b"\xe2\x82A", "\u{e0e2}\u{e082}A", "\u{fffd}\u{fffd}A");
        check_string(b"\xed\xa0\x80", "\u{e0ed}\u{e0a0}\u{e080}", "\u{fffd}\u{fffd}\u{fffd}");
        check_string(b"\xc0\xaf!", "\u{e0c0}\u{e0af}!", "\u{fffd}\u{fffd}!");
    }

    #[test]
    fn a_lead_byte_whose_sequence_would_reach_beyond_the_end_is_dropped() {
        check_string(b"x\xff\xfey", "xy", "x\u{fffd}\u{fffd}y");
        check_string(b"x\xc3", "x", "x\u{fffd}");
        check_string(b"x\xe2\x82", "x\u{e082}", "x\u{fffd}\u{fffd}");
    }

    #[test]
    fn bytes_print_as_a_string_does() {
        check(b"\xc4\x04a\"\xc3\xa9", r#""a\"\u00e9""#);
    }

    #[test]
    fn an_extension_prints_as_text() {
        check(b"\xd5\x05\x01\x80", r#""\\x01\\x80""#);
        check(b"\xc7\x00\x05", r#""""#);
    }

    #[test]
    fn keys_that_are_no_strings_are_quoted() {
        check(b"\x81\x01\x02", r#"{"1":2}"#);
        check(b"\x84\xc0\0\xc3\0\xff\0\xc4\x01b\0", r#"{"null":0,"true":0,"-1":0,"b":0}"#);
        check(b"\x81\xca\x7f\xc0\0\0\0", r#"{"null":0}"#);
        check(b"\x81\xca\x3f\xc0\0\0\0", r#"{"1.5":0}"#);
        check(b"\x81\xd4\x01\x02\0", r#"{"\\x02":0}"#);
        check(b"\x81\x92\x01\xa1a\x02", r#"{"[1, \"a\"]":2}"#);
        check(b"\x81\x81\xa1a\x02\x03", r#"{"{\"a\"=>2}":3}"#);
    }

    #[test]
    fn keys_in_keys_do_not_double_their_quotes() {
        let mut value = vec![0x81; MAX_DEPTH];
        value.extend_from_slice(b"\xa1k");
        value.extend(std::iter::repeat_n(0, MAX_DEPTH));
        assert!(print(&value, true).len() < 10 * MAX_DEPTH);
    }

    #[test]
    fn of_repeated_keys_only_the_last_is_printed_where_it_stands() {
        check(&map(["a", "b", "a", "c"].into_iter()), r#"{"b":1,"a":2,"c":3}"#);
        check(&map(["a", "a", "a"].into_iter()), r#"{"a":2}"#);
        check(&map(["", "b", "", "b"].into_iter()), r#"{"":2,"b":3}"#);
        check(b"\x82\xa1a\x82\xa1b\x01\xa1b\x02\xa1a\x82\xa1b\x03\xa1b\x04", r#"{"a":{"b":4}}"#);
        check(b"\x82\xa1b\x82\xa1b\x01\xa1b\x02\xa1a\x03", r#"{"b":{"b":2},"a":3}"#);
    }

    #[test]
    fn repeated_keys_are_found_in_large_maps() {
        let names: Vec<String> = (0..1000).map(|index| format!("key-{}", index % 600)).collect();
        let expected: Vec<String> =
            (400..1000).map(|index| format!("\"{}\":{index}", names[index])).collect();
        check(&map(names.iter().map(String::as_str)), &format!("{{{}}}", expected.join(",")));
    }

    #[test]
    fn keys_with_equal_fingerprints_are_not_taken_for_repeated() {
        let names: Vec<String> =
            (0..400).map(|index| format!("the same head {index:03} the same tail")).collect();
        assert_eq!(
            Key::of(names[0].as_bytes(), 0).fingerprint(),
            Key::of(names[1].as_bytes(), 0).fingerprint()
        );
        for count in [2, 10, 32, 33, 400] {
            let text = print(&map(names[..count].iter().map(String::as_str)), true);
            assert_eq!(text.matches("head").count(), count);
        }
    }

    #[test]
    fn repeated_keys_that_are_no_strings_stay() {
        check(b"\x82\x01\x02\x01\x03", r#"{"1":2,"1":3}"#);
    }

    #[test]
    fn repetitions_on_every_level_take_no_longer_than_one() {
        let mut value = Vec::new();
        for _ in 0..MAX_DEPTH - 1 {
            value.extend_from_slice(b"\x83\xa1b\x01\xa1b\x02\xa1a");
        }
        value.push(0xc0);
        assert_eq!(print(&value, true).matches("\"b\":2").count(), MAX_DEPTH - 1);
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let asked = std::cell::Cell::new(0);
        let goes_on = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        // In one container, in containers of containers, and what repeats keys, so that little is printed.
        let long = [vec![0xdd, 0, 0x10, 0, 0], vec![0; 1 << 20]].concat();
        let nested = [vec![0xdd, 0, 8, 0, 0], [0x91, 0].repeat(1 << 19)].concat();
        let repeated = [vec![0xdd, 0, 4, 0, 0], b"\x82\xa1a\0\xa1a\0".repeat(1 << 18)].concat();
        for value in [long, nested, repeated] {
            asked.set(0);
            let mut out = b"before".to_vec();
            let mut printer = Printer::new(JsonOptions::default());
            let ended = printer.print_while(&value, &mut out, &goes_on);
            assert!(matches!(ended, Err(MsgpackError::GivenUp { .. })), "{ended:?}");
            assert_eq!((asked.get(), &out[..]), (3, &b"before"[..]));
            assert_eq!(printer.print(&value, &mut out), Ok(()));
        }
        let record = map(["a", "b"].into_iter());
        let printed =
            Printer::new(JsonOptions::default()).print_while(&record, &mut Vec::new(), &|| {
                panic!("a short one is printed without a question")
            });
        assert_eq!(printed, Ok(()));
    }

    #[test]
    fn an_error_leaves_the_buffer_as_it_was() {
        let mut out = b"before".to_vec();
        let mut fault = |value: &[u8]| write(value, &mut out, JsonOptions::default()).unwrap_err();
        assert_eq!(fault(b"\x82\xa1a\x01"), MsgpackError::Truncated { at: 4 });
        assert_eq!(fault(b"\x91\xc1"), MsgpackError::BadMarker { at: 1 });
        assert_eq!(fault(&[0xdf, 255, 255, 255, 255]), MsgpackError::Truncated { at: 5 });
        assert_eq!(fault(&[0x91; MAX_DEPTH + 1]), MsgpackError::TooDeep { at: MAX_DEPTH });
        assert_eq!(fault(&[0x81; MAX_DEPTH + 1]), MsgpackError::TooDeep { at: MAX_DEPTH });
        assert_eq!(out, b"before");
    }
}
