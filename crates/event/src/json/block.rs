//! Sixteen bytes of text looked at at once: where strings end, and what in them must be escaped.
//!
//! On x86_64 this is one comparison for all sixteen; elsewhere two words of eight bytes, which is also what tests hold the
//! other one against.
//!
//! One of the project's homes of `unsafe`: functions that need a CPU's feature may be called only where it is there. SSE2 is part
//! of x86_64, so it always is. They compute with numbers and follow no pointers.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calling what needs a CPU's feature is; see the module's words")
)]

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// Where the first quote or backslash is; `BLOCK` if there is none.
#[inline(always)]
pub(super) fn quote_or_backslash(block: &[u8; BLOCK]) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 has SSE2.
    return unsafe { sse2::quote_or_backslash(block) };
    #[cfg(not(target_arch = "x86_64"))]
    return swar::quote_or_backslash(block);
}

/// Where the first byte is that must be escaped in a string of UTF-8; `BLOCK` if there is none.
#[inline(always)]
pub(super) fn special(block: &[u8; BLOCK]) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 has SSE2.
    return unsafe { sse2::special(block) };
    #[cfg(not(target_arch = "x86_64"))]
    return swar::special(block);
}

/// As [`special`], or where the first byte beyond ASCII is.
#[inline(always)]
pub(super) fn special_or_not_ascii(block: &[u8; BLOCK]) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 has SSE2.
    return unsafe { sse2::special_or_not_ascii(block) };
    #[cfg(not(target_arch = "x86_64"))]
    return swar::special_or_not_ascii(block);
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8,
    };

    use super::BLOCK;

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn quote_or_backslash(block: &[u8; BLOCK]) -> usize {
        first(quotes(load(block)))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn special(block: &[u8; BLOCK]) -> usize {
        let block = load(block);
        let control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
        first(_mm_or_si128(_mm_or_si128(control, equal(block, 0x7f)), quotes(block)))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn special_or_not_ascii(block: &[u8; BLOCK]) -> usize {
        let block = load(block);
        // As signed numbers, bytes beyond ASCII are below 0.
        let outside = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
        first(_mm_or_si128(_mm_or_si128(outside, equal(block, 0x7f)), quotes(block)))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn load(block: &[u8; BLOCK]) -> __m128i {
        let number = u128::from_le_bytes(*block);
        _mm_set_epi64x((number >> 64) as i64, number as i64)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn quotes(block: __m128i) -> __m128i {
        _mm_or_si128(equal(block, b'"'), equal(block, b'\\'))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn equal(block: __m128i, byte: u8) -> __m128i {
        _mm_cmpeq_epi8(block, _mm_set1_epi8(byte.cast_signed()))
    }

    /// The first byte that is marked.
    #[target_feature(enable = "sse2")]
    #[inline]
    fn first(marks: __m128i) -> usize {
        (_mm_movemask_epi8(marks) | 1 << BLOCK).trailing_zeros() as usize
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod swar {
    use super::BLOCK;

    /// A 1 in each byte.
    const ONES: u64 = 0x0101_0101_0101_0101;
    /// The top bit of each byte.
    const TOPS: u64 = 0x80 * ONES;

    pub(super) fn quote_or_backslash(block: &[u8; BLOCK]) -> usize {
        first(block, quotes)
    }

    pub(super) fn special(block: &[u8; BLOCK]) -> usize {
        first(block, specials)
    }

    pub(super) fn special_or_not_ascii(block: &[u8; BLOCK]) -> usize {
        first(block, |word| specials(word) | word & TOPS)
    }

    fn specials(word: u64) -> u64 {
        below(0x20, word) | equal(0x7f, word) | quotes(word)
    }

    fn quotes(word: u64) -> u64 {
        equal(b'"', word) | equal(b'\\', word)
    }

    fn equal(byte: u8, word: u64) -> u64 {
        below(1, word ^ (ONES * u64::from(byte)))
    }

    /// The top bit of each byte of `word` that is below `limit`, which is at most 0x80. Right up to the lowest such byte;
    /// carries may mark others above.
    fn below(limit: u8, word: u64) -> u64 {
        word.wrapping_sub(ONES * u64::from(limit)) & !word & TOPS
    }

    /// The first byte that `marks` marks in its word.
    fn first(block: &[u8; BLOCK], marks: impl Fn(u64) -> u64) -> usize {
        let (words, _) = block.as_chunks();
        let first =
            |word: usize| marks(u64::from_le_bytes(words[word])).trailing_zeros() as usize / 8;
        match first(0) {
            8 => 8 + first(1),
            first => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Look = fn(&[u8; BLOCK]) -> usize;
    /// Two ways to answer a question, and what it asks of a byte.
    type Question = (Look, Look, fn(u8) -> bool);

    const QUESTIONS: [Question; 3] = [
        (quote_or_backslash, swar::quote_or_backslash, |byte| matches!(byte, b'"' | b'\\')),
        (special, swar::special, |byte| matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f)),
        (
            special_or_not_ascii,
            swar::special_or_not_ascii,
            |byte| matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f..),
        ),
    ];

    fn check(block: &[u8; BLOCK]) {
        for (look, twin, wanted) in QUESTIONS {
            let place = block.iter().position(|byte| wanted(*byte)).unwrap_or(BLOCK);
            assert_eq!((look(block), twin(block)), (place, place), "{block:02x?}");
        }
    }

    #[test]
    fn every_byte_is_found_in_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                check(&block);
            }
        }
    }

    proptest! {
        #[test]
        fn both_ways_find_the_same(block: [u8; BLOCK]) {
            check(&block);
        }

        #[test]
        fn both_ways_find_the_same_among_neighbours(block in prop::array::uniform16(0x1e..0x24_u8)) {
            check(&block);
        }
    }
}
