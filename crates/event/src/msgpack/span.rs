//! How long a value is, every header and element of it checked: by a table of first bytes, as most values say all with theirs.

use super::MAX_DEPTH;

/// What the first byte of a value says: its length where that is all, else one of the kinds below.
static KINDS: [u8; 256] = kinds();

/// Longest value whose first byte says its length.
const PLAIN: u8 = 32;
/// A map or an array whose first byte says how many.
const MAP: u8 = 33;
const ARRAY: u8 = 34;
/// A length in 1, 2 or 4 bytes, then so many; of extensions one more.
const BYTES_8: u8 = 35;
const BYTES_16: u8 = 36;
const BYTES_32: u8 = 37;
const EXT_8: u8 = 38;
const EXT_16: u8 = 39;
const EXT_32: u8 = 40;
/// A number of elements in 2 or 4 bytes.
const ARRAY_16: u8 = 41;
const ARRAY_32: u8 = 42;
const MAP_16: u8 = 43;
const MAP_32: u8 = 44;
/// 0xc1.
const NONE: u8 = 45;

const fn kinds() -> [u8; 256] {
    let mut kinds = [1; 256];
    let mut low = 0;
    while low < 32 {
        if low < 16 {
            kinds[0x80 | low] = MAP;
            kinds[0x90 | low] = ARRAY;
        }
        kinds[0xa0 | low] = 1 + low as u8;
        low += 1;
    }
    let from_c1 = [
        NONE, 1, 1, BYTES_8, BYTES_16, BYTES_32, EXT_8, EXT_16, EXT_32, 5, 9, 2, 3, 5, 9, 2, 3, 5,
        9, 3, 4, 6, 10, 18, BYTES_8, BYTES_16, BYTES_32, ARRAY_16, ARRAY_32, MAP_16, MAP_32,
    ];
    let mut index = 0;
    while index < from_c1.len() {
        kinds[0xc1 + index] = from_c1[index];
        index += 1;
    }
    kinds
}

/// Length of the one value that `data` begins with. `None` if it is not whole or no msgpack, and for some that nest deep:
/// whoever wants to know walks.
#[inline]
pub(super) fn span(data: &[u8]) -> Option<usize> {
    let (mut at, mut pending, mut containers) = (0_usize, 1_u64, 0_usize);
    while pending > 0 {
        pending -= 1;
        let first = *data.get(at)?;
        let kind = KINDS[usize::from(first)];
        if kind <= PLAIN {
            at += usize::from(kind);
            continue;
        }
        let (own, elements) = long(data, at, first, kind)?;
        at = at.checked_add(own)?;
        if let Some(elements) = elements {
            pending += elements;
            containers += 1;
        }
    }
    // So few cannot be too deep.
    (at <= data.len() && containers <= MAX_DEPTH).then_some(at)
}

/// Where the value at `at` ends, if it is whole; see [`span`].
#[inline(always)]
pub(crate) fn end(data: &[u8], at: usize) -> Option<usize> {
    let first = *data.get(at)?;
    let kind = KINDS[usize::from(first)];
    if kind <= PLAIN {
        let end = at + usize::from(kind);
        return (end <= data.len()).then_some(end);
    }
    match long(data, at, first, kind)? {
        (own, None) => at.checked_add(own).filter(|end| *end <= data.len()),
        _ => Some(at + span(data.get(at..)?)?),
    }
}

/// Bytes of the value at `at`, without those of its elements; `None` where none begins.
#[inline]
pub(crate) fn step(data: &[u8], at: usize) -> Option<usize> {
    let first = *data.get(at)?;
    let kind = KINDS[usize::from(first)];
    if kind <= PLAIN {
        return Some(usize::from(kind));
    }
    long(data, at, first, kind).map(|(own, _)| own)
}

/// Of a value that says its length behind its first byte, or has elements: bytes without those of the elements, and how many of
/// these there are.
#[inline]
fn long(data: &[u8], at: usize, first: u8, kind: u8) -> Option<(usize, Option<u64>)> {
    let few = u64::from(first & 0x0f);
    let one = || Some(usize::from(*data.get(at + 1)?));
    let two = || Some(u16::from_be_bytes(*data.get(at + 1..)?.first_chunk()?));
    let four = || Some(u32::from_be_bytes(*data.get(at + 1..)?.first_chunk()?));
    let far = |header: usize| Some((header.checked_add(four()? as usize)?, None));
    match kind {
        MAP => Some((1, Some(2 * few))),
        ARRAY => Some((1, Some(few))),
        BYTES_8 => Some((2 + one()?, None)),
        BYTES_16 => Some((3 + usize::from(two()?), None)),
        BYTES_32 => far(5),
        EXT_8 => Some((3 + one()?, None)),
        EXT_16 => Some((4 + usize::from(two()?), None)),
        EXT_32 => far(6),
        ARRAY_16 => Some((3, Some(two()?.into()))),
        ARRAY_32 => Some((5, Some(four()?.into()))),
        MAP_16 => Some((3, Some(2 * u64::from(two()?)))),
        MAP_32 => Some((5, Some(2 * u64::from(four()?)))),
        _ => None,
    }
}
