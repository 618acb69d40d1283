//! The batch that comes out of a filter whose every call must succeed.

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Verdict};
use flb_runtime::{Answers, FilterError, FilterInstance, Part};

struct Filtered<'b> {
    batch: &'b Chunk,
    /// How many records are answered.
    answered: usize,
    output: ChunkBuilder,
}

/// The records that go on.
pub(crate) fn filtered(filter: &mut FilterInstance, batch: &Chunk) -> Chunk {
    let output = ChunkBuilder::new(batch.tag().clone());
    let mut filtered = Filtered { batch, answered: 0, output };
    filter.filter(batch, &mut filtered);
    filtered.output.build()
}

impl Answers for Filtered<'_> {
    fn keep(&mut self, records: usize) {
        let run = self.answered..self.answered + records;
        self.output.append_run(self.batch, run).unwrap();
        self.answered += records;
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        self.answered += 1;
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
        self.answered += 1;
        let pushed = self.output.push_with(event.time, event.metadata, |body| {
            write(body).unwrap();
            Ok::<(), RecordTooLarge>(())
        });
        pushed.unwrap();
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        self.answered += 1;
        parts.iter().for_each(|part| self.output.push(part.event).unwrap());
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        panic!("{error}");
    }
}
