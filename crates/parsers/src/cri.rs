//! The lines of the container runtime interface: `time stream P|F text`. Built in for the multiline parser `cri`.

use flb_event::Timestamp;
use flb_plugin::{ParseError, Parsed, Parser};

use super::fields::Common;

/// The parser.
pub(super) struct CriParser {
    common: Common,
}

impl CriParser {
    pub(super) fn new(common: Common) -> Self {
        Self { common }
    }
}

impl Parser for CriParser {
    fn parse(&self, line: &[u8], now: Timestamp, body: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        let Some(values) = take_apart(line) else {
            return Err(ParseError("it is no line of a container".to_owned()));
        };
        let mut fields = self.common.begin(body, now);
        for (key, value) in [b"time".as_slice(), b"stream", b"_p", b"log"].into_iter().zip(values) {
            fields.push(key, value);
        }
        Ok(fields.end())
    }
}

/// Time, stream, `P` or `F`, and text.
fn take_apart(line: &[u8]) -> Option<[&[u8]; 4]> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    let (tags, text) = word(rest)?;
    // Further tags may follow the first one, behind colons.
    let piece = tags.split(|byte| *byte == b':').next()?;
    let is_line =
        !time.is_empty() && matches!(stream, b"stdout" | b"stderr") && matches!(piece, b"P" | b"F");
    is_line.then_some([time, stream, piece, text])
}

/// What stands before a blank, and behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = memchr::memchr(b' ', text)?;
    Some((&text[..length], &text[length + 1..]))
}

#[cfg(test)]
mod tests {
    use flb_harness::{NOW, json_text};

    #[test]
    fn a_line_has_time_stream_piece_and_text() {
        let parser = super::super::cri();
        let check = |line: &str, expected: Option<&str>| {
            let mut body = Vec::new();
            let parsed = parser.parse(line.as_bytes(), NOW, &mut body);
            assert_eq!(parsed.is_ok().then(|| json_text(&body)).as_deref(), expected, "{line}");
        };
        check(
            "2024-01-01T00:00:00.5Z stdout F a b",
            Some(r#"{"time":"2024-01-01T00:00:00.5Z","stream":"stdout","_p":"F","log":"a b"}"#),
        );
        check("x stderr P:more ", Some(r#"{"time":"x","stream":"stderr","_p":"P","log":""}"#));
        for line in
            ["", "x stdout F", "x stdin F a", "x stdout X a", " stdout F a", "x stdout  F a"]
        {
            check(line, None);
        }
    }
}
