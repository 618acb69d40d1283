//! Takes a stream apart into messages, as RFC 6587 has them: each with a newline or a NUL behind it, or with its length
//! before it.

use flb_plugin::keys::Word;

/// How messages stand in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A newline or a NUL ends a message.
    Newline,
    /// A message begins with the number of its bytes and a blank.
    Octets,
}

impl Word for Framing {
    const ALL: &'static [(&'static str, Self)] =
        &[("newline", Self::Newline), ("octet_counting", Self::Octets), ("octet", Self::Octets)];
}

/// Most digits of a length; with the blank behind them a buffer must have room for so much more than a message.
const DIGITS: usize = 10;
pub(super) const HEADER: usize = DIGITS + 1;

/// What a stream begins with: so many bytes, and the message that is in them, if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) length: usize,
    pub(super) message: Option<Message<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Whole(&'a [u8]),
    /// It is above the limit, and skipped.
    TooLong,
}

/// Where no message can begin, nobody knows where the next one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message has no length before it; clients that send none need Format newline")]
pub(super) struct NoLength;

/// What of the stream is of no message any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    Line,
}

/// A stream of messages.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    limit: usize,
    skip: Skip,
    /// So many bytes have no end of a message among them.
    searched: usize,
}

impl Frames {
    /// A stream whose messages have fewer than `limit` bytes.
    pub(super) fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, skip: Skip::Nothing, searched: 0 }
    }

    /// Whether the stream is within a message that is skipped.
    pub(super) fn is_skipping(&self) -> bool {
        self.skip != Skip::Nothing
    }

    /// What `bytes`, which begin where the last frame ended, begin with; `None` if more must come in first.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, NoLength> {
        if bytes.is_empty() {
            return Ok(None);
        }
        match (self.skip, self.framing) {
            (Skip::Bytes(left), _) => Ok(Some(self.skip_bytes(left, bytes.len()))),
            (_, Framing::Newline) => Ok(self.line(bytes)),
            (_, Framing::Octets) => self.counted(bytes),
        }
    }

    /// What stands at the end of the stream, which is a message if it should have had a newline.
    pub(super) fn rest<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let is_message = self.framing == Framing::Newline && !self.is_skipping();
        (is_message && !bytes.is_empty()).then_some(bytes)
    }

    fn skip_bytes(&mut self, left: usize, there: usize) -> Frame<'static> {
        let length = left.min(there);
        self.skip = if length < left { Skip::Bytes(left - length) } else { Skip::Nothing };
        Frame { length, message: None }
    }

    fn line<'a>(&mut self, bytes: &'a [u8]) -> Option<Frame<'a>> {
        let end = memchr::memchr2(b'\n', 0, &bytes[self.searched..]);
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = bytes.len();
            return (self.is_skipping() || bytes.len() >= self.limit)
                .then(|| self.pass_over(bytes));
        };
        self.searched = 0;
        let was_skipping = std::mem::replace(&mut self.skip, Skip::Nothing) == Skip::Line;
        let message = match &bytes[..end] {
            _ if was_skipping => None,
            b"" => None,
            text if text.len() >= self.limit => Some(Message::TooLong),
            text => Some(Message::Whole(text)),
        };
        Some(Frame { length: end + 1, message })
    }

    /// Skips what has come in of a line.
    fn pass_over(&mut self, bytes: &[u8]) -> Frame<'static> {
        self.searched = 0;
        let was_skipping = std::mem::replace(&mut self.skip, Skip::Line) == Skip::Line;
        Frame { length: bytes.len(), message: (!was_skipping).then_some(Message::TooLong) }
    }

    fn counted<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, NoLength> {
        let newlines = bytes.iter().take_while(|byte| **byte == b'\n').count();
        if newlines > 0 {
            return Ok(Some(Frame { length: newlines, message: None }));
        }
        let Some((length, header)) = length(bytes)? else { return Ok(None) };
        let end = header + length;
        if length >= self.limit {
            self.skip = Skip::Bytes(end);
            let frame = self.skip_bytes(end, bytes.len());
            return Ok(Some(Frame { message: Some(Message::TooLong), ..frame }));
        }
        Ok(bytes
            .get(header..end)
            .map(|text| Frame { length: end, message: Some(Message::Whole(text)) }))
    }
}

