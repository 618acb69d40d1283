//! What must hold of a chunk's file, whatever its bytes are.

use flb_pipeline::storage_format::{End, read};

/// Any bytes are refused, or good up to a place: what stands before it reads the same alone.
pub(crate) fn check_chunk_file(bytes: &[u8]) {
    let Ok(contents) = read(bytes) else { return };
    assert!(contents.good <= bytes.len());
    assert_eq!(contents.end == End::Whole, contents.good == bytes.len());
    let again = read(&bytes[..contents.good]).expect("the good part is good");
    assert_eq!(again.end, End::Whole);
    assert_eq!((&again.input, &again.settled), (&contents.input, &contents.settled));
    assert_eq!(again.chunk.tag(), contents.chunk.tag());
    assert!(again.chunk.records().eq(contents.chunk.records()));
    assert_eq!(again.chunk.bytes(), contents.chunk.bytes());
}
