//! The batch that comes out of the filter, and the books about it.

use flb_event::{Chunk, ChunkBuilder, Event, Spares, Verdict};
use flb_plugin::{Failure, Fate, Filtered, Tally};
use flb_runtime::FilterError;

/// Most bytes that all answers to one batch may take together.
const ROOM: usize = 256 << 20;
/// A record's bytes beside its metadata and body.
const FRAME: usize = 12;

/// Grows record by record; a record is in the output exactly as often as the tally says.
pub struct Outcome {
    /// What became of each record so far.
    pub tally: Tally,
    output: ChunkBuilder,
    answered: usize,
}

impl Outcome {
    /// A batch that is written to `output`.
    pub fn new(output: ChunkBuilder) -> Self {
        Self { tally: Tally::default(), output, answered: 0 }
    }

    /// Does what the filter decided about `event`; an answer that there is no room for is a failure.
    pub fn answer(&mut self, verdict: Verdict<'_>, event: Event<'_>) -> Result<(), FilterError> {
        let (one, several): ([&[u8]; 1], Vec<&[u8]>);
        let bodies = match verdict {
            Verdict::Keep => {
                one = [event.body];
                one.as_slice()
            }
            Verdict::Replace(body) => {
                one = [body];
                &one
            }
            Verdict::Drop => &[],
            Verdict::Split(_) => {
                several = verdict.bodies(event.body).collect();
                &several
            }
        };
        let frame = FRAME + event.metadata.len();
        let size = |all: usize, body: &&[u8]| all.saturating_add(frame + body.len());
        let size = bodies.iter().fold(0, size);
        let fits_chunk = u32::try_from(self.output.size().saturating_add(size)).is_ok();
        if !fits_chunk || self.answered.saturating_add(size) > ROOM {
            let reason = format!("the answers to one batch take more than {} MiB", ROOM >> 20);
            return Err(FilterError::Memory { reason });
        }
        self.answered += size;
        for body in bodies {
            // There is room, as was seen above.
            let _ = self.output.push(Event { body, ..event });
        }
        match verdict {
            Verdict::Keep => self.tally.kept += 1,
            _ => self.tally.became(bodies.len()),
        }
        Ok(())
    }

    /// Does to `event`, which the filter failed on, what the policy decided.
    pub fn fail(&mut self, class: Failure, fate: Fate, event: Event<'_>) {
        let fate = match fate {
            // A batch of almost 4 GiB that answers have filled.
            Fate::Kept if self.output.push(event).is_err() => Fate::Dropped,
            fate => fate,
        };
        self.tally.fail(class, fate);
    }

    /// The answer to `batch`; the same chunk if nothing changed. What was built stays with the spares until the lane is
    /// through with it.
    pub fn finish(self, batch: Chunk, spares: &mut Spares) -> Filtered {
        let Self { tally, output, .. } = self;
        let built = output.build();
        spares.keep(built.clone());
        let chunk = if tally.kept == tally.records() { batch } else { built };
        Filtered { chunk, tally }
    }
}

#[cfg(test)]
mod tests {
    use flb_event::{Tag, Timestamp};

    use super::*;

    #[test]
    fn answers_full_of_zeros_end_at_the_batchs_bound() {
        // What a map16 becomes that is patched to a map32: pairs of zeros, as valid as any.
        const PAIRS: u32 = 17 << 19;
        let mut body = vec![0xdf];
        body.extend_from_slice(&PAIRS.to_be_bytes());
        body.resize(5 + 2 * PAIRS as usize, 0);
        assert_eq!(flb_event::msgpack::map_len(&body), Ok(body.len()));
        let mut outcome = Outcome::new(ChunkBuilder::new(Tag::new("t").unwrap()));
        let time = Timestamp { sec: 1, nsec: 0 };
        let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
        let answers = (0..40).map(|_| outcome.answer(Verdict::Replace(&body), event).is_ok());
        assert_eq!(answers.filter(|fits| *fits).count(), ROOM / body.len());
        assert!(outcome.output.size() <= ROOM + (1 << 20));
        assert!(outcome.answer(Verdict::Keep, event).is_ok(), "a small one still fits");
    }
}
