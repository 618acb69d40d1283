//! The batch that comes out of the filter, and the books about it.

use std::collections::{BTreeMap, BTreeSet};

use flb_artifact::Sha256Hex;
use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Spares, Tag, Verdict};
use flb_plugin::{Fate, Tally};
use flb_runtime::{Answers, Failure, FilterError, Part};

use super::policy::Policy;

/// Most bytes that all answers to one batch may take together.
const ROOM: usize = 256 << 20;
/// A record's bytes beside its metadata and body.
const FRAME: usize = 12;
/// Bytes that records of a further tag take beside the tag's text, roughly: here, and where they go.
const OF_TAG: usize = 1024;

/// Grows record by record; a record is in the output exactly as often as the tally says. Nothing is copied while all
/// records pass as they are.
pub struct Outcome<'o> {
    batch: &'o Chunk,
    policy: &'o Policy,
    /// Of the module that answers.
    module: Sha256Hex,
    tally: Tally,
    /// How many of the batch's records are answered.
    told: usize,
    /// Empty until a record does not pass as it is.
    output: ChunkBuilder,
    is_changed: bool,
    /// Bytes of answers.
    answered: usize,
    /// Records that go on under other tags.
    emitted: BTreeMap<Tag, ChunkBuilder>,
}

/// What becomes of a batch.
pub struct Finished {
    /// The records that go on; the same chunk if nothing changed.
    pub chunk: Chunk,
    /// The books.
    pub tally: Tally,
    /// Records that go on under other tags.
    pub emitted: Vec<Chunk>,
}

impl<'o> Outcome<'o> {
    /// For the answers to `batch`, which are written to `output` where it does not pass as it is.
    pub fn new(
        batch: &'o Chunk,
        (policy, module): (&'o Policy, Sha256Hex),
        output: ChunkBuilder,
    ) -> Self {
        Self {
            batch,
            policy,
            module,
            tally: Tally::default(),
            told: 0,
            output,
            is_changed: false,
            answered: 0,
            emitted: BTreeMap::new(),
        }
    }

    /// The next records go on as they are.
    fn pass(&mut self, records: usize) -> Result<(), RecordTooLarge> {
        let run = self.told..self.told + records;
        self.told += records;
        if self.is_changed { self.output.append_run(self.batch, run) } else { Ok(()) }
    }

    /// The next record does not go on as it is.
    fn change(&mut self) {
        if !self.is_changed {
            self.is_changed = true;
            // They fit into one chunk, as they are in one.
            let _ = self.output.append_run(self.batch, 0..self.told);
        }
    }

    /// Puts these bodies in the place of `event`, if there is room.
    fn replace(&mut self, event: Event<'_>, bodies: &[&[u8]]) -> Result<(), FilterError> {
        let frame = FRAME + event.metadata.len();
        let size = |all: usize, body: &&[u8]| all.saturating_add(frame + body.len());
        let size = bodies.iter().fold(0, size);
        self.change();
        let fits_chunk = u32::try_from(self.output.size().saturating_add(size)).is_ok();
        if !fits_chunk || self.answered.saturating_add(size) > ROOM {
            return Err(full());
        }
        self.answered += size;
        for body in bodies {
            // There is room, as was seen above.
            let _ = self.output.push(Event { body, ..event });
        }
        self.told += 1;
        self.tally.became(bodies.len());
        Ok(())
    }

    /// Puts these records in the place of one, those of other tags beside the batch, if there is room. Those that leave are
    /// removed from this filter's batch, as its books see it.
    fn become_parts(&mut self, parts: &[Part<'_>]) -> Result<(), FilterError> {
        let tag = self.batch.tag();
        let leaves = |part: &&Part<'_>| part.tag.as_ref().is_some_and(|other| other != tag);
        let size = |all: usize, part: &Part<'_>| {
            all.saturating_add(FRAME + part.event.metadata.len() + part.event.body.len())
        };
        let of_tags =
            self.size_of_tags(parts.iter().filter(leaves).filter_map(|part| part.tag.as_ref()));
        let size = parts.iter().fold(of_tags, size);
        self.change();
        let fits_chunk = u32::try_from(self.output.size().saturating_add(size)).is_ok();
        if !fits_chunk || self.answered.saturating_add(size) > ROOM {
            return Err(full());
        }
        self.answered += size;
        let mut stay = 0;
        for part in parts {
            let to = match &part.tag {
                Some(tag) if leaves(&part) => self
                    .emitted
                    .entry(tag.clone())
                    .or_insert_with(|| ChunkBuilder::new(tag.clone())),
                _ => {
                    stay += 1;
                    &mut self.output
                }
            };
            // There is room, as was seen above: all answers to a batch fit into one chunk.
            let _ = to.push(part.event);
        }
        self.told += 1;
        self.tally.became(stay);
        Ok(())
    }

    /// Bytes for those of the tags that no record goes on under so far.
    fn size_of_tags<'t>(&self, tags: impl Iterator<Item = &'t Tag>) -> usize {
        let new: BTreeSet<&Tag> = tags.filter(|tag| !self.emitted.contains_key(*tag)).collect();
        new.into_iter().map(|tag| OF_TAG + tag.as_str().len()).sum()
    }

