//! The old way to join lines: a parser knows the first one, and what follows up to the next first one belongs to it.

use std::sync::Arc;
use std::time::Duration;

use flb_event::{Timestamp, msgpack};
use flb_plugin::Parser;

use super::join::{Join, Joined, Out, What, is_over};
use flb_event::msgpack::map;

/// How the old way is configured.
pub struct FirstLineParsers {
    /// Knows a first line.
    pub first: Arc<dyn Parser>,
    /// Parse other lines, tried in order.
    pub others: Vec<Arc<dyn Parser>>,
    /// How long to wait for more lines.
    pub timeout: Duration,
    /// The most bytes that are joined. Lines on top stand alone, up to the next first one.
    pub limit: usize,
}

/// Joins the lines of one source.
pub struct FirstLine {
    parsers: Arc<FirstLineParsers>,
    /// The first line's body; empty if none has come.
    body: Vec<u8>,
    /// What other lines were parsed to: entries.
    added: Vec<u8>,
    added_count: u32,
    /// Other lines, each behind a newline.
    text: Vec<u8>,
    time: Timestamp,
    offset: u64,
    /// When the last line came.
    since: Timestamp,
    scratch: Vec<u8>,
}

impl FirstLine {
    /// Nothing waits yet.
    pub fn new(parsers: Arc<FirstLineParsers>) -> Self {
        Self {
            parsers,
            body: Vec::new(),
            added: Vec::new(),
            added_count: 0,
            text: Vec::new(),
            time: Timestamp::default(),
            offset: 0,
            since: Timestamp::default(),
            scratch: Vec::new(),
        }
    }

    /// Adds a line that is no first one.
    fn add(&mut self, line: &[u8], now: Timestamp) {
        self.since = now;
        self.scratch.clear();
        let mut others = self.parsers.others.iter();
        if others.any(|parser| parser.parse(line, now, &mut self.scratch).is_ok())
            && let Ok((count, header)) = msgpack::map_header(&self.scratch)
        {
            self.added.extend_from_slice(&self.scratch[header..]);
            self.added_count = self.added_count.saturating_add(count);
            return;
        }
        self.text.push(b'\n');
        self.text.extend_from_slice(line);
    }

    /// The first line's map: its last value, if that is text, goes on with the other lines; else they stand under `log`.
    fn joined(&self) -> Vec<u8> {
        let mut joined = Vec::with_capacity(self.body.len() + self.text.len() + self.added.len());
        joined.push(0x80);
        let (mut count, mut rest) = (0, self.text.as_slice());
        let total = msgpack::map_header(&self.body).map_or(0, |(length, _)| length);
        for (key, value) in msgpack::entries(&self.body).into_iter().flatten().flatten() {
            count += 1;
            joined.extend_from_slice(key);
            match msgpack::as_str(value).filter(|_| count == total && !rest.is_empty()) {
                Some(text) => {
                    msgpack::write_str(&mut joined, [text, rest].concat());
                    rest = b"";
                }
                None => joined.extend_from_slice(value),
            }
        }
        if let Some(text) = rest.strip_prefix(b"\n") {
            msgpack::write_str(&mut joined, "log");
            msgpack::write_str(&mut joined, text);
            count += 1;
        }
        joined.extend_from_slice(&self.added);
        map::set_len(&mut joined, 0, count.saturating_add(self.added_count));
        joined
    }
}

impl Join for FirstLine {
    fn push(&mut self, line: &[u8], offset: u64, now: Timestamp, out: &mut Out<'_>) {
        self.scratch.clear();
        match self.parsers.first.parse(line, now, &mut self.scratch) {
            Ok(parsed) => {
                self.flush(out);
                std::mem::swap(&mut self.body, &mut self.scratch);
                self.time = parsed.time.unwrap_or(now);
                self.offset = offset;
                self.since = now;
            }
            Err(_) if self.body.is_empty() => {
                out(Joined { what: What::Text(line), time: now, offset });
            }
            Err(_) if self.text.len() + self.added.len() + line.len() > self.parsers.limit => {
                self.flush(out);
                out(Joined { what: What::Text(line), time: now, offset });
            }
            Err(_) => self.add(line, now),
        }
    }

    fn flush(&mut self, out: &mut Out<'_>) {
        if self.body.is_empty() {
            return;
        }
        let joined = self.joined();
        out(Joined { what: What::Body(&joined), time: self.time, offset: self.offset });
        self.body.clear();
        self.added.clear();
        self.added_count = 0;
        self.text.clear();
    }

    fn flush_due(&mut self, now: Timestamp, out: &mut Out<'_>) {
        if is_over(self.since, self.parsers.timeout, now) {
            self.flush(out);
        }
    }

    fn waits_from(&self) -> Option<u64> {
        (!self.body.is_empty()).then_some(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multiline::testing::check;
    use flb_harness as testing;

    fn parser(pattern: &str) -> Arc<dyn Parser> {
        let spec = crate::ALL.iter().find(|spec| spec.name == "regex").unwrap();
        testing::build(spec, &[("regex", pattern)]).unwrap().into()
    }

    fn joiner() -> FirstLine {
        FirstLine::new(Arc::new(FirstLineParsers {
            first: parser(r"^(?<level>[A-Z]+) (?<message>.*)"),
            others: vec![parser("^ code=(?<code>.*)"), parser("^ id=(?<id>.*)")],
            timeout: Duration::from_secs(4),
            limit: 19,
        }))
    }

    #[test]
    fn what_is_too_much_to_join_stands_alone() {
        check(
            &mut joiner(),
            "E one\n0123456789\n012345678\nlast\nE two\nmore",
            &[
                r#"0 {"level":"E","message":"one\n0123456789"} 1000"#,
                "17 012345678",
                "27 last",
                r#"32 {"level":"E","message":"two\nmore"} 1000"#,
            ],
        );
    }

    #[test]
    fn what_follows_a_first_line_belongs_to_its_last_value() {
        check(
            &mut joiner(),
            "lost\nE one\n  more\n\nI two",
            &[
                "0 lost",
                r#"5 {"level":"E","message":"one\n  more\n"} 1000"#,
                r#"19 {"level":"I","message":"two"} 1000"#,
            ],
        );
    }

    #[test]
    fn other_parsers_add_their_entries() {
        check(
            &mut joiner(),
            "E one\n code=7\n  more\n id=8",
            &[r#"0 {"level":"E","message":"one\n  more","code":"7","id":"8"} 1000"#],
        );
    }
}
