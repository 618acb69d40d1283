//! Docker's lines where a parser knows the first one of a record (`docker_mode_parser`): what follows up to the next first one belongs
//! to it. The parser sees lines as Docker writes them, so it can look at what stands around the text.

use std::sync::Arc;
use std::time::Duration;

use flb_event::{Timestamp, msgpack};
use flb_plugin::Parser;

use super::join::{Join, Joined, Out, What, is_over, with_content};

/// The key of the text.
const KEY: &[u8] = b"log";

/// How lines that belong together are known.
pub struct DockerFirstParsers {
    /// Knows a first line.
    pub first: Arc<dyn Parser>,
    /// How long to wait for more lines.
    pub timeout: Duration,
    /// The most bytes that are joined.
    pub limit: usize,
}

/// Joins the lines of one source.
pub struct DockerFirst {
    parsers: Arc<DockerFirstParsers>,
    /// Reads a line.
    docker: Arc<dyn Parser>,
    /// The last line's body, whose fields the record has; empty if none waits.
    body: Vec<u8>,
    /// The last line's time.
    time: Timestamp,
    /// All lines' text.
    text: Vec<u8>,
    /// Where the first line begins.
    offset: u64,
    /// When the last line came.
    since: Timestamp,
    /// A first line was seen once; before it, every line is a record.
    knows_first: bool,
    scratch: Vec<u8>,
}

impl DockerFirst {
    /// Nothing waits yet.
    pub fn new(parsers: Arc<DockerFirstParsers>) -> Self {
        Self {
            parsers,
            docker: crate::docker(),
            body: Vec::new(),
            time: Timestamp::default(),
            text: Vec::new(),
            offset: 0,
            since: Timestamp::default(),
            knows_first: false,
            scratch: Vec::new(),
        }
    }

    fn waits(&self) -> bool {
        !self.body.is_empty()
    }
}

impl Join for DockerFirst {
    fn push(&mut self, line: &[u8], offset: u64, now: Timestamp, out: &mut Out<'_>) {
        self.scratch.clear();
        let is_first = self.parsers.first.parse(line, now, &mut self.scratch).is_ok();
        self.knows_first |= is_first;
        // The pieces of a long line belong together whatever they look like.
        let is_whole = self.text.ends_with(b"\n");
        if is_whole && (is_first || !self.knows_first) {
            self.flush(out);
        }
        self.scratch.clear();
        let parsed = self.docker.parse(line, now, &mut self.scratch).ok();
        let (Some(parsed), Some(text)) = (parsed, content(&self.scratch)) else {
            self.flush(out);
            return out(Joined { what: What::Text(line), time: now, offset });
        };
        let text = text.to_vec();
        let body = std::mem::take(&mut self.scratch);
        if self.text.len() + text.len() > self.parsers.limit {
            self.flush(out);
        }
        if !self.waits() {
            self.offset = offset;
        }
        self.scratch = std::mem::replace(&mut self.body, body);
        self.text.extend_from_slice(&text);
        self.time = parsed.time.unwrap_or(now);
        self.since = now;
    }

    fn flush(&mut self, out: &mut Out<'_>) {
        if self.waits() {
            with_content(&self.body, KEY, &self.text, &mut self.scratch);
            let what = What::Body(&self.scratch);
            out(Joined { what, time: self.time, offset: self.offset });
        }
        self.body.clear();
        self.text.clear();
    }

    fn flush_due(&mut self, now: Timestamp, out: &mut Out<'_>) {
        if self.waits() && is_over(self.since, self.parsers.timeout, now) {
            self.flush(out);
        }
    }

    fn waits_from(&self) -> Option<u64> {
        self.waits().then_some(self.offset)
    }
}

/// The text that a line's body holds.
fn content(body: &[u8]) -> Option<&[u8]> {
    let mut entries = msgpack::entries(body).ok()?.flatten();
    let (_, text) = entries.find(|(name, _)| msgpack::as_str(name) == Some(KEY))?;
    msgpack::as_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multiline::testing::check;
    use flb_harness as testing;

    fn joiner(pattern: &str, limit: usize) -> DockerFirst {
        let regex = crate::ALL.iter().find(|spec| spec.name == "regex").unwrap();
        DockerFirst::new(Arc::new(DockerFirstParsers {
            first: testing::build(regex, &[("regex", pattern)]).unwrap().into(),
            timeout: Duration::from_secs(4),
            limit,
        }))
    }

    #[test]
    fn the_parser_sees_the_line_as_docker_writes_it() {
        let line = |text: &str, second: u32| {
            format!(
                r#"{{"log":"{text}","stream":"stdout","time":"1970-01-01T00:00:{second:02}.53414Z"}}"#
            )
        };
        let lines = [
            line(r"early\n", 0),
            line(r"too\n", 1),
            line(r"2020-01-01 first\n", 2),
            line(r"  at one\n", 3),
            line("  at two, ", 4),
            line(r"2021-01-01\n", 5),
            line(r"2020-01-02 second\n", 6),
            "not of Docker".to_owned(),
            line(r"  at three\n", 7),
        ];
        check(
            &mut joiner(r#"(?<="log":")(?<first>\d{4}-\d\d-\d\d[^"]*)""#, 1000),
            &lines.join("\n"),
            &[
                r#"0 {"log":"early\n","stream":"stdout","time":"1970-01-01T00:00:00.53414Z"} 0"#,
                r#"72 {"log":"too\n","stream":"stdout","time":"1970-01-01T00:00:01.53414Z"} 1"#,
                r#"142 {"log":"2020-01-01 first\n  at one\n  at two, 2021-01-01\n","stream":"stdout","time":"1970-01-01T00:00:05.53414Z"} 5"#,
                r#"452 {"log":"2020-01-02 second\n","stream":"stdout","time":"1970-01-01T00:00:06.53414Z"} 6"#,
                "536 not of Docker",
                r#"550 {"log":"  at three\n","stream":"stdout","time":"1970-01-01T00:00:07.53414Z"} 7"#,
            ],
        );
    }

    #[test]
    fn no_more_is_joined_than_there_may_be() {
        let lines = [r#"{"log":"a1\n"}"#, r#"{"log":"b\n"}"#, r#"{"log":"cdefg\n"}"#];
        check(
            &mut joiner("(?<first>a)", 8),
            &lines.join("\n"),
            &[r#"0 {"log":"a1\nb\n"} 1000"#, r#"29 {"log":"cdefg\n"} 1000"#],
        );
    }
}
