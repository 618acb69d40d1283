//! The batch that comes out of a filter whose every call must succeed.

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Verdict};
use flb_runtime::{Answers, FilterError, FilterInstance, Part};

struct Filtered<'b> {
    batch: &'b Chunk,
    /// How many records are answered.
    answered: usize,
    /// Empty until a record does not pass as it is.
    output: ChunkBuilder,
    is_changed: bool,
}

/// The records that go on.
pub(crate) fn filtered(filter: &mut FilterInstance, batch: &Chunk) -> Chunk {
    filtered_into(filter, batch, ChunkBuilder::new(batch.tag().clone()))
}

/// The same, in memory that is there. The batch itself, if all of it goes on.
pub(crate) fn filtered_into(
    filter: &mut FilterInstance,
    batch: &Chunk,
    output: ChunkBuilder,
) -> Chunk {
    let mut filtered = Filtered { batch, answered: 0, output, is_changed: false };
    filter.filter(batch, &mut filtered);
    if filtered.is_changed { filtered.output.build() } else { batch.clone() }
}

impl Filtered<'_> {
    /// The next record does not go on as it is.
    fn change(&mut self) {
        if !self.is_changed {
            self.is_changed = true;
            self.output.append_run(self.batch, 0..self.answered).unwrap();
        }
        self.answered += 1;
    }
}

impl Answers for Filtered<'_> {
    fn keep(&mut self, records: usize) {
        let run = self.answered..self.answered + records;
        self.answered += records;
        if self.is_changed {
            self.output.append_run(self.batch, run).unwrap();
        }
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        self.change();
        match verdict {
            Verdict::Keep => self.output.push(event).unwrap(),
            Verdict::Replace(body) => self.output.push(Event { body, ..event }).unwrap(),
            Verdict::Drop | Verdict::Split(_) => {}
        }
    }

    fn edit(
        &mut self,
        event: Event<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), FilterError>,
    ) {
        self.change();
        let pushed = self.output.push_with(event.time, event.metadata, |body| {
            write(body).unwrap();
            Ok::<(), RecordTooLarge>(())
        });
        pushed.unwrap();
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        self.change();
        parts.iter().for_each(|part| self.output.push(part.event).unwrap());
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        panic!("{error}");
    }
}
