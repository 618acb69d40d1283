//! Records of one tag: built once, then shared without copying.
//!
//! A record is stored as Fluent Bit's second event format, `[[time, metadata], body]` with the time as EventTime
//! (extension type 0, eight bytes). Offsets are kept beside the bytes, so nobody walks msgpack to find a record.

use std::ops::Range;
use std::sync::Arc;

use crate::{Tag, Timestamp};

/// The bytes before the time: array of two, array of two, EventTime.
const HEAD: [u8; 4] = [0x92, 0x92, 0xd7, 0x00];
/// Head, seconds and nanoseconds.
const PREFIX_LEN: usize = HEAD.len() + 8;

/// One record, borrowed: a time and two msgpack maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// When it happened.
    pub time: Timestamp,
    /// A msgpack map; often empty (one byte, `0x80`).
    pub metadata: &'a [u8],
    /// A msgpack map: the record's keys and values.
    pub body: &'a [u8],
}

impl Event<'_> {
    /// The empty msgpack map, the metadata of most events.
    pub const NO_METADATA: &'static [u8] = &[0x80];
}

/// Where one record's parts end, relative to the chunk's bytes.
#[derive(Debug, Clone, Copy)]
struct Ends {
    metadata: u32,
    body: u32,
}

/// Records of one tag, immutable and cheap to clone.
#[derive(Debug, Clone)]
pub struct Chunk {
    tag: Tag,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    data: Vec<u8>,
    ends: Vec<Ends>,
}

impl Chunk {
    /// The tag of all records.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.shared.ends.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.shared.ends.is_empty()
    }

    /// All records, concatenated msgpack.
    pub fn bytes(&self) -> &[u8] {
        &self.shared.data
    }

    /// Whether both are one and the same chunk, not just equal ones.
    pub fn same(&self, other: &Chunk) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether no clone of it is left.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// Those of its records that are meant, each by its place, as a chunk of their own.
    pub fn only(&self, meant: &[bool]) -> Chunk {
        let mut chosen = ChunkBuilder::new(self.tag.clone());
        let mut at = 0;
        for run in meant.chunk_by(|left, right| left == right) {
            if run[0] {
                // They fit into one chunk, as they are in one.
                let _ = chosen.append_run(self, at..at + run.len());
            }
            at += run.len();
        }
        chosen.build()
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        Records { data: &self.shared.data, ends: self.shared.ends.iter(), start: 0 }
    }
}

/// Some of a chunk's records that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub records: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Bytes of the longest one.
    pub longest: usize,
}

/// Iterates over a chunk's events.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    data: &'a [u8],
    ends: std::slice::Iter<'a, Ends>,
    start: usize,
}

