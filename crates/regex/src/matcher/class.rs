//! What one character of a text may be.

use super::bytes::ByteSet;

/// A class of characters: single bytes, and perhaps every character beyond ASCII. A text for such a class is in UTF-8.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) bytes: ByteSet,
    pub(super) beyond_ascii: bool,
}

/// What a longer sequence of UTF-8 may begin with.
const LEADING: std::ops::RangeInclusive<u8> = 0xC2..=0xF4;
/// What it goes on with.
pub(super) const CONTINUING: std::ops::RangeInclusive<u8> = 0x80..=0xBF;

impl Class {
    pub(super) fn of_bytes(bytes: ByteSet) -> Self {
        Self { bytes, beyond_ascii: false }
    }

    /// The bytes that a character of the class may begin with.
    pub(super) fn beginnings(&self) -> ByteSet {
        let mut bytes = self.bytes.clone();
        if self.beyond_ascii {
            bytes.insert(LEADING);
        }
        bytes
    }

    /// Where the character at `at` ends, if it is one of the class.
    #[inline]
    pub(super) fn one(&self, text: &[u8], at: usize) -> Option<usize> {
        let byte = *text.get(at)?;
        if self.bytes.has(byte) {
            return Some(at + 1);
        }
        let length = if self.beyond_ascii { length(byte) } else { None };
        length.map(|length| at + length)
    }

    /// Where a run of at most `most` characters from `at` on ends, and how many they are.
    #[inline]
    pub(super) fn run(&self, text: &[u8], at: usize, most: u32) -> (usize, u32) {
        let (mut end, mut count) = (at, 0);
        while count < most
            && let Some(next) = self.one(text, end)
        {
            end = next;
            count += 1;
        }
        (end, count)
    }
}

/// How long the character beyond ASCII is that begins with a byte.
fn length(leading: u8) -> Option<usize> {
    Some(match leading {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    })
}
