//! The batch that comes out of the filter, and the books about it.

use std::collections::{BTreeMap, BTreeSet};

use flb_artifact::Sha256Hex;
use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Spares, Tag, Verdict};
use flb_plugin::{Fate, Outlet, Tally};
use flb_runtime::{Answers, Failure, FilterError, Part};

use super::policy::Policy;

/// A record's bytes beside its metadata and body.
const FRAME: usize = 12;

/// Grows record by record; a record is in the output exactly as often as the tally says. Nothing is copied while all
/// records pass as they are.
pub struct Outcome<'o> {
    batch: &'o Chunk,
    /// Which of its records the filter is asked about, each by its place; empty if about all.
    meant: &'o [bool],
    policy: &'o Policy,
    /// Of the module that answers.
    module: Sha256Hex,
    tally: Tally,
    /// How many of the batch's records are answered, or passed by.
    told: usize,
    /// Empty until a record does not pass as it is.
    output: ChunkBuilder,
    is_changed: bool,
    /// By how many bytes more what comes of the batch may outgrow it.
    room: usize,
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
    /// For the answers to `batch`, or to those of its records that are `meant`, if any are left out. They are written to
    /// `output` where the batch does not pass as it is, and may outgrow it by `room` bytes.
    pub fn new(
        (batch, meant): (&'o Chunk, &'o [bool]),
        (policy, module): (&'o Policy, Sha256Hex),
        (output, room): (ChunkBuilder, usize),
    ) -> Self {
        Self {
            batch,
            meant,
            policy,
            module,
            tally: Tally::default(),
            told: 0,
            output,
            is_changed: false,
            room,
            emitted: BTreeMap::new(),
        }
    }

    /// The next records go on as they are, and those between them that the filter is not asked about.
    fn pass(&mut self, records: usize) -> Result<(), RecordTooLarge> {
        let rest = self.meant.get(self.told..).unwrap_or_default();
        let places = rest.iter().enumerate().filter(|(_, meant)| **meant);
        let last = records.checked_sub(1).and_then(|last| places.map(|(place, _)| place).nth(last));
        self.go_on(last.map_or(records, |last| last + 1))
    }

    /// So many of the batch's next records go on as they are.
    fn go_on(&mut self, records: usize) -> Result<(), RecordTooLarge> {
        let run = self.told..self.told + records;
        self.told += records;
        if self.is_changed { self.output.append_run(self.batch, run) } else { Ok(()) }
    }

    /// Records that the filter is not asked about go on as they are, up to the next that it is asked about.
    fn go_by(&mut self) {
        let rest = self.meant.get(self.told..).unwrap_or_default();
        let by = rest.iter().take_while(|meant| !**meant).count();
        // Chunks of almost 4 GiB are made of no batch.
        let _ = self.go_on(by);
    }

    /// The next record that the filter is asked about does not go on as it is.
    fn change(&mut self) {
        self.go_by();
        if !self.is_changed {
            self.is_changed = true;
            // They fit into one chunk, as they are in one.
            let _ = self.output.append_run(self.batch, 0..self.told);
        }
    }

    /// Takes room for so many bytes in the place of `event`, if there is so much.
    fn take(&mut self, event: Event<'_>, size: usize) -> Result<(), FilterError> {
        let fits_chunk = u32::try_from(self.output.size().saturating_add(size)).is_ok();
        let left = (self.room + size_of(event)).checked_sub(size).filter(|_| fits_chunk);
        self.room = left.ok_or_else(full)?;
        Ok(())
    }

    /// Puts these bodies in the place of `event`, if there is room.
    fn replace(&mut self, event: Event<'_>, bodies: &[&[u8]]) -> Result<(), FilterError> {
        let frame = FRAME + event.metadata.len();
        let size = |all: usize, body: &&[u8]| all.saturating_add(frame + body.len());
        let size = bodies.iter().fold(0, size);
        self.change();
        self.take(event, size)?;
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
    fn become_parts(&mut self, event: Event<'_>, parts: &[Part<'_>]) -> Result<(), FilterError> {
        let tag = self.batch.tag();
        let leaves = |part: &&Part<'_>| part.tag.as_ref().is_some_and(|other| other != tag);
        let size = |all: usize, part: &Part<'_>| all.saturating_add(size_of(part.event));
        let of_tags =
            self.size_of_tags(parts.iter().filter(leaves).filter_map(|part| part.tag.as_ref()));
        let size = parts.iter().fold(of_tags, size);
        self.change();
        self.take(event, size)?;
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
        new.into_iter().map(|tag| Outlet::OF_CHUNK + tag.as_str().len()).sum()
    }

    /// What becomes of the batch. What was built stays with the spares until the lane is through with it.
    pub fn finish(mut self, spares: &mut Spares) -> Finished {
        self.go_by();
        let Self { batch, tally, output, is_changed, emitted, .. } = self;
        let built = output.build();
        spares.keep(built.clone());
        let emitted = emitted.into_values().map(ChunkBuilder::build).collect();
        Finished { chunk: if is_changed { built } else { batch.clone() }, tally, emitted }
    }
}

