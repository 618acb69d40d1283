//! The bytes of a chunk's file: a head, then frames that are only ever appended, each with a checksum of its own. A file
//! that ends in the middle of a frame, because its writer was killed, is good up to there.

use flb_event::{Chunk, ChunkBuilder, Event, Tag, Timestamp, msgpack};

/// How every chunk's file begins.
pub const MAGIC: &[u8; 8] = b"FLBCHUNK";
/// The version that this reader knows.
pub const VERSION: u32 = 1;
/// Magic and version.
const HEAD: usize = 12;
/// Kind, count, length and checksum.
const FRAME: usize = 13;
/// How a file of Fluent Bit itself begins.
const FLUENT_BIT: &[u8; 2] = &[0xc1, 0x00];

/// The first frame: the input's name, `count` bytes of it, and the tag.
const ORIGIN: u8 = b'O';
/// `count` records.
const RECORDS: u8 = b'R';
/// The name of an output that needs the chunk no more.
const SETTLED: u8 = b'S';

/// What a chunk's file holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The name of the input that the records came from.
    pub input: String,
    /// The records.
    pub chunk: Chunk,
    /// Outputs that need the chunk no more.
    pub settled: Vec<String>,
    /// Length of the part that is good.
    pub good: usize,
    /// What stands behind the good part.
    pub end: End,
}

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After a frame.
    Whole,
    /// In a frame that was being written. Nobody was told that its records are stored.
    Torn,
    /// With bytes that no writer writes.
    Damaged(&'static str),
}

/// Why no record can be had from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAChunk {
    /// It ends before the first record; nobody was told that anything is stored.
    #[error("it was not finished")]
    Unfinished,
    /// The real Fluent Bit wrote it.
    #[error("it is in Fluent Bit's own format")]
    FluentBit,
    /// It begins otherwise than a chunk's file.
    #[error("it does not begin like a chunk")]
    Magic,
    /// Another version of the agent wrote it.
    #[error("it has version {0}, and this agent reads version {VERSION}")]
    Version(u32),
    /// The first frame is not sound.
    #[error("its origin is damaged: {0}")]
    Origin(&'static str),
}

/// The beginning of a file: where its records come from. `None` when the input's name or the tag is too long, which
/// cannot be of those that are in use.
pub fn origin(input: &str, tag: &Tag) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + FRAME + input.len() + tag.as_str().len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let payload = [input.as_bytes(), tag.as_str().as_bytes()].concat();
    out.extend_from_slice(&frame(ORIGIN, input.len(), &payload));
    out.extend_from_slice(&payload);
    out
}

/// The bytes before a batch's own, which are the frame's payload. `None` when a frame cannot hold the batch.
pub fn records(batch: &Chunk) -> Option<[u8; FRAME]> {
    u32::try_from(batch.bytes().len()).ok()?;
    Some(frame(RECORDS, batch.len(), batch.bytes()))
}

/// Says that an output needs the chunk no more.
pub fn settled(output: &str) -> Vec<u8> {
    [frame(SETTLED, 0, output.as_bytes()).as_slice(), output.as_bytes()].concat()
}