impl Records<'_> {
    /// Where in the chunk's bytes the next record begins: the one before it ended there.
    #[inline]
    pub fn position(&self) -> usize {
        self.start
    }

    /// As many of the next records as take so many bytes together at most, but one at least and `most` at most, if there are any.
    pub fn run_of(&self, most: usize, bytes: usize) -> Run {
        let ends = self.ends.as_slice();
        let ends = &ends[..ends.len().min(most)];
        let fit = ends.partition_point(|ends| ends.body as usize - self.start <= bytes).max(1);
        let ends = &ends[..ends.len().min(fit)];
        let (mut from, mut longest) = (self.start as u32, 0);
        for ends in ends {
            longest = longest.max(ends.body - from);
            from = ends.body;
        }
        let (bytes, longest) = (from as usize - self.start, longest as usize);
        Run { records: ends.len(), bytes, longest }
    }

    /// Passes over so many records.
    #[inline]
    pub fn pass(&mut self, records: usize) {
        let Some(last) = records.checked_sub(1) else { return };
        if let Some(last) = self.ends.nth(last) {
            self.start = last.body as usize;
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let ends = self.ends.next()?;
        let start = std::mem::replace(&mut self.start, ends.body as usize);
        // All of it lies in the data, as the builder put it there.
        let record = self.data.get(start..self.start)?;
        let (maps, time) = (record.get(PREFIX_LEN..)?, record.get(HEAD.len()..)?.first_chunk()?);
        let time = u64::from_be_bytes(*time);
        let (metadata, body) =
            maps.split_at_checked(ends.metadata as usize - start - PREFIX_LEN)?;
        let time = Timestamp { sec: (time >> 32) as u32, nsec: time as u32 };
        Some(Event { time, metadata, body })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}

/// A chunk holds at most 4 GiB, and this record would exceed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record does not fit: a chunk holds at most 4 GiB")]
pub struct RecordTooLarge;

/// A time as EventTime has it.
fn eight_bytes(time: Timestamp) -> [u8; 8] {
    (u64::from(time.sec) << 32 | u64::from(time.nsec)).to_be_bytes()
}

/// Collects records of one tag into a [`Chunk`].
#[derive(Debug)]
pub struct ChunkBuilder {
    tag: Tag,
    data: Vec<u8>,
    ends: Vec<Ends>,
}

impl ChunkBuilder {
    /// An empty builder for records of `tag`.
    pub fn new(tag: Tag) -> Self {
        Self { tag, data: Vec::new(), ends: Vec::new() }
    }

    /// As [`new`](Self::new), in the memory of a chunk that nobody else holds any more; `None` where somebody does.
    pub fn reuse(chunk: Chunk, tag: Tag) -> Option<Self> {
        let Shared { mut data, mut ends } = Arc::into_inner(chunk.shared)?;
        data.clear();
        ends.clear();
        Some(Self { tag, data, ends })
    }

    /// The tag of all records.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Size of the records so far, in bytes.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// Adds a record. `event.metadata` and `event.body` must each be one msgpack map; whoever takes bytes from outside
    /// checks them first with [`msgpack::map_len`].
    pub fn push(&mut self, event: Event<'_>) -> Result<(), RecordTooLarge> {
        let added: Result<(), RecordTooLarge> = self.push_with(event.time, event.metadata, |out| {
            out.extend_from_slice(event.body);
            Ok(())
        });
        added
    }

    /// Adds a record whose body `write` appends to the chunk's own bytes. When `write` fails, or the record does not fit,
    /// the builder is as it was before.
    pub fn push_with<E: From<RecordTooLarge>>(
        &mut self,
        time: Timestamp,
        metadata: &[u8],
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.push_timed(time, metadata, |out| write(out).map(|()| None))
    }

    /// As [`push_with`](Self::push_with), for a body that may say the record's own time, which then stands for `time`.
    pub fn push_timed<E: From<RecordTooLarge>>(
        &mut self,
        time: Timestamp,
        metadata: &[u8],
        write: impl FnOnce(&mut Vec<u8>) -> Result<Option<Timestamp>, E>,
    ) -> Result<(), E> {
        let start = self.data.len();
        self.data.extend_from_slice(&HEAD);
        self.data.extend_from_slice(&eight_bytes(time));
        self.data.extend_from_slice(metadata);
        let metadata_end = self.data.len();
        let written = write(&mut self.data).and_then(|own| {
            if let Some(time) = own {
                let time_at = start + HEAD.len();
                self.data[time_at..start + PREFIX_LEN].copy_from_slice(&eight_bytes(time));
            }
            let metadata = u32::try_from(metadata_end).map_err(|_| RecordTooLarge)?;
            let body = u32::try_from(self.data.len()).map_err(|_| RecordTooLarge)?;
            Ok(Ends { metadata, body })
        });
        match written {
            Ok(ends) => {
                self.ends.push(ends);
                Ok(())
            }
            Err(error) => {
                self.data.truncate(start);
                Err(error)
            }
        }
    }

    /// Makes room for records of so many bytes in all, so that growing moves none.
    pub fn reserve(&mut self, size: usize) {
        self.data.reserve_exact(size.saturating_sub(self.data.len()));
    }

    /// Adds all records of `chunk`, whatever its tag. One copy of the bytes.
    pub fn append(&mut self, chunk: &Chunk) -> Result<(), RecordTooLarge> {
        self.append_run(chunk, 0..chunk.len())
    }

    /// Adds a run of `chunk`'s records, those of these numbers, whatever its tag. One copy of the bytes. Numbers beyond the
    /// last record stand for none.
    pub fn append_run(&mut self, chunk: &Chunk, run: Range<usize>) -> Result<(), RecordTooLarge> {
        let Shared { data, ends } = &*chunk.shared;
        let run = run.start.min(ends.len())..run.end.min(ends.len());
        let before = ends[..run.start].last().map_or(0, |ends| ends.body);
        let ends = ends.get(run).unwrap_or_default();
        let Some(last) = ends.last() else { return Ok(()) };
        let base = self.data.len();
        let bytes = &data[before as usize..last.body as usize];
        u32::try_from(base + bytes.len()).map_err(|_| RecordTooLarge)?;
        self.data.extend_from_slice(bytes);
        // All of them are within the new end, which was looked at above.
        let moved = |end: u32| (base + (end - before) as usize) as u32;
        self.ends.extend(
            ends.iter().map(|ends| Ends { metadata: moved(ends.metadata), body: moved(ends.body) }),
        );
        Ok(())
    }

    /// Finishes the chunk.
    pub fn build(self) -> Chunk {
        Chunk { tag: self.tag, shared: Arc::new(Shared { data: self.data, ends: self.ends }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spares;

    fn event(sec: u32, body: &[u8]) -> Event<'_> {
        Event { time: Timestamp { sec, nsec: 5 }, metadata: Event::NO_METADATA, body }
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        let events = [event(1, &[0x80]), event(2, &[0x81, 0xa1, b'a', 0x00])];
        for event in events {
            builder.push(event).unwrap();
        }
        let chunk = builder.build();
        assert_eq!(chunk.records().collect::<Vec<_>>(), events);
        assert_eq!(&chunk.bytes()[..14], [0x92, 0x92, 0xd7, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0x80, 0x80]);
    }

    #[test]
    fn runs_of_records_are_measured_and_passed_over() {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        for body in [&[0x80][..], b"\x81\xa1a\x01", &[0x80], &[0x80]] {
            builder.push(event(1, body)).unwrap();
        }
        let chunk = builder.build();
        let mut records = chunk.records();
        let run = |records, bytes, longest| Run { records, bytes, longest };
        let runs = [(9, 31), (9, 30), (9, 0), (1, 99), (0, 99)];
        let runs = runs.map(|(most, bytes)| records.run_of(most, bytes));
        let one = run(1, 14, 14);
        assert_eq!(runs, [run(2, 31, 17), one, one, one, run(0, 0, 0)]);
        records.pass(0);
        records.pass(2);
        assert_eq!((records.position(), records.len()), (31, 2));
        assert_eq!(records.run_of(9, 99), run(2, 28, 14));
        records.pass(2);
        assert_eq!((records.position(), records.run_of(9, 99)), (59, run(0, 0, 0)));
        assert!(records.next().is_none());
    }

    #[test]
    fn a_body_may_say_the_time_of_its_record() {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        let early = Timestamp { sec: 1, nsec: 2 };
        for own in [None, Some(Timestamp { sec: 0xfedc_ba98, nsec: 5 })] {
            let written = builder.push_timed(early, Event::NO_METADATA, |out| {
                out.push(0x80);
                Ok::<_, RecordTooLarge>(own)
            });
            written.unwrap();
        }
        let chunk = builder.build();
        let times: Vec<Timestamp> = chunk.records().map(|event| event.time).collect();
        assert_eq!(times, [early, Timestamp { sec: 0xfedc_ba98, nsec: 5 }]);
        assert!(chunk.records().all(|event| event.body == [0x80]));
    }

    #[test]
    fn a_failed_write_leaves_the_builder_as_it_was() {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        builder.push(event(1, &[0x80])).unwrap();
        let failed = builder.push_with(Timestamp::default(), Event::NO_METADATA, |out| {
            out.push(0x81);
            Err(RecordTooLarge)
        });
        assert_eq!(failed, Err(RecordTooLarge));
        assert_eq!((builder.len(), builder.size()), (1, 14));
    }

    #[test]
    fn a_chunk_is_used_again_only_when_nobody_holds_it() {
        let tag = || Tag::new("t").unwrap();
        let mut builder = ChunkBuilder::new(tag());
        builder.push(event(1, &[0x80])).unwrap();
        let (chunk, memory) = {
            let chunk = builder.build();
            let memory = chunk.bytes().as_ptr();
            (chunk, memory)
        };
        let mut spares = Spares::new(2);
        spares.keep(chunk.clone());
        assert!(spares.builder(tag()).is_empty());
        drop(chunk);
        let mut again = spares.builder(tag());
        assert!(again.is_empty());
        again.push(event(2, &[0x80])).unwrap();
        assert_eq!(again.build().bytes().as_ptr(), memory);
    }

    #[test]
    fn a_run_of_a_chunk_is_appended_alone() {
        let mut first = ChunkBuilder::new(Tag::new("t").unwrap());
        let bodies: [&[u8]; 4] = [&[0x80], &[0x81, 0xa1, b'a', 1], &[0x80], &[0x81, 0xa1, b'b', 2]];
        for (sec, body) in (1..).zip(bodies) {
            first.push(event(sec, body)).unwrap();
        }
        let first = first.build();
        let mut second = ChunkBuilder::new(Tag::new("u").unwrap());
        for run in [3..4, 1..3, 2..2, 4..9, 9..12] {
            second.append_run(&first, run).unwrap();
        }
        let second = second.build();
        let expected = [event(4, bodies[3]), event(2, bodies[1]), event(3, bodies[2])];
        assert_eq!(second.records().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn records_are_picked_out_by_their_places() {
        let mut chunk = ChunkBuilder::new(Tag::new("t").unwrap());
        (1..=5).for_each(|sec| chunk.push(event(sec, &[0x80])).unwrap());
        let chunk = chunk.build();
        let picked = |meant: &[bool]| -> Vec<u32> {
            chunk.only(meant).records().map(|event| event.time.sec).collect()
        };
        assert_eq!(picked(&[false, true, true, false, true]), [2, 3, 5]);
        assert_eq!(picked(&[false; 5]), []);
        assert_eq!(picked(&[]), []);
    }

    #[test]
    fn an_appended_chunk_keeps_its_records() {
        let mut first = ChunkBuilder::new(Tag::new("t").unwrap());
        first.push(event(1, &[0x80])).unwrap();
        let first = first.build();
        let mut second = ChunkBuilder::new(Tag::new("t").unwrap());
        second.push(event(2, &[0x80])).unwrap();
        second.append(&first).unwrap();
        let times: Vec<u32> = second.build().records().map(|event| event.time.sec).collect();
        assert_eq!(times, [2, 1]);
    }
}
