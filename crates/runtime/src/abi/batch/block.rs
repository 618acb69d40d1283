//! Where what lies in the block that a call is about, and how it is written and read.

use std::ops::Range;

use flb_event::{Records, Run};

use super::sight::word;
use crate::FilterError;

/// Bytes of the header, and of a record in the table.
const HEADER: usize = 64;
pub(super) const RECORD: usize = 32;
/// The version, in the header's first word and the start block's.
pub(super) const VERSION: u32 = 1;
/// Where in the header the record in hand is named.
const NEXT: usize = 12;
/// That metadata and bodies are valid maps.
const VALID: u32 = 1;
/// Bytes behind the last body that a guest may read.
const MARGIN: usize = 16;
/// Least room for answers.
pub(super) const ROOM: usize = 64 << 10;
/// As many times the longest record there is room, if that is more: its JSON text may be six times as long, and filters divide the
/// room between values and lists.
const ROOM_FOR_RECORD: usize = 10;
/// Most records in a call.
pub const MOST_RECORDS: usize = 4096;
/// Most bytes of more than one record in a call.
const MOST_BYTES: usize = 256 << 10;

/// The records of one call: those that come next, as many as fit.
pub(super) fn cut(rest: &Records<'_>) -> Run {
    rest.run_of(MOST_RECORDS, MOST_BYTES)
}

/// What the header says beside addresses and numbers of records.
pub(super) struct Head<'a> {
    pub(super) tag: &'a [u8],
    /// Nanoseconds since 1970.
    pub(super) now: u64,
    /// How long a record may take, in nanoseconds.
    pub(super) deadline: u64,
    /// The start block's address.
    pub(super) start: usize,
}

/// One block: where it is, and where its parts are. All of it lies in a 32-bit memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    at: usize,
    pub(super) records: usize,
    tag_len: usize,
    table: usize,
    bytes: Span,
    room: Span,
}

/// Where bytes are, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    at: usize,
    len: usize,
}

impl Block {
    /// A block at an address, of at most so many bytes.
    pub(super) fn plan(
        at: usize,
        tag_len: usize,
        Run { records, bytes, longest }: Run,
        most: usize,
    ) -> Result<Self, FilterError> {
        let table = (at + HEADER + tag_len + 1).next_multiple_of(16);
        let bytes = Span { at: table + records * RECORD, len: bytes };
        let room = (bytes.at + bytes.len + MARGIN).next_multiple_of(16);
        let left = (at + most).saturating_sub(room);
        if left < ROOM {
            let reason = format!(
                "the record takes {} bytes, the guest has room for {}",
                bytes.len,
                most.saturating_sub(room - at - bytes.len + ROOM)
            );
            return Err(FilterError::Memory { reason });
        }
        let wanted = bytes.len.max(ROOM_FOR_RECORD * longest).next_multiple_of(16);
        let room = Span { at: room, len: wanted.clamp(ROOM, left) };
        Ok(Self { at, records, tag_len, table, bytes, room })
    }

    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.room.at + self.room.len - self.at
    }

    /// Where it begins, as the filter is told.
    pub(super) fn address(&self) -> u32 {
        self.at as u32
    }

    /// Writes it into the guest's memory: the header, the tag, and the next records of a chunk with these bytes.
    pub(super) fn write(
        &self,
        memory: &mut [u8],
        head: &Head<'_>,
        chunk: &[u8],
        mut records: Records<'_>,
    ) {
        let tag = self.at + HEADER;
        let split = |long: u64| [long as u32, (long >> 32) as u32];
        let ([now, now_high], [deadline, deadline_high]) = (split(head.now), split(head.deadline));
        let words: [u32; HEADER / 4] = [
            VERSION,
            HEADER as u32,
            self.records as u32,
            0,
            self.table as u32,
            RECORD as u32,
            tag as u32,
            self.tag_len as u32,
            self.room.at as u32,
            self.room.len as u32,
            now,
            now_high,
            deadline,
            deadline_high,
            VALID,
            head.start as u32,
        ];
        memory[self.at..][..HEADER].copy_from_slice(words.map(u32::to_le_bytes).as_flattened());
        memory[tag..][..self.tag_len].copy_from_slice(head.tag);
        memory[tag + self.tag_len] = 0;
        let start = records.position();
        memory[self.bytes.at..][..self.bytes.len]
            .copy_from_slice(&chunk[start..][..self.bytes.len]);
        let table = &mut memory[self.table..][..self.records * RECORD];
        for entry in table.chunks_exact_mut(RECORD) {
            let Some(event) = records.next() else { return };
            let end = records.position() - start + self.bytes.at;
            let body = end - event.body.len();
            let meta = body - event.metadata.len();
            let (meta, body, end) = (meta as u32, body as u32, end as u32);
            let words = [event.time.sec, event.time.nsec, meta, body, end, 0, 0, 0];
            entry.copy_from_slice(words.map(u32::to_le_bytes).as_flattened());
        }
    }

    /// The address of `next`.
    pub(super) fn next_at(&self) -> usize {
        self.at + NEXT
    }

    /// How far the guest has come that began with record `first`, by its own word: no further back, and not beyond the last.
    pub(super) fn next(&self, memory: &[u8], first: usize) -> usize {
        (word(memory, self.next_at()) as usize).clamp(first, self.records)
    }

    /// Tells the guest where to begin.
    pub(super) fn set_next(&self, memory: &mut [u8], next: usize) {
        memory[self.next_at()..][..4].copy_from_slice(&(next as u32).to_le_bytes());
    }

    /// What the table says of these records.
    pub(super) fn entries<'m>(&self, memory: &'m [u8], records: Range<usize>) -> &'m [u8] {
        &memory[self.table + records.start * RECORD..self.table + records.end * RECORD]
    }

    /// A record whose answer finds no room.
    pub(super) fn no_room(&self) -> FilterError {
        let reason =
            format!("its answer does not fit in the guest's {} bytes of room", self.room.len);
        FilterError::Memory { reason }
    }
}

