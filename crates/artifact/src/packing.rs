//! Compression of what an artifact stores.

use std::borrow::Cow;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::Encoding;
use crate::layout::MAX_UNPACKED;

/// The smaller of the two encodings, raw when compression gains nothing or when nobody would unpack the bytes again. The same
/// bytes give the same result.
pub(crate) fn pack(bytes: &[u8]) -> (Encoding, Cow<'_, [u8]>) {
    pack_below(MAX_UNPACKED, bytes)
}

fn pack_below(limit: u64, bytes: &[u8]) -> (Encoding, Cow<'_, [u8]>) {
    if bytes.len() as u64 > limit {
        return (Encoding::Raw, bytes.into());
    }
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    // Writing to a Vec cannot fail; if it did, raw is right as well.
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(packed) if packed.len() < bytes.len() => (Encoding::Deflate, packed.into()),
        _ => (Encoding::Raw, bytes.into()),
    }
}

/// Undoes [`pack`]. `None` when the bytes do not unpack to just `size`; never makes more than that.
pub(crate) fn unpack(encoding: Encoding, stored: &[u8], size: u64) -> Option<Cow<'_, [u8]>> {
    match encoding {
        Encoding::Raw => (stored.len() as u64 == size).then_some(stored.into()),
        Encoding::Deflate if size <= MAX_UNPACKED => {
            let mut unpacked = Vec::new();
            DeflateDecoder::new(stored).take(size + 1).read_to_end(&mut unpacked).ok()?;
            (unpacked.len() as u64 == size).then_some(unpacked.into())
        }
        Encoding::Deflate => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_to_the_same_bytes() {
        for bytes in [&b""[..], b"a", &[7; 10_000], b"\x00\x01\x02\x03"] {
            let (encoding, stored) = pack(bytes);
            assert!(stored.len() <= bytes.len());
            assert_eq!(unpack(encoding, &stored, bytes.len() as u64).unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_too_large_to_be_unpacked_is_not_packed() {
        assert_eq!(pack_below(100, &[0; 100]).0, Encoding::Deflate);
        assert_eq!(pack_below(100, &[0; 101]), (Encoding::Raw, Cow::from(&[0; 101][..])));
    }

    #[test]
    fn a_wrong_size_is_refused_and_a_bomb_is_not_unpacked() {
        let (encoding, stored) = pack(&[0; 100_000]);
        for size in [0, 99_999, 100_001, u64::MAX] {
            assert_eq!(unpack(encoding, &stored, size), None);
        }
    }
}
