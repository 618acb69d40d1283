//! How what is sent is compressed, and how zstd is read.

use std::io::{self, Read as _, Write as _};

use flate2::write::GzEncoder;
use flb_plugin::keys::Word;
use ruzstd::decoding::StreamingDecoder;
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

/// The most that a frame of zstd may look back on: what every decoder is asked to hold.
const WINDOW: u64 = 8 * 1024 * 1024;

/// Appends what a sender has compressed by zstd, one frame or several, until there are so many bytes. The sender cannot make it hold more
/// memory than decoders are asked for.
pub fn unzstd(mut packed: &[u8], most: usize, out: &mut Vec<u8>) -> io::Result<()> {
    while !packed.is_empty() && out.len() < most {
        let frame = StreamingDecoder::new_with_max_window_size(&mut packed, WINDOW);
        let frame =
            frame.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        frame.take((most - out.len()) as u64).read_to_end(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