#[cfg(test)]
mod tests {
    use flb_event::{Chunk, ChunkBuilder, Event, Tag, Timestamp};

    use super::*;

    fn chunk(bodies: &[&[u8]]) -> Chunk {
        let mut chunk = ChunkBuilder::new(Tag::new("app").unwrap());
        for (sec, body) in (1..).zip(bodies) {
            let time = Timestamp { sec, nsec: 7 };
            chunk.push(Event { time, metadata: &[0x81, 0x01, 0x02], body }).unwrap();
        }
        chunk.build()
    }

    /// The block in which these records come, at address 64.
    fn written(chunk: &Chunk, from: usize) -> (Block, Vec<u8>) {
        let mut rest = chunk.records();
        rest.by_ref().take(from).for_each(drop);
        let tag = chunk.tag().as_str().as_bytes();
        let block = Block::plan(64, tag.len(), cut(&rest), 1 << 20).unwrap();
        let mut memory = vec![0xee; 64 + block.len()];
        let head = Head { tag, now: 5 << 32 | 6, deadline: 1_000_000_000, start: 16 };
        block.write(&mut memory, &head, chunk.bytes(), rest);
        (block, memory)
    }

    #[test]
    fn a_block_is_as_the_page_draws_it() {
        let chunk = chunk(&[&[0x80], b"\x81\xa1a\x01", &[0x80]]);
        let (block, memory) = written(&chunk, 1);
        let header: Vec<u32> = (0..16).map(|index| word(&memory, 64 + 4 * index)).collect();
        let table = 64 + 64 + 16;
        let bytes = table + 2 * 32;
        let records = chunk.bytes().len() - 16;
        let room = (bytes + records + 16).next_multiple_of(16);
        let expected =
            [1, 64, 2, 0, table, 32, 64 + 64, 3, room, 64 << 10, 6, 5, 1_000_000_000, 0, 1, 16];
        assert_eq!(header, expected.map(|word| word as u32));
        assert_eq!(&memory[128..132], b"app\0");
        assert_eq!(memory.len(), room + (64 << 10));
        for (index, event) in chunk.records().skip(1).enumerate() {
            let entry: Vec<u32> =
                (0..8).map(|field| word(&memory, table + 32 * index + 4 * field)).collect();
            let [meta, body, end] = [entry[2], entry[3], entry[4]].map(|at| at as usize);
            assert_eq!((&memory[meta..body], &memory[body..end]), (event.metadata, event.body));
            assert_eq!(entry[..2], [event.time.sec, 7]);
            assert_eq!(entry[5..], [0; 3]);
        }
        assert_eq!(block.entries(&memory, 0..2).len(), 64);
    }

    #[test]
    fn a_call_takes_as_many_records_as_its_bounds_allow() {
        let cut = |bodies: &[&[u8]]| super::cut(&chunk(bodies).records()).records;
        assert_eq!(cut(&[]), 0);
        assert_eq!(cut(&vec![&[0x80][..]; 5000]), MOST_RECORDS);
        let mut long = b"\x81\xa1a\xc6\0\x02\0\0".to_vec();
        long.resize(8 + (128 << 10), b'x');
        assert_eq!(cut(&[&long, &[0x80], &long]), 2);
        let mut longest = b"\x81\xa1a\xc6\0\x08\0\0".to_vec();
        longest.resize(8 + (512 << 10), b'x');
        assert_eq!(cut(&[&longest, &[0x80]]), 1);
        assert_eq!(cut(&[&[0x80], &longest]), 1);
    }

    #[test]
    fn a_record_has_its_own_size_ten_times_as_room_while_there_is_any() {
        let cut = |bytes| Run { records: 1, bytes, longest: bytes };
        let most = 64 << 20;
        let room = |bytes| Block::plan(0, 3, cut(bytes), most).map(|block| block.room.len);
        assert_eq!(room(100), Ok(64 << 10));
        assert_eq!(room(1 << 20), Ok(10 << 20));
        assert_eq!(room(40 << 20).unwrap() >> 20, 23);
        assert!(room(most - (65 << 10)).is_ok());
        let error = room(70 << 20).unwrap_err().to_string();
        assert!(
            error.starts_with("the record takes 73400320 bytes, the guest has room for 6704"),
            "{error}"
        );
        assert_eq!(Block::plan(1 << 20, 3, cut(most - (65 << 10)), most).unwrap().len(), most);
    }

    #[test]
    fn what_a_guest_says_of_next_is_between_its_first_record_and_the_last() {
        let (block, mut memory) = written(&chunk(&[&[0x80][..]; 5]), 0);
        for (said, first, expected) in [(0, 0, 0), (2, 1, 2), (0, 3, 3), (5, 0, 5), (6, 0, 5)] {
            block.set_next(&mut memory, said);
            assert_eq!(block.next(&memory, first), expected, "{said} from {first}");
        }
        block.set_next(&mut memory, usize::MAX);
        assert_eq!(block.next(&memory, 2), 5);
    }
}
