//! What a batch was answered, record by record.

use flb_event::{Chunk, Event, Tag, Timestamp, Verdict};
use flb_runtime::{Answers, FilterError, FilterInstance, Part};

/// One record that came of another: its tag, if it has its own, time, metadata and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) tag: Option<String>,
    pub(crate) time: Timestamp,
    pub(crate) metadata: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Made {
    fn of(tag: Option<&Tag>, event: Event<'_>) -> Self {
        Self {
            tag: tag.map(ToString::to_string),
            time: event.time,
            metadata: event.metadata.to_vec(),
            body: event.body.to_vec(),
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Became(Vec<Made>),
    Failed(FilterError),
}

/// Asks about a batch: what became of each record.
pub(crate) fn ask(instance: &mut FilterInstance, batch: &Chunk) -> Vec<Fate> {
    let mut answered = Answered::default();
    instance.filter(batch, &mut answered);
    assert_eq!(answered.fates.len(), batch.len(), "each record has one answer");
    answered.fates
}

/// Answers as they come.
#[derive(Default)]
pub(crate) struct Answered {
    pub(crate) fates: Vec<Fate>,
    pub(crate) lost: Vec<FilterError>,
}

impl Answers for Answered {
    fn keep(&mut self, records: usize) {
        self.fates.extend((0..records).map(|_| Fate::Kept));
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        let bodies = verdict.bodies(event.body);
        let made = bodies.map(|body| Made::of(None, Event { body, ..event })).collect();
        self.fates.push(Fate::Became(made));
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        let made = parts.iter().map(|part| Made::of(part.tag.as_ref(), part.event)).collect();
        self.fates.push(Fate::Became(made));
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        self.fates.push(Fate::Failed(error));
    }

    fn lost(&mut self, error: FilterError) {
        self.lost.push(error);
    }
}