fn frame(kind: u8, count: usize, payload: &[u8]) -> [u8; FRAME] {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = [0; FRAME];
    out[0] = kind;
    out[1..5].copy_from_slice(&small(count));
    out[5..9].copy_from_slice(&small(payload.len()));
    let sum = checksum(&out[..9], payload);
    out[9..].copy_from_slice(&sum.to_le_bytes());
    out
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

/// Reads a whole file. Takes any bytes.
pub fn read(bytes: &[u8]) -> Result<Contents, NotAChunk> {
    let after = check_head(bytes)?;
    let mut frames = Frames { bytes, at: HEAD };
    let first = match frames.next() {
        Some(Ok(first)) if first.kind == ORIGIN => first,
        Some(Ok(_)) => return Err(NotAChunk::Origin("it is missing")),
        Some(Err(End::Damaged(why))) => return Err(NotAChunk::Origin(why)),
        Some(Err(_)) | None => return Err(NotAChunk::Unfinished),
    };
    debug_assert!(after.len() >= first.payload.len());
    let (input, tag) = split_origin(&first)?;
    let mut builder = ChunkBuilder::new(tag);
    let mut settled = Vec::new();
    let mut good = frames.at;
    let mut end = End::Whole;
    for frame in &mut frames {
        let taken = frame.and_then(|frame| take(&frame, &mut builder, &mut settled));
        match taken {
            Ok(next) => good += next,
            Err(why) => {
                end = why;
                break;
            }
        }
    }
    if builder.is_empty() && end != End::Whole && !matches!(end, End::Damaged(_)) {
        return Err(NotAChunk::Unfinished);
    }
    Ok(Contents { input, chunk: builder.build(), settled, good, end })
}

/// What stands behind magic and version.
fn check_head(bytes: &[u8]) -> Result<&[u8], NotAChunk> {
    if bytes.starts_with(FLUENT_BIT) {
        return Err(NotAChunk::FluentBit);
    }
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) {
        return Err(NotAChunk::Magic);
    }
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
        return Err(NotAChunk::Unfinished);
    };
    match number(&head[8..]) {
        VERSION => Ok(rest),
        other => Err(NotAChunk::Version(other)),
    }
}

fn split_origin(frame: &Frame<'_>) -> Result<(String, Tag), NotAChunk> {
    let parts = frame.payload.split_at_checked(frame.count);
    let (input, tag) = parts.ok_or(NotAChunk::Origin("the name is longer than the frame"))?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| NotAChunk::Origin("it is no text"));
    let tag = Tag::new(text(tag)?).map_err(|_| NotAChunk::Origin("the tag is too long"))?;
    Ok((text(input)?.to_owned(), tag))
}

/// Adds what a frame says. Returns its length.
fn take(
    frame: &Frame<'_>,
    builder: &mut ChunkBuilder,
    settled: &mut Vec<String>,
) -> Result<usize, End> {
    match frame.kind {
        RECORDS => {
            let batch = batch(builder.tag(), frame)?;
            builder.append(&batch).map_err(|_| End::Damaged("more than a chunk can hold"))?;
        }
        SETTLED => settled.push(String::from_utf8_lossy(frame.payload).into_owned()),
        _ => return Err(End::Damaged("a frame of an unknown kind")),
    }
    Ok(FRAME + frame.payload.len())
}

/// The records of a frame: all of them or none.
fn batch(tag: &Tag, frame: &Frame<'_>) -> Result<Chunk, End> {
    const NO_RECORD: End = End::Damaged("something that is no record");
    let mut builder = ChunkBuilder::new(tag.clone());
    let mut rest = frame.payload;
    while !rest.is_empty() {
        let time = rest.strip_prefix(&[0x92, 0x92, 0xd7, 0x00]).ok_or(NO_RECORD)?;
        let (time, maps) = time.split_at_checked(8).ok_or(NO_RECORD)?;
        let length = msgpack::map_len(maps).map_err(|_| NO_RECORD)?;
        let (metadata, maps) = maps.split_at(length);
        let length = msgpack::map_len(maps).map_err(|_| NO_RECORD)?;
        let (body, after) = maps.split_at(length);
        let (sec, nsec) = time.split_at(4);
        let big = |bytes: &[u8]| number(bytes).swap_bytes();
        let time = Timestamp { sec: big(sec), nsec: big(nsec) };
        builder.push(Event { time, metadata, body }).map_err(|_| NO_RECORD)?;
        rest = after;
    }
    if builder.len() != frame.count {
        return Err(End::Damaged("fewer or more records than it says"));
    }
    Ok(builder.build())
}

/// One frame, its checksum right.
struct Frame<'a> {
    kind: u8,
    count: usize,
    payload: &'a [u8],
}

