//! How what is sent is compressed.

use std::io::Write as _;

use flate2::write::GzEncoder;
use flb_plugin::keys::Word;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// A compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// What is sent stays as it is.
    Nothing,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// Snappy's block, without frames.
    Snappy,
}

impl Word for Packing {
    const ALL: &'static [(&'static str, Self)] = &[
        ("gzip", Self::Gzip),
        ("zstd", Self::Zstd),
        ("snappy", Self::Snappy),
        ("none", Self::Nothing),
    ];
}

impl Packing {
    /// What the header `Content-Encoding` says of it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            Self::Snappy => Some("snappy"),
        }
    }

    /// Compresses. Takes its time, so it is best called on a thread for such work.
    pub fn pack(self, data: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => data,
            Self::Gzip => gzip(&data),
            Self::Zstd => compress_to_vec(&*data, CompressionLevel::Fastest),
            Self::Snappy => {
                // A chunk holds at most 4 GiB, which is as far as snappy counts.
                snap::raw::Encoder::new().compress_vec(&data).expect("snappy takes 4 GiB")
            }
        }
    }
}

/// Compresses as gzip does.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("writing to memory works")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::unzstd::unzstd;

    #[test]
    fn what_is_packed_is_smaller_and_comes_out_as_it_was() {
        let data = b"the same again, ".repeat(1000);
        for (packing, word) in Packing::ALL.iter().map(|(word, packing)| (*packing, *word)).take(3)
        {
            let packed = packing.pack(data.clone());
            assert!(packed.len() < data.len() / 2, "{word}: {}", packed.len());
            let mut unpacked = Vec::new();
            match packing {
                Packing::Gzip => {
                    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
                }
                Packing::Zstd => {
                    unzstd(&packed, usize::MAX, &mut unpacked).unwrap();
                }
                _ => unpacked = snap::raw::Decoder::new().decompress_vec(&packed).unwrap(),
            }
            assert_eq!((packing.name(), unpacked == data), (Some(word), true));
        }
        assert_eq!(
            (Packing::Nothing.name(), Packing::Nothing.pack(data.clone()) == data),
            (None, true)
        );
    }
}
