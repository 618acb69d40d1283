//! What becomes of each record of a batch, as commands show it.

use flb_event::{Chunk, Event, Tag, Timestamp, Verdict};
use flb_runtime::{Answers, FilterError, FilterInstance, Part};

use crate::output::note;

/// A record that leaves a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) tag: Tag,
    pub(crate) time: Timestamp,
    /// msgpack, as the body.
    pub(crate) metadata: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Made {
    fn of(tag: &Tag, event: Event<'_>) -> Self {
        Self {
            tag: tag.clone(),
            time: event.time,
            metadata: event.metadata.to_vec(),
            body: event.body.to_vec(),
        }
    }
}

/// What becomes of a record: the records that come of it, none if it is dropped; or why it failed.
pub(crate) type Fate = Result<Vec<Made>, FilterError>;

/// Asks about a batch: a fate for each of its records.
pub(crate) fn ask(instance: &mut FilterInstance, batch: &Chunk) -> Vec<Fate> {
    let mut fates = Fates { batch, told: Vec::with_capacity(batch.len()) };
    instance.filter(batch, &mut fates);
    fates.told
}

struct Fates<'b> {
    batch: &'b Chunk,
    told: Vec<Fate>,
}

impl Answers for Fates<'_> {
    fn keep(&mut self, records: usize) {
        let kept = self.batch.records().skip(self.told.len()).take(records);
        let tag = self.batch.tag();
        self.told.extend(kept.map(|event| Ok(vec![Made::of(tag, event)])));
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        let bodies = verdict.bodies(event.body);
        let made = bodies.map(|body| Made::of(self.batch.tag(), Event { body, ..event }));
        self.told.push(Ok(made.collect()));
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        let tag = |part: &Part<'_>| part.tag.clone().unwrap_or_else(|| self.batch.tag().clone());
        let made = parts.iter().map(|part| Made::of(&tag(part), part.event)).collect();
        self.told.push(Ok(made));
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        self.told.push(Err(error));
    }

    /// The verdicts stand, so it is no record's failure; but somebody should know.
    fn lost(&mut self, error: FilterError) {
        note(format_args!("it failed when it had decided about all records: {error}"));
    }
}
