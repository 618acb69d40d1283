//! Takes a stream of JSON text apart into values, however it was cut into reads. A value that lies within one read is parsed
//! at once; one that does not is followed, each byte once and only its brackets and strings, until it is whole.

use std::ops::Range;

use flb_event::json::{self, JsonError, Kind};
use flb_event::msgpack::MAX_DEPTH;

/// What the stream holds next. Ranges are of [`Values::bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A value.
    Value(Range<usize>),
    /// What can't be a value, up to the end of its first line, or as far as that has come in. It is skipped.
    Broken(Range<usize>, Option<JsonError>),
    /// The beginning of a value above the limit. It is skipped, with the rest of its last line.
    TooLong(Range<usize>),
}

/// What may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A value.
    Value,
    /// A value or the end of the array.
    FirstItem,
    /// A key or the end of the object.
    FirstKey,
    /// A key.
    Key,
    /// The colon behind a key.
    Colon,
    /// A comma or the end of the array or object.
    Comma,
}

/// What the next byte is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// A number or a word.
    Word,
    String,
    Escape,
}

/// A stream of JSON values.
#[derive(Debug)]
pub(crate) struct Values {
    buffer: Vec<u8>,
    /// First byte of the current value, or of the blanks before it.
    start: usize,
    /// The next byte to look at.
    at: usize,
    /// The brackets that are open.
    open: Vec<u8>,
    next: Next,
    inside: Inside,
    /// The rest of a line is being skipped.
    skipping: bool,
    limit: usize,
}