fn size_of(event: Event<'_>) -> usize {
    FRAME + event.metadata.len() + event.body.len()
}

fn full() -> FilterError {
    let most = Outlet::GROWTH >> 20;
    let reason = format!("filters may make {most} MiB more of a batch than it was, and no more");
    FilterError::Memory { reason }
}

impl Answers for Outcome<'_> {
    fn refusal(&mut self) -> Option<FilterError> {
        self.policy.refusal()
    }

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
        let (size, room) = (self.output.size(), self.room + size_of(event));
        let written = self.output.push_with(event.time, event.metadata, |output| {
            write(output)?;
            if output.len() - size > room { Err(full()) } else { Ok(()) }
        });
        match written {
            Ok(()) => {
                self.room = room - (self.output.size() - size);
                self.told += 1;
                self.tally.became(1);
            }
            Err(error) => self.fail(event, error),
        }
    }

    fn split(&mut self, event: Event<'_>, parts: &[Part<'_>]) {
        if let Err(error) = self.become_parts(event, parts) {
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
    const ROOM: usize = Outlet::GROWTH;

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
        outcome_of(batch, &[], policy)
    }

    fn outcome_of<'o>(batch: &'o Chunk, meant: &'o [bool], policy: &'o Policy) -> Outcome<'o> {
        let output = ChunkBuilder::new(batch.tag().clone());
        Outcome::new((batch, meant), (policy, DIGEST), (output, ROOM))
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
    fn records_that_are_not_meant_keep_their_places_and_are_in_no_books() {
        let (batch, policy) = (batch(9), Policy::dropping());
        let meant = [false, true, false, false, true, true, false, true, false];
        let events: Vec<Event<'_>> = batch.records().collect();
        let mut outcome = outcome_of(&batch, &meant, &policy);
        outcome.keep(1);
        outcome.edit(events[4], |out| {
            out.extend_from_slice(&body(44));
            Ok(())
        });
        outcome.fail(events[5], bad());
        outcome.keep(1);
        let Finished { chunk, tally, .. } = outcome.finish(&mut Spares::new(1));
        let numbers: Vec<u8> = chunk.records().map(|event| event.body[3]).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 44, 6, 7, 8]);
        assert_eq!((tally.kept, tally.replaced, tally.dropped_by_failure()), (2, 1, 1));

        let mut outcome = outcome_of(&batch, &meant, &policy);
        outcome.keep(4);
        let Finished { chunk, tally, .. } = outcome.finish(&mut Spares::new(1));
        assert!(chunk.same(&batch), "nothing has changed, and nothing is copied");
        assert_eq!(tally.records(), 4);
    }

    #[test]
    fn what_another_filter_left_of_the_room_is_all_there_is() {
        let (batch, policy) = (batch(3), Policy::keeping());
        let output = ChunkBuilder::new(batch.tag().clone());
        let mut outcome = Outcome::new((&batch, &[]), (&policy, DIGEST), (output, 6));
        let longer = b"\x82\xa1a\x01\xa1b\x02";
        batch.records().for_each(|event| outcome.decide(event, Verdict::Replace(longer)));
        assert_eq!((outcome.tally.replaced, outcome.tally.failures()), (2, 1));
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
        // The record itself makes room for its part.
        let fits = ROOM / (Outlet::OF_CHUNK + 1000);
        let part = |number: usize| {
            let tag = Tag::new(&format!("{number:01000}")).unwrap();
            [Part { tag: Some(tag), event }]
        };
        (0..fits).for_each(|number| assert_eq!(outcome.become_parts(event, &part(number)), Ok(())));
        assert!(matches!(
            outcome.become_parts(event, &part(fits)),
            Err(FilterError::Memory { .. })
        ));
        assert_eq!(
            outcome.become_parts(event, &part(0)),
            Ok(()),
            "a tag that is there costs nothing more"
        );
    }
}
