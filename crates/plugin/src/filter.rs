//! Filters: plain functions from a batch of records to what becomes of it.

use flb_event::{Chunk, Timestamp};

use crate::{BuildError, Tally};

/// Decides about records, a batch at a time. Runs on its lane's thread and may keep state between batches.
pub trait Filter: Send {
    /// Filters one batch. All that becomes of it goes to the outlet, and its tally says of each record what that is. What
    /// passes has the batch's tag.
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet);

    /// Filters those records of a batch that are meant, each by its place, in one go: the others pass as they are, in their
    /// places, and are in no tally. Whether it does. Few filters need to, as each run of records that are meant is a batch of
    /// its own otherwise.
    fn filter_meant(&mut self, _batch: &Chunk, _meant: &[bool], _outlet: &mut Outlet) -> bool {
        false
    }

    /// Lets go of records of earlier batches that waited for others and do so no longer: asked for now and then, and at the
    /// end, when nothing can wait any more. Few filters have any wait.
    fn release(&mut self, _outlet: &mut Outlet, _is_end: bool) {}

    /// Whether what becomes of a batch depends on those before it, so that all of a tag must come to the same copy. Few
    /// filters do, and a guest's own state is for its author to say.
    fn joins_batches(&self) -> bool {
        false
    }

    /// Another of the same filter, with state of its own, for another lane. Whatever is immutable is shared.
    fn fork(&self) -> Result<Box<dyn Filter>, BuildError>;
}

/// What a filter may do: it is told the time, and gives what passes, what is emitted, and the books about both.
///
/// Whoever calls filters keeps one, and empties it between two calls with [`Outlet::begin`]; so a filter that emits nothing
/// costs no allocation.
#[derive(Debug)]
pub struct Outlet {
    now: Timestamp,
    /// By how many bytes what comes of a batch may outgrow it.
    growth: usize,
    passed: Vec<Chunk>,
    emitted: Vec<Chunk>,
    tally: Tally,
}

impl Default for Outlet {
    fn default() -> Self {
        Self {
            now: Timestamp::default(),
            growth: Self::GROWTH,
            passed: Vec::new(),
            emitted: Vec::new(),
            tally: Tally::default(),
        }
    }
}

impl Outlet {
    /// By how many bytes what comes of a batch may outgrow it, in all filters that it passes together.
    pub const GROWTH: usize = 256 << 20;
    /// Bytes that a chunk takes beside its records and its tag's text, roughly: here, and where it goes.
    pub const OF_CHUNK: usize = 1024;

    /// An empty one at this time.
    pub fn new(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// By how many bytes what comes of the batch may outgrow it. Filters look at it that make much of little.
    pub fn growth(&self) -> usize {
        self.growth
    }

    /// Lets what comes of a batch outgrow it by so many bytes, from the next batch on.
    pub fn set_growth(&mut self, bytes: usize) {
        self.growth = bytes;
    }

    /// By how many bytes what came of a batch of this size outgrew it.
    pub fn grown(&self, size: usize) -> usize {
        let size_of =
            |chunk: &Chunk| Self::OF_CHUNK + chunk.tag().as_str().len() + chunk.bytes().len();
        let passed: usize = self.passed.iter().map(|chunk| chunk.bytes().len()).sum();
        let emitted: usize = self.emitted.iter().map(size_of).sum();
        (passed + emitted).saturating_sub(size)
    }

    /// These records go on, to the filters behind this one. They are for the filter to count.
    pub fn pass(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.passed.push(chunk);
        }
    }

    /// The whole batch goes on as it was, and is counted so.
    pub fn keep(&mut self, batch: Chunk) {
        self.tally.kept += batch.len() as u64;
        self.pass(batch);
    }

    /// These records, of whatever tag, pass all filters but this one. They are no part of the batch, nor of its tally.
    pub fn emit(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.emitted.push(chunk);
        }
    }

    /// Counts what became of records.
    pub fn count(&mut self, tally: &Tally) {
        self.tally.add(tally);
    }

    /// Empties it for another call, at this time.
    pub fn begin(&mut self, now: Timestamp) {
        self.now = now;
        self.passed.clear();
        self.emitted.clear();
        self.tally = Tally::default();
    }

    /// What has passed since it was empty.
    pub fn passed(&self) -> &[Chunk] {
        &self.passed
    }

    /// Takes what has passed.
    pub fn take_passed(&mut self) -> impl Iterator<Item = Chunk> {
        self.passed.drain(..)
    }

    /// Takes what was emitted.
    pub fn take_emitted(&mut self) -> impl Iterator<Item = Chunk> {
        self.emitted.drain(..)
    }

    /// Takes what has passed and what was emitted.
    pub fn take(&mut self) -> (Vec<Chunk>, Vec<Chunk>) {
        (std::mem::take(&mut self.passed), std::mem::take(&mut self.emitted))
    }

    /// What became of all records.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use flb_event::{ChunkBuilder, Event, Tag};

    use super::*;

    fn chunk(tag: &str, records: usize) -> Chunk {
        let mut chunk = ChunkBuilder::new(Tag::new(tag).unwrap());
        let (time, metadata) = (Timestamp::default(), Event::NO_METADATA);
        (0..records).for_each(|_| chunk.push(Event { time, metadata, body: &[0x80] }).unwrap());
        chunk.build()
    }

    #[test]
    fn an_outlet_holds_what_a_filter_gives_until_it_begins_again() {
        let now = Timestamp { sec: 7, nsec: 0 };
        let mut outlet = Outlet::new(now);
        assert_eq!(outlet.now(), now);
        outlet.keep(chunk("a", 2));
        outlet.pass(chunk("a", 1));
        outlet.pass(chunk("a", 0));
        outlet.emit(chunk("b", 3));
        outlet.emit(chunk("b", 0));
        outlet.count(&Tally { replaced: 1, dropped: 4, ..Tally::default() });
        assert_eq!((outlet.tally().records(), outlet.tally().emitted()), (7, 3));
        // Three records here, three there.
        let elsewhere = Outlet::OF_CHUNK + "b".len();
        assert_eq!(outlet.grown(2 * 14), elsewhere + 4 * 14);
        assert_eq!(outlet.grown(elsewhere + 7 * 14), 0);
        let lengths = |chunks: Vec<Chunk>| chunks.iter().map(Chunk::len).collect::<Vec<_>>();
        assert_eq!(lengths(outlet.take_emitted().collect()), [3]);
        assert_eq!(lengths(outlet.passed().to_vec()), [2, 1]);
        outlet.begin(Timestamp { sec: 8, nsec: 0 });
        assert!(outlet.passed().is_empty());
        assert_eq!((outlet.now().sec, *outlet.tally()), (8, Tally::default()));
    }
}