impl Values {
    /// An empty stream whose values have at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            at: 0,
            open: Vec::new(),
            next: Next::Value,
            inside: Inside::Nothing,
            skipping: false,
            limit,
        }
    }

    /// The text that ranges are of.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The text that belongs to no piece yet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Adds what was read. Ranges given before are void.
    pub(crate) fn feed(&mut self, data: &[u8]) {
        self.buffer.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(data);
    }

    /// The next piece, as far as the text goes; a value is written to `value` as msgpack. `ended`: no more text will come,
    /// so what has begun is all there is.
    pub(crate) fn next(&mut self, ended: bool, value: &mut Vec<u8>) -> Option<Piece> {
        value.clear();
        if self.skipping && !self.skip_line() {
            return None;
        }
        if let Some(range) = self.parse_ahead(value) {
            return Some(Piece::Value(range));
        }
        match self.follow(ended)? {
            Piece::Value(range) => match json::parse(&self.buffer[range.clone()], value) {
                Ok(_) => Some(Piece::Value(range)),
                Err(error) => Some(self.broken(range.start, Some(error))),
            },
            other => Some(other),
        }
    }

    /// Parses an object or array that has come in whole. Nothing is taken if there is none; a scalar is left alone, because
    /// more of it may come.
    fn parse_ahead(&mut self, value: &mut Vec<u8>) -> Option<Range<usize>> {
        if !self.is_between() {
            return None;
        }
        let text = &self.buffer[self.start..];
        let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.begin_again(self.start + blanks);
        match json::parse(&self.buffer[self.start..], value) {
            Ok(parsed) if parsed.kind != Kind::Other => {
                let start = self.start;
                self.begin_again(start + parsed.consumed);
                Some(start..self.start)
            }
            _ => {
                value.clear();
                None
            }
        }
    }

    /// Follows a value to its end.
    fn follow(&mut self, ended: bool) -> Option<Piece> {
        while let Some(&byte) = self.buffer.get(self.at) {
            match self.inside {
                Inside::Nothing if byte.is_ascii_whitespace() => self.pass_blank(),
                Inside::Nothing => {
                    if self.begin(byte).is_none() {
                        return Some(self.broken(self.start, None));
                    }
                }
                Inside::Word if is_word(byte) => self.at += 1,
                Inside::Word => self.inside = Inside::Nothing,
                Inside::String => self.pass_string(),
                Inside::Escape => {
                    self.inside = Inside::String;
                    self.at += 1;
                }
            }
            let is_whole = self.open.is_empty() && self.next == Next::Comma;
            if is_whole && self.inside == Inside::Nothing {
                return Some(self.take());
            }
        }
        self.unfinished(ended)
    }

    fn pass_blank(&mut self) {
        self.at += 1;
        if self.is_between() {
            self.start = self.at;
        }
    }

    /// Whether no value has begun.
    fn is_between(&self) -> bool {
        self.open.is_empty() && self.next == Next::Value && self.inside == Inside::Nothing
    }

    /// Takes the first byte of a token; `None` if it can't stand here.
    fn begin(&mut self, byte: u8) -> Option<()> {
        let is_value = matches!(self.next, Next::Value | Next::FirstItem);
        let is_key = matches!(self.next, Next::Key | Next::FirstKey);
        match byte {
            b'{' | b'[' if is_value && self.open.len() < MAX_DEPTH => {
                self.open.push(byte);
                self.next = if byte == b'{' { Next::FirstKey } else { Next::FirstItem };
            }
            b'"' if is_value || is_key => {
                self.inside = Inside::String;
                self.next = if is_key { Next::Colon } else { Next::Comma };
            }
            b':' if self.next == Next::Colon => self.next = Next::Value,
            b',' if self.next == Next::Comma => {
                self.next = if self.open.last() == Some(&b'{') { Next::Key } else { Next::Value };
            }
            b'}' if matches!(self.next, Next::Comma | Next::FirstKey) => self.close(b'{')?,
            b']' if matches!(self.next, Next::Comma | Next::FirstItem) => self.close(b'[')?,
            _ if is_value && is_word(byte) => {
                self.inside = Inside::Word;
                self.next = Next::Comma;
            }
            _ => return None,
        }
        self.at += 1;
        Some(())
    }

    fn close(&mut self, bracket: u8) -> Option<()> {
        self.next = Next::Comma;
        (self.open.pop()? == bracket).then_some(())
    }

    fn pass_string(&mut self) {
        match memchr::memchr2(b'"', b'\\', &self.buffer[self.at..]) {
            Some(length) => {
                self.at += length;
                let quote = self.buffer[self.at] == b'"';
                self.inside = if quote { Inside::Nothing } else { Inside::Escape };
                self.at += 1;
            }
            None => self.at = self.buffer.len(),
        }
    }

    fn take(&mut self) -> Piece {
        let value = self.start..self.at;
        self.begin_again(self.at);
        Piece::Value(value)
    }

    /// What to say of a text that ends within a value.
    fn unfinished(&mut self, ended: bool) -> Option<Piece> {
        if self.is_between() {
            return None;
        }
        if ended && self.open.is_empty() && self.inside == Inside::Word {
            return Some(self.take());
        }
        if ended {
            return Some(self.broken(self.start, None));
        }
        (self.at - self.start > self.limit).then(|| {
            let all = self.start..self.at;
            self.begin_again(self.at);
            self.skipping = true;
            Piece::TooLong(all)
        })
    }

    /// Skips the line that `start` is in.
    fn broken(&mut self, start: usize, error: Option<JsonError>) -> Piece {
        self.begin_again(start);
        self.skip_line();
        Piece::Broken(start..self.start, error)
    }

    fn begin_again(&mut self, at: usize) {
        self.start = at;
        self.at = at;
        self.open.clear();
        self.next = Next::Value;
        self.inside = Inside::Nothing;
    }

    /// Goes behind the next newline; false if it has not come in yet.
    fn skip_line(&mut self) -> bool {
        let newline = memchr::memchr(b'\n', &self.buffer[self.start..]);
        self.skipping = newline.is_none();
        self.begin_again(newline.map_or(self.buffer.len(), |length| self.start + length + 1));
        !self.skipping
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(reads: &[&str], limit: usize) -> Vec<String> {
        let mut values = Values::new(limit);
        let mut found = Vec::new();
        let mut take = |values: &mut Values, ended| {
            let mut value = Vec::new();
            while let Some(piece) = values.next(ended, &mut value) {
                let (sign, range) = match piece {
                    Piece::Value(range) => {
                        let mut whole = Vec::new();
                        json::parse(&values.bytes()[range.clone()], &mut whole).unwrap();
                        assert_eq!(value, whole);
                        ("", range)
                    }
                    Piece::Broken(range, _) => ("broken ", range),
                    Piece::TooLong(range) => ("too long ", range),
                };
                found.push(format!("{sign}{}", String::from_utf8_lossy(&values.bytes()[range])));
            }
        };
        for read in reads {
            values.feed(read.as_bytes());
            take(&mut values, false);
        }
        take(&mut values, true);
        found
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(pieces(&[text], 1000), expected, "in one read");
        let bytes: Vec<&str> = text.split_inclusive(|_: char| true).collect();
        let whole: Vec<String> =
            pieces(&bytes, 1000).into_iter().filter(|piece| !piece.starts_with("broken")).collect();
        let expected: Vec<&&str> =
            expected.iter().filter(|piece| !piece.starts_with("broken")).collect();
        assert_eq!(whole, expected.into_iter().copied().collect::<Vec<_>>(), "byte by byte");
    }

    #[test]
    fn values_need_no_separator() {
        check(r#"{"a":1}{"b":[{},[]]}  [1,2]"#, &[r#"{"a":1}"#, r#"{"b":[{},[]]}"#, "[1,2]"]);
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        check(r#"{"a":"}\"]\\"} {"b":1}"#, &[r#"{"a":"}\"]\\"}"#, r#"{"b":1}"#]);
    }

    #[test]
    fn scalars_are_values_too() {
        check("12 true \"x\"{}", &["12", "true", "\"x\"", "{}"]);
        check("12", &["12"]);
    }

    #[test]
    fn a_broken_line_is_skipped_and_the_next_one_is_found() {
        check("{\"a\":]\n{\"b\":1}\n", &["broken {\"a\":]\n", "{\"b\":1}"]);
        check("{\"a\":\n{\"b\":1}\n{\"c\":2}\n", &["broken {\"a\":\n", "{\"b\":1}", "{\"c\":2}"]);
        check("{\"a\":\"x\n{\"b\":1}\n", &["broken {\"a\":\"x\n", "{\"b\":1}"]);
        check("}{\"b\":1}\n{}", &["broken }{\"b\":1}\n", "{}"]);
        check(
            "{\"a\" 1}\n{,}\n[1 2]\n{\"a\":1,}\n{}",
            &["broken {\"a\" 1}\n", "broken {,}\n", "broken [1 2]\n", "broken {\"a\":1,}\n", "{}"],
        );
    }

    #[test]
    fn the_end_leaves_nothing_behind() {
        check("{\"a\":1", &["broken {\"a\":1"]);
        check("[\n{}\n", &["broken [\n", "{}"]);
        check(" \n\t", &[]);
    }

    #[test]
    fn what_looks_like_a_value_but_is_none_is_broken_and_says_why() {
        check("[\ntru] {\"a\":1}\n{}", &["broken [\n", "broken tru] {\"a\":1}\n", "{}"]);
        let mut values = Values::new(100);
        values.feed(b"{\"a\":01}\n");
        let Some(Piece::Broken(range, Some(error))) = values.next(false, &mut Vec::new()) else {
            panic!("it is broken");
        };
        assert_eq!((range, error.reason), (0..9, json::Reason::LeadingZero));
    }

    #[test]
    fn a_value_above_the_limit_is_skipped() {
        assert_eq!(
            pieces(&["{\"a\":\"", "123456", "789\"}\n{\"b\"", ":2}"], 10),
            ["too long {\"a\":\"123456", "{\"b\":2}"]
        );
    }

    #[test]
    fn a_value_nested_too_deeply_is_broken() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        check(&format!("{deep}\n{{}}"), &[&format!("broken {deep}\n"), "{}"]);
    }
}
