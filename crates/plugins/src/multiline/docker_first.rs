//! Docker's lines where a parser knows the first one of a record (`docker_mode_parser`): the pieces of a line are joined first, then the
//! lines up to the next first one.

use std::sync::Arc;
use std::time::Duration;

use flb_event::{Timestamp, msgpack};
use flb_plugin::Parser;

use super::builtin::docker;
use super::join::{Join, Joined, Joiner, Out, What, is_over, with_content};

/// The key of the text.
const KEY: &[u8] = b"log";

/// How lines that belong together are known.
pub(crate) struct DockerFirstParsers {
    /// Knows a first line.
    pub(crate) first: Arc<dyn Parser>,
    /// How long to wait for more lines.
    pub(crate) timeout: Duration,
    /// The most bytes that are joined.
    pub(crate) limit: usize,
}

/// Joins the lines of one source.
pub(crate) struct DockerFirst {
    pieces: Joiner,
    lines: Lines,
}

struct Lines {
    parsers: Arc<DockerFirstParsers>,
    /// The first line's body; empty if none waits.
    body: Vec<u8>,
    text: Vec<u8>,
    time: Timestamp,
    offset: u64,
    /// When the last line came.
    since: Timestamp,
    scratch: Vec<u8>,
}

impl DockerFirst {
    pub(crate) fn new(parsers: Arc<DockerFirstParsers>) -> Self {
        let (time, since) = (Timestamp::default(), Timestamp::default());
        let (body, text, scratch) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            pieces: Joiner::new([Arc::new(docker())].into(), parsers.limit),
            lines: Lines { parsers, body, text, time, offset: 0, since, scratch },
        }
    }
}

impl Lines {
    fn take(&mut self, joined: Joined<'_>, now: Timestamp, out: &mut Out<'_>) {
        let What::Body(body) = joined.what else {
            self.flush(out);
            return out(joined);
        };
        let mut entries = msgpack::entries(body).into_iter().flatten().flatten();
        let text = entries.find(|(name, _)| msgpack::as_str(name) == Some(KEY));
        let text = text.and_then(|(_, value)| msgpack::as_str(value)).unwrap_or_default();
        self.scratch.clear();
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        if self.parsers.first.parse(line, now, &mut self.scratch).is_ok() {
            self.flush(out);
            self.body.extend_from_slice(body);
            (self.time, self.offset) = (joined.time, joined.offset);
        } else if self.body.is_empty() || self.text.len() + text.len() > self.parsers.limit {
            self.flush(out);
            return out(joined);
        }
        self.text.extend_from_slice(text);
        self.since = now;
    }

    fn flush(&mut self, out: &mut Out<'_>) {
        if self.body.is_empty() {
            return;
        }
        with_content(&self.body, KEY, &self.text, &mut self.scratch);
        let what = What::Body(&self.scratch);
        out(Joined { what, time: self.time, offset: self.offset });
        self.body.clear();
        self.text.clear();
    }
}

impl Join for DockerFirst {
    fn push(&mut self, line: &[u8], offset: u64, now: Timestamp, out: &mut Out<'_>) {
        let Self { pieces, lines } = self;
        pieces.push(line, offset, now, &mut |joined| lines.take(joined, now, out));
    }

    fn flush(&mut self, out: &mut Out<'_>) {
        let Self { pieces, lines } = self;
        let now = lines.since;
        pieces.flush(&mut |joined| lines.take(joined, now, out));
        lines.flush(out);
    }

    fn flush_due(&mut self, now: Timestamp, out: &mut Out<'_>) {
        let Self { pieces, lines } = self;
        pieces.flush_due(now, &mut |joined| lines.take(joined, now, out));
        if !lines.body.is_empty() && is_over(lines.since, lines.parsers.timeout, now) {
            lines.flush(out);
        }
    }

    fn waits_from(&self) -> Option<u64> {
        let lines = Some(self.lines.offset).filter(|_| !self.lines.body.is_empty());
        lines.into_iter().chain(self.pieces.waits_from()).min()
    }
}
