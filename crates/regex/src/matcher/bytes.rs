//! Sets of bytes, and the search for the first or the last byte of one.

use std::ops::{Range, RangeInclusive};

/// A set of bytes: whether each is a member.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ByteSet([bool; 256]);

impl ByteSet {
    pub(super) const NONE: Self = Self([false; 256]);
    pub(super) const ALL: Self = Self([true; 256]);

    pub(super) fn of(bytes: RangeInclusive<u8>) -> Self {
        let mut set = Self::NONE;
        set.insert(bytes);
        set
    }

    #[inline]
    pub(super) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    pub(super) fn insert(&mut self, bytes: RangeInclusive<u8>) {
        bytes.for_each(|byte| self.0[usize::from(byte)] = true);
    }

    pub(super) fn remove(&mut self, bytes: RangeInclusive<u8>) {
        bytes.for_each(|byte| self.0[usize::from(byte)] = false);
    }

    /// Adds what another has.
    pub(super) fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(is_member, too)| *is_member |= too);
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.members().any(|byte| other.has(byte))
    }

    /// All bytes that are no members.
    pub(super) fn complement(&self) -> Self {
        Self(self.0.map(|is_member| !is_member))
    }

    fn members(&self) -> impl Iterator<Item = u8> {
        (0..=255).filter(|byte| self.has(*byte))
    }
}

impl std::fmt::Debug for ByteSet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members: Vec<u8> = self.members().collect();
        write!(out, "[{}]", members.escape_ascii())
    }
}

/// How the bytes of a set are found fastest.
#[derive(Debug, Clone)]
pub(super) enum Finder {
    Never,
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
    Many(Box<ByteSet>),
}

impl Finder {
    pub(super) fn new(set: &ByteSet) -> Self {
        match *set.members().take(4).collect::<Vec<u8>>() {
            [] => Self::Never,
            [a] => Self::One(a),
            [a, b] => Self::Two(a, b),
            [a, b, c] => Self::Three(a, b, c),
            _ => Self::Many(Box::new(set.clone())),
        }
    }

    /// Where the first byte of the set stands from `from` on; the text's end if there is none.
    #[inline]
    pub(super) fn first(&self, text: &[u8], from: usize) -> usize {
        let rest = &text[from..];
        let found = match self {
            Self::Never => None,
            Self::One(a) => near([*a], rest, |far| memchr::memchr(*a, far)),
            Self::Two(a, b) => near([*a, *b], rest, |far| memchr::memchr2(*a, *b, far)),
            Self::Three(a, b, c) => {
                near([*a, *b, *c], rest, |far| memchr::memchr3(*a, *b, *c, far))
            }
            Self::Many(set) => rest.iter().position(|byte| set.has(*byte)),
        };
        found.map_or(text.len(), |found| from + found)
    }

    /// Where the last byte of the set stands in a part of the text.
    #[inline]
    pub(super) fn last(&self, text: &[u8], part: Range<usize>) -> Option<usize> {
        let from = part.start;
        let part = &text[part];
        let found = match self {
            Self::Never => None,
            Self::One(a) => memchr::memrchr(*a, part),
            Self::Two(a, b) => memchr::memrchr2(*a, *b, part),
            Self::Three(a, b, c) => memchr::memrchr3(*a, *b, *c, part),
            Self::Many(set) => part.iter().rposition(|byte| set.has(*byte)),
        };
        found.map(|found| from + found)
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const WORDS_NEARBY: usize = 2;

/// Looks at sixteen bytes itself and leaves the rest to `far`: most fields are short, and a call costs as much as they do.
#[inline]
fn near<const N: usize>(
    wanted: [u8; N],
    text: &[u8],
    far: impl FnOnce(&[u8]) -> Option<usize>,
) -> Option<usize> {
    let (words, _) = text.as_chunks::<8>();
    let words = &words[..words.len().min(WORDS_NEARBY)];
    for (index, word) in words.iter().enumerate() {
        if let Some(found) = in_word(wanted, u64::from_le_bytes(*word)) {
            return Some(index * 8 + found);
        }
    }
    let rest = &text[words.len() * 8..];
    let found = if words.len() == WORDS_NEARBY {
        far(rest)
    } else {
        rest.iter().position(|byte| wanted.contains(byte))
    };
    found.map(|found| words.len() * 8 + found)
}

/// The first of eight bytes that is wanted. Subtracting borrows from a zero byte only upwards, so the lowest mark is right.
#[inline]
fn in_word<const N: usize>(wanted: [u8; N], word: u64) -> Option<usize> {
    let mut marks = 0;
    for byte in wanted {
        let zero_where_equal = word ^ (ONES * u64::from(byte));
        marks |= zero_where_equal.wrapping_sub(ONES) & !zero_where_equal;
    }
    marks &= HIGH_BITS;
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(bytes: &[u8]) -> ByteSet {
        let mut set = ByteSet::NONE;
        bytes.iter().for_each(|byte| set.insert(*byte..=*byte));
        set
    }

    #[test]
    fn the_first_and_the_last_are_found_in_texts_of_any_length() {
        let sets: [&[u8]; 6] = [b"", b"a", b"ab", b"\x00\x80\xff", b"abcd", b"\x01b"];
        let fillings = [b'x', 0x00, 0x01, 0x7f, 0x80, 0xff, b'`', b'c'];
        for wanted in sets {
            let finder = Finder::new(&set(wanted));
            for length in 0..40 {
                for (filling, place) in
                    fillings.iter().flat_map(|f| (0..=length).map(move |p| (*f, p)))
                {
                    let mut text = vec![filling; length];
                    if let (Some(byte), Some(at)) = (wanted.last(), text.get_mut(place)) {
                        *at = *byte;
                    }
                    for from in [0, length / 2, length] {
                        let is_wanted = |byte: &u8| wanted.contains(byte);
                        let first = text[from..].iter().position(is_wanted);
                        assert_eq!(finder.first(&text, from), first.map_or(length, |at| from + at));
                        let last = text[from..].iter().rposition(is_wanted);
                        assert_eq!(finder.last(&text, from..length), last.map(|at| from + at));
                    }
                }
            }
        }
    }

    #[test]
    fn sets_are_joined_met_and_turned_around() {
        let mut letters = ByteSet::of(b'a'..=b'c');
        assert!(letters.meets(&set(b"cx")) && !letters.meets(&set(b"d")));
        assert!(!letters.meets(&letters.complement()));
        letters.join(&set(b"z"));
        letters.remove(b'b'..=b'c');
        assert_eq!(letters, set(b"az"));
        assert_eq!(format!("{letters:?}"), "[az]");
    }
}