/// The length that stands before a message, and its own; `None` if more must come in first.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, NoLength> {
    let digits = bytes.iter().take(HEADER).take_while(|byte| byte.is_ascii_digit()).count();
    let is_number = digits > 0 && digits <= DIGITS && bytes[0] != b'0';
    match bytes.get(digits) {
        Some(b' ') if is_number => {}
        None if is_number => return Ok(None),
        _ => return Err(NoLength),
    }
    let text = std::str::from_utf8(&bytes[..digits]).map_err(|_| NoLength)?;
    Ok(Some((text.parse().map_err(|_| NoLength)?, digits + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a stream that comes in reads of so many bytes.
    fn messages(framing: Framing, stream: &[u8], read: usize) -> Vec<String> {
        let (mut frames, mut buffer, mut found) =
            (Frames::new(framing, 10), Vec::new(), Vec::new());
        for data in stream.chunks(read) {
            buffer.extend_from_slice(data);
            loop {
                let length = match frames.next(&buffer) {
                    Ok(None) => break,
                    Ok(Some(Frame { length, message })) => {
                        match message {
                            Some(Message::Whole(text)) => {
                                found.push(text.escape_ascii().to_string())
                            }
                            Some(Message::TooLong) => found.push("too long".to_owned()),
                            None => {}
                        }
                        length
                    }
                    Err(NoLength) => {
                        found.push("no length".to_owned());
                        return found;
                    }
                };
                buffer.drain(..length);
                assert!(buffer.len() <= 10 + HEADER + read);
            }
        }
        found.extend(frames.rest(&buffer).map(|text| format!("rest {}", text.escape_ascii())));
        found
    }

    fn check(framing: Framing, stream: &[u8], expected: &[&str]) {
        for read in [1, 2, 3, 7, 1000] {
            assert_eq!(messages(framing, stream, read), expected, "{read} bytes a read");
        }
    }

    #[test]
    fn a_newline_or_a_nul_ends_a_message() {
        check(Framing::Newline, b"<1>a\n<2>b\0\n\n<3>c\r\n", &["<1>a", "<2>b", "<3>c\\r"]);
        check(Framing::Newline, b"a\n\xff\xc3\nb", &["a", "\\xff\\xc3", "rest b"]);
    }

    #[test]
    fn a_length_stands_before_a_message() {
        check(Framing::Octets, b"4 <1>a6 <2>b\nc4 <3>d", &["<1>a", "<2>b\\nc", "<3>d"]);
        check(Framing::Octets, b"4 <1>a\n4 <2>b\n\n3 \0\xff\n", &["<1>a", "<2>b", "\\x00\\xff\\n"]);
        check(Framing::Octets, b"4 <1>a9 <2>", &["<1>a"]);
    }

    #[test]
    fn what_is_too_long_is_skipped_and_the_next_message_is_found() {
        check(Framing::Newline, b"123456789\n1234567890\nb\n", &["123456789", "too long", "b"]);
        check(Framing::Newline, b"12345678901234567890", &["too long"]);
        check(Framing::Octets, b"9 12345678910 12345678901 b", &["123456789", "too long", "b"]);
        check(Framing::Octets, b"4000000000 x", &["too long"]);
    }

    #[test]
    fn a_length_that_is_none_ends_the_stream() {
        for stream in [&b"<1>a\n"[..], b" 1 a", b"0 ", b"-1 a", b"12345678901 a", b"1x a", b"1\0"] {
            check(Framing::Octets, stream, &["no length"]);
        }
        // One that is too short leads into the middle of a message.
        check(Framing::Octets, b"2 <1>a4 <2>b", &["<1", "no length"]);
        // One digit more, and it is as long as no number here.
        check(Framing::Octets, b"1234567890", &[]);
    }
}
