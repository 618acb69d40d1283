//! Why a script fails on a record, what becomes of the record, and what the log says about it.

use flb_event::Tag;
use flb_plugin::keys::Word;
use flb_plugin::log::{Kinds, Label};
use flb_plugin::{Build, Counter, FAILURES, Fate};

/// Why it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The script raised an error.
    Error,
    /// It ran too long.
    Deadline,
    /// It wanted more memory than it may have.
    Memory,
    /// What it answered is no answer.
    BadOutput,
}

impl Class {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Error, "error"),
        (Self::Deadline, "deadline"),
        (Self::Memory, "memory"),
        (Self::BadOutput, "bad_output"),
    ];
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Failure {
    pub(super) class: Class,
    pub(super) reason: String,
}

impl Failure {
    /// An answer that is none.
    pub(super) fn bad_output(reason: impl Into<String>) -> Self {
        Self { class: Class::BadOutput, reason: reason.into() }
    }
}

/// What becomes of a record that the script fails on.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnError(Fate);

impl Word for OnError {
    const ALL: &'static [(&'static str, Self)] =
        &[("keep", Self(Fate::Kept)), ("drop", Self(Fate::Dropped))];
}

/// The policy of one filter, shared by its lanes.
#[derive(Debug)]
pub(super) struct Policy {
    label: Label,
    fate: Fate,
    /// In the order of [`Class::ALL`].
    counters: [Counter; Class::ALL.len()],
    kinds: Kinds,
}

impl Policy {
    pub(super) fn new(OnError(fate): OnError, label: Label, build: &Build<'_>) -> Self {
        let counters = Class::ALL.map(|(_, word)| build.metrics.counter_of(&FAILURES, word));
        Self { label, fate, counters, kinds: Kinds::default() }
    }

    /// Counts a failure, says so ever less often, and decides about the record.
    pub(super) fn apply(&self, failure: &Failure, tag: &Tag) -> Fate {
        self.counters[failure.class as usize].add(1);
        let kind = failure.reason.replace(|letter: char| letter.is_ascii_digit(), "");
        if let Some(times) = self.kinds.another(&kind) {
            let fate = match self.fate {
                Fate::Kept => "kept as it was",
                Fate::Dropped | Fate::Quarantined => "dropped",
            };
            let label = &self.label;
            tracing::error!("{label} {failure}; the record is {fate}{times}, tag: {tag}");
        }
        self.fate
    }
}