    /// What becomes of the batch. What was built stays with the spares until the lane is through with it.
    pub fn finish(self, spares: &mut Spares) -> Finished {
        let Self { batch, tally, output, is_changed, emitted, .. } = self;
        let built = output.build();
        spares.keep(built.clone());
        let emitted = emitted.into_values().map(ChunkBuilder::build).collect();
        Finished { chunk: if is_changed { built } else { batch.clone() }, tally, emitted }
    }
}

fn full() -> FilterError {
    let reason = format!("the answers to one batch take more than {} MiB", ROOM >> 20);
    FilterError::Memory { reason }
}

impl Answers for Outcome<'_> {
    fn keep(&mut self, records: usize) {
        match self.pass(records) {
            Ok(()) => self.tally.kept += records as u64,
            // A batch of almost 4 GiB that answers have filled.
            Err(_) => {
                self.policy.failures.count(Failure::Memory, records as u64);
                (0..records).for_each(|_| self.tally.fail(Fate::Dropped));
            }
        }
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        let replaced = match verdict {
            Verdict::Keep => return self.keep(1),
            Verdict::Drop => self.replace(event, &[]),
            Verdict::Replace(body) => self.replace(event, &[body]),
            Verdict::Split(_) => {
                let bodies: Vec<&[u8]> = verdict.bodies(event.body).collect();
                self.replace(event, &bodies)
            }
        };
        if let Err(error) = replaced {
            self.fail(event, error);
        }
    }

    fn edit(
        &mut self,
        event: Event<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), FilterError>,
    ) {
        self.change();
        let (size, answered) = (self.output.size(), self.answered);
        let written = self.output.push_with(event.time, event.metadata, |output| {
            write(output)?;
            if answered + (output.len() - size) > ROOM { Err(full()) } else { Ok(()) }
        });
        match written {
            Ok(()) => {
                self.answered += self.output.size() - size;
                self.told += 1;
                self.tally.became(1);
            }
            Err(error) => self.fail(event, error),
        }
    }

    fn split(&mut self, event: Event<'_>, parts: &[Part<'_>]) {
        if let Err(error) = self.become_parts(parts) {
            self.fail(event, error);
        }
    }

    fn lost(&mut self, error: FilterError) {
        self.policy.lost(&error);
    }

    fn fail(&mut self, event: Event<'_>, error: FilterError) {
        let failure = (&error, self.module);
        let fate = self.policy.apply(failure, self.batch.tag(), event);
        let fate = match fate {
            // A batch of almost 4 GiB that answers have filled.
            Fate::Kept if self.pass(1).is_err() => Fate::Dropped,
            Fate::Kept => fate,
            Fate::Dropped | Fate::Quarantined => {
                self.change();
                self.told += 1;
                fate
            }
        };
        self.tally.fail(fate);
    }
}

#[cfg(test)]
mod tests {
    use flb_event::{Tag, Timestamp, msgpack};

    use super::*;

    const DIGEST: Sha256Hex = Sha256Hex([0; 32]);

