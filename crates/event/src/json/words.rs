//! Eight bytes looked at as one number.

/// A 1 in each byte.
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
/// The top bit of each byte.
pub(super) const TOPS: u64 = 0x80 * ONES;

/// The top bit of each byte of `word` that is below `limit`, which is at most 0x80. Right up to the lowest such byte;
/// carries may mark others above.
#[inline]
pub(super) fn bytes_below(limit: u8, word: u64) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & TOPS
}

/// As [`bytes_below`] for the bytes that are 0.
#[inline]
pub(super) fn zero_bytes(word: u64) -> u64 {
    bytes_below(1, word)
}
