//! How a body may be compressed, and what is in it. Pure: bytes that nobody has checked in, a bounded number of bytes out.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// The most that a frame of zstd may look back on: what every decoder is asked to hold.
const WINDOW: u64 = 8 * 1024 * 1024;

/// What was done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Nothing.
    Identity,
    Gzip,
    Zstd,
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
                let decoder = StreamingDecoder::new_with_max_window_size(&*body, WINDOW);
                let decoder = decoder.map_err(|error| damaged("zstd", error))?;
                read("zstd", decoder, limit)
            }
        }
    }
}

fn read(name: &'static str, from: impl Read, limit: usize) -> Result<Vec<u8>, PackedError> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = from.take(most).read_to_end(&mut out);
    if out.len() > limit {
        return Err(PackedError::Bomb(limit));
    }
    read.map_err(|error| damaged(name, error))?;
    Ok(out)
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
    fn damaged_data_is_told() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let error = encoding.unpack(b"nonsense".to_vec(), 100).unwrap_err();
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