    fn event(body: &[u8]) -> Event<'_> {
        Event { time: Timestamp { sec: 1, nsec: 0 }, metadata: Event::NO_METADATA, body }
    }

    /// Records `{"a": 0}`, `{"a": 1}` and so on.
    fn batch(records: u8) -> Chunk {
        let mut batch = ChunkBuilder::new(Tag::new("t").unwrap());
        (0..records).for_each(|number| batch.push(event(&body(number))).unwrap());
        batch.build()
    }

    fn body(number: u8) -> [u8; 4] {
        [0x81, 0xa1, b'a', number]
    }

    fn outcome<'o>(batch: &'o Chunk, policy: &'o Policy) -> Outcome<'o> {
        Outcome::new(batch, (policy, DIGEST), ChunkBuilder::new(batch.tag().clone()))
    }

    fn bad() -> FilterError {
        FilterError::BadOutput { reason: String::new() }
    }

    #[test]
    fn every_record_goes_where_its_answer_says_in_its_order() {
        let (batch, policy) = (batch(9), Policy::dropping());
        let events: Vec<Event<'_>> = batch.records().collect();
        let mut outcome = outcome(&batch, &policy);
        outcome.keep(2);
        outcome.decide(events[2], Verdict::Drop);
        outcome.edit(events[3], |out| {
            out.extend_from_slice(&body(33));
            Ok(())
        });
        outcome.keep(1);
        outcome.edit(events[5], |out| {
            out.push(0x81);
            Err(bad())
        });
        let several = [&[0x92][..], &body(61), &body(62)].concat();
        outcome.decide(events[6], Verdict::Split(&several));
        outcome.fail(events[7], bad());
        outcome.decide(events[8], Verdict::Keep);
        let Finished { chunk, tally, .. } = outcome.finish(&mut Spares::new(1));
        let numbers: Vec<u8> = chunk.records().map(|event| event.body[3]).collect();
        assert_eq!(numbers, [0, 1, 33, 4, 61, 62, 8]);
        assert_eq!((tally.kept, tally.replaced, tally.dropped), (4, 2, 1));
        assert_eq!((tally.emitted_extra, tally.dropped_by_failure()), (1, 2));
    }

    #[test]
    fn a_batch_that_passes_whole_is_not_copied() {
        let (batch, policy) = (batch(3), Policy::keeping());
        let mut outcome = outcome(&batch, &policy);
        outcome.keep(1);
        outcome.fail(batch.records().nth(1).unwrap(), bad());
        outcome.keep(1);
        let Finished { chunk, tally, .. } = outcome.finish(&mut Spares::new(1));
        assert!(chunk.same(&batch));
        assert_eq!((tally.kept, tally.failures()), (3, 1));
    }

    #[test]
    fn answers_full_of_zeros_end_at_the_batchs_bound() {
        // What a map16 becomes that is patched to a map32: pairs of zeros, as valid as any.
        const PAIRS: u32 = 17 << 19;
        let mut body = vec![0xdf];
        body.extend_from_slice(&PAIRS.to_be_bytes());
        body.resize(5 + 2 * PAIRS as usize, 0);
        assert_eq!(msgpack::map_len(&body), Ok(body.len()));
        let (batch, policy) = (batch(41), Policy::keeping());
        let mut outcome = outcome(&batch, &policy);
        for (number, event) in batch.records().take(40).enumerate() {
            if number % 2 == 0 {
                outcome.decide(event, Verdict::Replace(&body));
            } else {
                outcome.edit(event, |out| {
                    out.extend_from_slice(&body);
                    Ok(())
                });
            }
        }
        assert_eq!(outcome.tally.replaced as usize, ROOM / body.len());
        assert_eq!(outcome.tally.failures() as usize, 40 - ROOM / body.len());
        assert!(outcome.output.size() <= ROOM + (1 << 20));
        outcome.decide(batch.records().nth(40).unwrap(), Verdict::Replace(&[0x80]));
        assert_eq!(
            outcome.tally.replaced as usize,
            ROOM / body.len() + 1,
            "a small one still fits"
        );
    }

    #[test]
    fn the_tags_that_records_go_on_under_count_as_what_they_are() {
        let (batch, policy) = (batch(1), Policy::keeping());
        let mut outcome = outcome(&batch, &policy);
        let event = batch.records().next().unwrap();
        let size = OF_TAG + 1000 + FRAME + event.metadata.len() + event.body.len();
        let fits = ROOM / size;
        let part = |number: usize| {
            let tag = Tag::new(&format!("{number:01000}")).unwrap();
            [Part { tag: Some(tag), event }]
        };
        (0..fits).for_each(|number| assert_eq!(outcome.become_parts(&part(number)), Ok(())));
        assert!(matches!(outcome.become_parts(&part(fits)), Err(FilterError::Memory { .. })));
        assert_eq!(
            outcome.become_parts(&part(0)),
            Ok(()),
            "a tag that is there costs nothing more"
        );
    }
}
