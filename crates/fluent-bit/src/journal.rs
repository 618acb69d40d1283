//! What a filter has to say, kept until a thread of the agent's comes by that may say it.
//!
//! The agent's logger knows its own threads only, so whatever the filter's worker logs is queued here, and printed when the
//! chunk is handed back.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// A line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// Most lines that wait: nobody comes by while there are no records.
const MOST: usize = 1000;

/// What the names of the project's libraries begin with. Others' lines are for those who work on them.
const OURS: [&str; 2] = ["flb_", "filter_aot"];

/// The lines of one filter, in order.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    kept: Arc<Kept>,
    writer: Dispatch,
}

#[derive(Debug)]
struct Kept {
    /// The least important that is wanted.
    level: Level,
    lines: Mutex<VecDeque<Line>>,
}

impl Journal {
    /// An empty one for lines down to this level.
    pub(crate) fn new(level: Level) -> Self {
        let kept = Arc::new(Kept { level, lines: Mutex::default() });
        Self { writer: Dispatch::new(Writer(Arc::clone(&kept))), kept }
    }

    /// Runs code whose lines belong here.
    pub(crate) fn keep<R>(&self, f: impl FnOnce() -> R) -> R {
        tracing::dispatcher::with_default(&self.writer, f)
    }

    /// Takes all lines out.
    pub(crate) fn take(&self) -> VecDeque<Line> {
        std::mem::take(&mut *self.kept.lines())
    }
}

impl Kept {
    fn lines(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes lines into the journal.
struct Writer(Arc<Kept>);

impl Subscriber for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = OURS.iter().any(|crates| metadata.target().starts_with(crates));
        is_ours && *metadata.level() <= self.0.level
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.0.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let line = Line { level: *event.metadata().level(), text: message.0 };
        let mut lines = self.0.lines();
        if lines.len() == MOST {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    // Lines name their filter themselves; spans say nothing more.

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event's message; other fields are passed over.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a text cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_level_wait_until_they_are_taken() {
        let journal = Journal::new(Level::INFO);
        journal.keep(|| {
            tracing::info!("one {}", 1);
            tracing::debug!("too small");
        });
        tracing::error!("somebody else's");
        let line = Line { level: Level::INFO, text: "one 1".to_owned() };
        assert_eq!(journal.take(), [line]);
        assert!(journal.take().is_empty());
    }

    #[test]
    fn the_oldest_lines_give_way() {
        let journal = Journal::new(Level::INFO);
        journal.keep(|| (0..=MOST).for_each(|number| tracing::warn!("{number}")));
        let lines = journal.take();
        assert_eq!((lines.len(), lines[0].text.as_str()), (MOST, "1"));
    }
}
