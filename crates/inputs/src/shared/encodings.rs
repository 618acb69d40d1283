//! How a body may be compressed, and what is in it. Pure: bytes that nobody has checked in, a bounded number of bytes out.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use flb_net::unzstd::unzstd;

/// What snappy's framed format begins with.
const FRAMES: &[u8] = b"\xff\x06\0\0sNaPpY";

/// What was done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Nothing.
    Identity,
    Gzip,
    Zstd,
    /// A block, or frames of them.
    Snappy,
}

/// Why a body cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PackedError {
    /// The data is damaged.
    #[error("damaged {0} data: {1}")]
    Damaged(&'static str, String),
    /// Decompressed, it is above the limit.
    #[error("decompressed, the body is longer than {0} bytes")]
    Bomb(usize),
}

impl Encoding {
    /// The one that a header names.
    pub(crate) fn named(header: &str) -> Option<Self> {
        match header.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "snappy" | "x-snappy-framed" => Some(Self::Snappy),
            "identity" | "" => Some(Self::Identity),
            _ => None,
        }
    }

    /// Decompresses a body to at most `limit` bytes.
    pub(crate) fn unpack(self, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, PackedError> {
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => read("gzip", MultiGzDecoder::new(&*body), limit),
            Self::Zstd => {
                let mut out = Vec::new();
                let read = unzstd(&body, limit.saturating_add(1), &mut out);
                within("zstd", read, out, limit)
            }
            Self::Snappy if body.starts_with(FRAMES) => {
                read("snappy", snap::read::FrameDecoder::new(&*body), limit)
            }
            Self::Snappy => block(&body, limit),
        }
    }
}

fn read(name: &'static str, from: impl Read, limit: usize) -> Result<Vec<u8>, PackedError> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = from.take(most).read_to_end(&mut out);
    within(name, read.map(drop), out, limit)
}

fn within(
    name: &'static str,
    read: std::io::Result<()>,
    out: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, PackedError> {
    if out.len() > limit {
        return Err(PackedError::Bomb(limit));
    }
    read.map_err(|error| damaged(name, error))?;
    Ok(out)
}

/// A block says how long it will be, and is no longer.
fn block(body: &[u8], limit: usize) -> Result<Vec<u8>, PackedError> {
    let length = snap::raw::decompress_len(body).map_err(|error| damaged("snappy", error))?;
    if length > limit {
        return Err(PackedError::Bomb(limit));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|error| damaged("snappy", error))
}

fn damaged(name: &'static str, error: impl ToString) -> PackedError {
    PackedError::Damaged(name, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of ten thousand blanks, from the reference encoder.
    const ZSTD: &[u8] = include_bytes!("../../tests/data/blanks.zst");

    #[test]
    fn a_body_is_unpacked_up_to_the_limit() {
        assert_eq!(Encoding::Zstd.unpack(ZSTD.to_vec(), 10_000).unwrap(), [b' '; 10_000]);
        assert_eq!(Encoding::Zstd.unpack(ZSTD.to_vec(), 9_999), Err(PackedError::Bomb(9_999)));
        assert_eq!(Encoding::Identity.unpack(vec![1, 2], 1).unwrap(), [1, 2]);
    }

    #[test]
    fn snappy_is_a_block_or_frames_of_them() {
        let blanks = [b' '; 10_000];
        let mut frames = snap::write::FrameEncoder::new(Vec::new());
        std::io::Write::write_all(&mut frames, &blanks).unwrap();
        let frames = frames.into_inner().unwrap();
        for packed in [snap::raw::Encoder::new().compress_vec(&blanks).unwrap(), frames] {
            assert_eq!(Encoding::Snappy.unpack(packed.clone(), 10_000).unwrap(), blanks);
            let bomb = Encoding::Snappy.unpack(packed.clone(), 9_999);
            assert_eq!(bomb, Err(PackedError::Bomb(9_999)));
            let cut = Encoding::Snappy.unpack(packed[..packed.len() - 6].to_vec(), 20_000);
            assert!(matches!(cut, Err(PackedError::Damaged("snappy", _))), "{cut:?}");
        }
        // A few bytes that announce four gigabytes take none.
        let announced = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert_eq!(Encoding::Snappy.unpack(announced.to_vec(), 100), Err(PackedError::Bomb(100)));
    }

    #[test]
    fn damaged_data_is_told() {
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Snappy] {
            let error = encoding.unpack(b"nonsense".to_vec(), 1000).unwrap_err();
            assert!(error.to_string().starts_with("damaged "), "{error}");
        }
        let cut = Encoding::Zstd.unpack(ZSTD[..ZSTD.len() - 6].to_vec(), 20_000);
        assert!(matches!(cut, Err(PackedError::Damaged("zstd", _))), "{cut:?}");
    }

    #[test]
    fn a_window_that_asks_for_much_memory_is_refused() {
        // Magic number, no flags, a window of 128 MiB, and an empty last block.
        let greedy = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
        let refused = Encoding::Zstd.unpack(greedy.to_vec(), 100);
        assert!(matches!(refused, Err(PackedError::Damaged("zstd", _))), "{refused:?}");
    }
}
