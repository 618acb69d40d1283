//! Reads zstd that nobody has checked. Pure: bytes in, a bounded number of bytes out.

use std::io::{self, Read as _};

use ruzstd::decoding::StreamingDecoder;

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
