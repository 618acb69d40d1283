//! Cuts a stream of text into lines, however it was cut into reads. A line that lies within one read is never copied.

/// What a stream of lines holds next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line without its newline, and without the carriage return before it.
    Text {
        /// The stream's offset of the line's first byte.
        offset: u64,
        /// The line.
        text: &'a [u8],
    },
    /// A line above the limit begins here. It is skipped.
    TooLong {
        /// The stream's offset of the line's first byte.
        offset: u64,
        /// As much of the line as there may be.
        text: &'a [u8],
    },
}

/// A stream of lines.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The stream's offset of the first byte that belongs to no line yet.
    offset: u64,
    /// What has come in of the unfinished line.
    partial: Vec<u8>,
    /// The rest of a line is being skipped.
    skipping: bool,
    limit: usize,
}

impl Lines {
    /// A stream that begins at `offset` and whose lines have fewer than `limit` bytes.
    pub(crate) fn new(offset: u64, limit: usize) -> Self {
        Self { offset, partial: Vec::new(), skipping: false, limit }
    }

    /// The offset of the first byte that belongs to no line yet.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What has come in of the unfinished line.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.partial
    }

    /// Whether the stream stands at the beginning of a line.
    pub(crate) fn is_at_start(&self) -> bool {
        self.partial.is_empty() && !self.skipping
    }

    /// Passes over bytes before a line: they only move the offset.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.offset += bytes as u64;
    }

    /// Adds what was read and gives each line that is whole to `each`.
    pub(crate) fn feed(&mut self, data: &[u8], mut each: impl FnMut(Line<'_>)) {
        let mut rest = data;
        if !self.is_at_start() {
            let Some(length) = memchr::memchr(b'\n', rest) else { return self.keep(rest, each) };
            self.end_partial(&rest[..length], &mut each);
            rest = &rest[length + 1..];
        }
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', rest) {
            each(self.line(&rest[from..newline]));
            self.offset += (newline + 1 - from) as u64;
            from = newline + 1;
        }
        self.keep(&rest[from..], each);
    }

    /// The stream has ended: gives what it ended with as a last line.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.is_at_start() {
            self.end_partial(&[], &mut each);
        }
    }

    fn line<'a>(&self, text: &'a [u8]) -> Line<'a> {
        let offset = self.offset;
        if text.len() >= self.limit {
            return Line::TooLong { offset, text: &text[..self.limit] };
        }
        Line::Text { offset, text: text.strip_suffix(b"\r").unwrap_or(text) }
    }

    /// Ends the unfinished line with `end`, the bytes before its newline.
    fn end_partial(&mut self, end: &[u8], each: &mut impl FnMut(Line<'_>)) {
        let was_skipping = std::mem::take(&mut self.skipping);
        self.partial.extend_from_slice(end);
        if !was_skipping {
            each(self.line(&self.partial));
        }
        self.offset += (self.partial.len() + 1) as u64;
        self.partial.clear();
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, beginning: &[u8], mut each: impl FnMut(Line<'_>)) {
        if self.skipping {
            self.offset += beginning.len() as u64;
            return;
        }
        self.partial.extend_from_slice(beginning);
        if self.partial.len() >= self.limit {
            each(Line::TooLong { offset: self.offset, text: &self.partial[..self.limit] });
            self.offset += self.partial.len() as u64;
            self.partial = Vec::new();
            self.skipping = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, read: usize, limit: usize) -> Vec<String> {
        let mut lines = Lines::new(0, limit);
        let mut found = Vec::new();
        let mut take = |line: Line<'_>| {
            found.push(match line {
                Line::Text { offset, text } => format!("{offset} {}", text.escape_ascii()),
                Line::TooLong { offset, text } => {
                    assert_eq!(text.len(), limit);
                    format!("{offset} too long")
                }
            });
        };
        for data in text.as_bytes().chunks(read) {
            lines.feed(data, &mut take);
        }
        lines.finish(&mut take);
        found
    }

    fn check(text: &str, limit: usize, expected: &[&str]) {
        for read in [1, 2, 3, 7, 1000] {
            assert_eq!(lines(text, read, limit), expected, "{read} bytes a read");
        }
    }

    #[test]
    fn lines_come_out_with_their_offsets_however_they_were_read() {
        check("one\r\ntwo\n\nthree\n", 100, &["0 one", "5 two", "9 ", "10 three"]);
    }

    #[test]
    fn a_last_line_needs_no_newline() {
        check("one\ntwo", 100, &["0 one", "4 two"]);
        check("", 100, &[]);
    }

    #[test]
    fn a_line_of_the_limit_is_too_long_and_the_next_one_is_not() {
        check("1234\n12345\n1234\n", 5, &["0 1234", "5 too long", "11 1234"]);
        check("123456789", 5, &["0 too long"]);
    }
}
