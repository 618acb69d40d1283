//! `flowcounter`: prints how many records and bytes came within each minute, or another unit of time.

use std::io;
use std::sync::{Mutex, PoisonError};

use flb_event::{Chunk, Timestamp};
use flb_plugin::keys::{Bool, Choice, Key, Word};
use flb_plugin::log::Label;
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, Spec, Table, keys, write_all,
};

use super::date::now;

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "flowcounter",
    about: "Print how many records and bytes come within a time",
    options: Table(&[KEYS]),
    build,
};

keys! {
    const KEYS;
    UNIT: Choice<Unit> = Key::new("unit", "The time to count in").default("minute");
    EVENT_BASED: Bool =
        Key::new("event_based", "Count by the records' times, not by the clock").default("off");
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

impl Word for Unit {
    const ALL: &'static [(&'static str, Self)] = &[
        ("second", Self::Second),
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("day", Self::Day),
    ];
}

impl Unit {
    fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(FlowCounter {
        label: Label::output("flowcounter", build),
        unit: options.get(UNIT),
        is_event_based: options.get(EVENT_BASED),
        span: Mutex::default(),
    }))
}

struct FlowCounter {
    label: Label,
    unit: Unit,
    is_event_based: bool,
    span: Mutex<Option<Span>>,
}

/// What came until a second, since the same time before.
#[derive(Debug)]
struct Span {
    until: u64,
    records: u64,
    bytes: u64,
}

impl Output for FlowCounter {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        let lines = self.count(chunk, now());
        Box::pin(async move {
            if lines.is_empty() {
                return Flush::Done;
            }
            let print = move || write_all(&mut io::stdout(), lines.as_bytes());
            let printed = tokio::task::spawn_blocking(print).await;
            match printed.map_err(io::Error::other).flatten() {
                Ok(()) => Flush::Done,
                // The records are counted: they must not come again.
                Err(error) => {
                    tracing::error!("{} cannot write to standard output: {error}", self.label);
                    Flush::Done
                }
            }
        })
    }
}

impl FlowCounter {
    /// Counts a chunk; the lines of the spans that have ended by it.
    fn count(&self, chunk: &Chunk, now: Timestamp) -> String {
        let mut lines = String::new();
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = chunk.records();
        loop {
            let start = records.position();
            let Some(event) = records.next() else { return lines };
            let time = if self.is_event_based { event.time } else { now };
            let bytes = records.position() - start;
            self.count_one(&mut span, time.sec.into(), bytes as u64, &mut lines);
        }
    }

    fn count_one(&self, span: &mut Option<Span>, second: u64, bytes: u64, lines: &mut String) {
        let seconds = self.unit.seconds();
        let current = span.get_or_insert(Span { until: second + seconds, records: 0, bytes: 0 });
        if second >= current.until {
            lines.push_str(&self.line(current));
            // Times in which nothing came have no line.
            let passed = (second - current.until) / seconds + 1;
            *current = Span { until: current.until + passed * seconds, records: 0, bytes: 0 };
        }
        // What is late counts where it came.
        current.records += 1;
        current.bytes += bytes;
    }

    fn line(&self, Span { until, records, bytes }: &Span) -> String {
        let (unit, seconds) = (self.unit.name(), self.unit.seconds());
        format!(
            "[out_flowcounter] [{until}, {{\"counts\":{records}, \"bytes\":{bytes}, \"counts/{unit}\":{}, \"bytes/{unit}\":{} }}]\n",
            records / seconds,
            bytes / seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::chunk;

    fn counter(unit: Unit, is_event_based: bool) -> FlowCounter {
        FlowCounter {
            label: Label::named(String::new()),
            unit,
            is_event_based,
            span: Mutex::default(),
        }
    }

    #[test]
    fn a_span_is_a_line_once_it_is_over() {
        let counter = counter(Unit::Minute, false);
        let records = chunk("t", &[(1, 0, "{}"); 90]);
        let bytes = records.bytes().len();
        let at = |sec| counter.count(&records, Timestamp { sec, nsec: 0 });
        assert_eq!((at(1000), at(1059)), (String::new(), String::new()));
        let line = |until: u64, count: usize| {
            format!(
                "[out_flowcounter] [{until}, {{\"counts\":{count}, \"bytes\":{}, \"counts/minute\":{}, \"bytes/minute\":{} }}]\n",
                bytes * count / 90,
                count / 60,
                bytes * count / 90 / 60
            )
        };
        assert_eq!(at(1060), line(1060, 180));
        assert_eq!(at(1500), line(1120, 90));
        assert_eq!(at(1541), line(1540, 90));
    }

    #[test]
    fn records_may_be_counted_by_their_own_times() {
        let counter = counter(Unit::Second, true);
        let records =
            chunk("t", &[(5, 0, "{}"), (5, 9, "{}"), (6, 0, "{}"), (9, 0, "{}"), (3, 0, "{}")]);
        let lines = counter.count(&records, Timestamp::default());
        let counts: Vec<&str> =
            lines.lines().map(|line| line.split(", \"bytes").next().unwrap()).collect();
        let expected =
            ["[out_flowcounter] [6, {\"counts\":2", "[out_flowcounter] [7, {\"counts\":1"];
        assert_eq!(counts, expected);
    }
}