/// Goes from frame to frame; after an error there is no next.
struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, End>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return None;
        }
        let Some((head, rest)) = rest.split_at_checked(FRAME) else { return Some(Err(End::Torn)) };
        let kind = head[0];
        if !matches!(kind, ORIGIN | RECORDS | SETTLED) {
            return Some(Err(End::Damaged("a frame of an unknown kind")));
        }
        let Some(payload) = rest.get(..number(&head[5..]) as usize) else {
            return Some(Err(End::Torn));
        };
        if checksum(&head[..9], payload) != number(&head[9..]) {
            return Some(Err(End::Damaged("a wrong checksum")));
        }
        self.at += FRAME + payload.len();
        Some(Ok(Frame { kind, count: number(&head[1..]) as usize, payload }))
    }
}

/// The little-endian number at the beginning of at least four bytes.
fn number(bytes: &[u8]) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[..4]);
    u32::from_le_bytes(four)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag() -> Tag {
        Tag::new("app.log").unwrap()
    }

    fn batch(times: &[u32]) -> Chunk {
        let mut builder = ChunkBuilder::new(tag());
        for sec in times {
            let time = Timestamp { sec: *sec, nsec: 7 };
            let body = &[0x81, 0xa1, b'k', 0xa1, b'v'];
            builder.push(Event { time, metadata: Event::NO_METADATA, body }).unwrap();
        }
        builder.build()
    }

    fn file(batches: &[&[u32]]) -> Vec<u8> {
        let mut file = origin("tail.0", &tag());
        for times in batches {
            let batch = batch(times);
            file.extend_from_slice(&records(&batch).unwrap());
            file.extend_from_slice(batch.bytes());
        }
        file
    }

    fn times(contents: &Contents) -> Vec<u32> {
        contents.chunk.records().map(|event| event.time.sec).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let mut file = file(&[&[1, 2], &[3]]);
        file.extend(settled("forward.0"));
        let contents = read(&file).unwrap();
        assert_eq!((contents.input.as_str(), contents.chunk.tag()), ("tail.0", &tag()));
        assert_eq!(times(&contents), [1, 2, 3]);
        assert_eq!(contents.chunk.bytes(), [batch(&[1, 2]).bytes(), batch(&[3]).bytes()].concat());
        assert_eq!(contents.settled, ["forward.0"]);
        assert_eq!((contents.good, contents.end), (file.len(), End::Whole));
    }

    #[test]
    fn a_torn_end_costs_the_batch_that_was_being_written() {
        let (short, long) = (file(&[&[1, 2]]), file(&[&[1, 2], &[3]]));
        for length in short.len() + 1..long.len() {
            let contents = read(&long[..length]).unwrap();
            assert_eq!(times(&contents), [1, 2]);
            assert_eq!((contents.good, contents.end), (short.len(), End::Torn));
        }
        for length in 0..short.len() {
            match read(&short[..length]) {
                Err(error) => assert_eq!(error, NotAChunk::Unfinished),
                Ok(contents) => assert!(contents.chunk.is_empty() && contents.end == End::Whole),
            }
        }
    }

    #[test]
    fn damage_costs_what_stands_behind_it() {
        let (short, mut long) = (file(&[&[1, 2]]), file(&[&[1, 2], &[3], &[4]]));
        for at in short.len()..long.len() - 40 {
            long[at] ^= 0x10;
            let contents = read(&long).unwrap();
            assert_eq!(times(&contents), [1, 2], "byte {at}");
            assert_eq!(contents.good, short.len());
            assert_ne!(contents.end, End::Whole);
            long[at] ^= 0x10;
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(read(&[0xc1, 0, 5]).unwrap_err(), NotAChunk::FluentBit);
        assert_eq!(read(b"plain text").unwrap_err(), NotAChunk::Magic);
        assert_eq!(read(b"FLBCHUNK\x02\0\0\0").unwrap_err(), NotAChunk::Version(2));
        assert_eq!(read(b"").unwrap_err(), NotAChunk::Unfinished);
        let mut file = file(&[&[1]]);
        file[HEAD + FRAME] ^= 1;
        assert!(matches!(read(&file), Err(NotAChunk::Origin("a wrong checksum"))));
    }
}
