//! What a guest writes to its stdout and stderr: cut into lines, and no more of them in a second than somebody reads.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where a guest's stdout and stderr go.
#[derive(Debug, Clone, Default)]
pub enum GuestOutput {
    /// Nowhere.
    #[default]
    Discard,
    /// To this process's own.
    Inherit,
    /// Line by line to a log.
    Lines(GuestLog),
}

/// One of a guest's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl GuestStream {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How much matters what a guest says to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Somebody should look at it.
    Warn,
    /// Somebody may want to know.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level of this number, 1 to 5; any other number is information.
    pub(crate) fn numbered(number: u32) -> Self {
        match number {
            1 => Self::Error,
            2 => Self::Warn,
            4 => Self::Debug,
            5 => Self::Trace,
            _ => Self::Info,
        }
    }
}

/// What a log of guests is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A guest wrote a line.
    Line {
        /// Where.
        stream: GuestStream,
        /// The line without its end; no more than [`LINE`] bytes of it.
        text: &'a [u8],
    },
    /// A guest said something to the log.
    Said {
        /// How much it matters.
        level: LogLevel,
        /// What.
        text: &'a [u8],
    },
    /// So many lines were more than the limit allows, and are gone.
    Suppressed(u64),
}

/// The longest line that is told; what follows in it is left out.
pub const LINE: usize = 4096;

/// A log for the output of all guests of a module. Cheap to clone; clones share the limit.
#[derive(Clone)]
pub struct GuestLog(Arc<Shared>);

struct Shared {
    sink: Box<dyn Fn(Heard<'_>) + Send + Sync>,
    limit: Mutex<Limit>,
}

impl fmt::Debug for GuestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestLog").finish_non_exhaustive()
    }
}

impl GuestLog {
    /// A log that hands at most `limit` lines a second to `sink`, and says how many it kept back.
    pub fn new(limit: u32, sink: impl Fn(Heard<'_>) + Send + Sync + 'static) -> Self {
        let limit = Limit { limit, told: 0, suppressed: 0, since: None };
        Self(Arc::new(Shared { sink: Box::new(sink), limit: Mutex::new(limit) }))
    }

    fn line(&self, now: Instant, stream: GuestStream, text: &[u8]) {
        self.tell(now, Heard::Line { stream, text });
    }

    /// What a guest says to the log.
    pub(crate) fn say(&self, now: Instant, level: LogLevel, text: &[u8]) {
        self.tell(now, Heard::Said { level, text });
    }

    fn tell(&self, now: Instant, heard: Heard<'_>) {
        let mut limit = self.0.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let suppressed = limit.begin(now);
        let allowed = limit.allows();
        drop(limit);
        if suppressed > 0 {
            (self.0.sink)(Heard::Suppressed(suppressed));
        }
        if allowed {
            (self.0.sink)(heard);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let limit = self.limit.get_mut().unwrap_or_else(PoisonError::into_inner);
        if limit.suppressed > 0 {
            (self.sink)(Heard::Suppressed(limit.suppressed));
        }
    }
}

/// So many lines in each second.
struct Limit {
    limit: u32,
    told: u32,
    suppressed: u64,
    since: Option<Instant>,
}

impl Limit {
    /// Begins a new second if the last one is over; returns what was suppressed until then.
    fn begin(&mut self, now: Instant) -> u64 {
        let over = |since| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if !self.since.is_none_or(over) {
            return 0;
        }
        self.since = Some(now);
        self.told = 0;
        std::mem::take(&mut self.suppressed)
    }

    fn allows(&mut self) -> bool {
        let allowed = self.told < self.limit;
        if allowed {
            self.told += 1;
        } else {
            self.suppressed += 1;
        }
        allowed
    }
}

/// Cuts one stream of one guest into lines for the log.
pub(crate) struct Lines {
    log: GuestLog,
    stream: GuestStream,
    /// The beginning of the line that is not ended yet.
    partial: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(log: GuestLog, stream: GuestStream) -> Self {
        Self { log, stream, partial: Vec::new() }
    }

    /// Takes what the guest wrote.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.keep(&rest[..end]);
            self.end(now);
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE - self.partial.len();
        self.partial.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end(&mut self, now: Instant) {
        let text = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        self.log.line(now, self.stream, text);
        self.partial.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.end(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log, and what it was told.
    fn log(limit: u32) -> (GuestLog, Arc<Mutex<Vec<String>>>) {
        let told = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&told);
        let log = GuestLog::new(limit, move |heard| {
            sink.lock().unwrap().push(match heard {
                Heard::Line { stream, text } => {
                    format!("{}: {}", stream.name(), text.escape_ascii())
                }
                Heard::Said { level, text } => {
                    format!("{}: {}", level.name(), String::from_utf8_lossy(text))
                }
                Heard::Suppressed(lines) => format!("{lines} suppressed"),
            });
        });
        (log, told)
    }

    #[test]
    fn lines_are_put_together_and_the_last_one_needs_no_end() {
        let (log, told) = log(10);
        let mut lines = Lines::new(log, GuestStream::Stderr);
        for part in ["on", "e\r\n\ntw", "o\nthr", "ee"] {
            lines.write(part.as_bytes());
        }
        drop(lines);
        let expected = ["stderr: one", "stderr: ", "stderr: two", "stderr: three"];
        assert_eq!(*told.lock().unwrap(), expected);
    }

    #[test]
    fn a_long_line_is_cut() {
        let (log, told) = log(10);
        let mut lines = Lines::new(log, GuestStream::Stdout);
        for _ in 0..LINE {
            lines.write(b"xyz");
        }
        lines.write(b"\nshort\n");
        let told = told.lock().unwrap();
        assert_eq!(told[0].len(), "stdout: ".len() + LINE);
        assert_eq!(told[1..], ["stdout: short"]);
    }

    #[test]
    fn what_exceeds_the_limit_of_a_second_is_counted_and_told_when_it_is_over() {
        let (log, told) = log(2);
        let start = Instant::now();
        let say = |milliseconds, text: &str| {
            let now = start + Duration::from_millis(milliseconds);
            log.line(now, GuestStream::Stdout, text.as_bytes());
        };
        for text in ["a", "b", "c", "d"] {
            say(0, text);
        }
        say(999, "e");
        say(1000, "f");
        say(2500, "g");
        let expected = ["stdout: a", "stdout: b", "3 suppressed", "stdout: f", "stdout: g"];
        assert_eq!(*told.lock().unwrap(), expected);
    }

    #[test]
    fn what_was_suppressed_last_is_told_at_the_end() {
        let (log, told) = log(1);
        let mut lines = Lines::new(log.clone(), GuestStream::Stdout);
        lines.write(b"a\nb\nc\n");
        drop((lines, log));
        let told = told.lock().unwrap();
        assert_eq!(
            (told.first(), told.last()),
            (Some(&"stdout: a".to_owned()), Some(&"2 suppressed".to_owned()))
        );
    }
}
