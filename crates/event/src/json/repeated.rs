//! Finds the string keys that come again within one map, in time that grows with the number of keys and no faster.

use std::collections::HashMap;

/// An entry of a map that is being printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printed {
    /// Where its text begins.
    pub(super) at: usize,
    pub(super) key: Key,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A string: its fingerprint, its length and where it ends in the data.
    Str { fingerprint: u64, len: u32, end: usize },
    /// Something else, which may occur twice.
    Other,
    /// A string that came again later.
    Repeated,
}

impl Key {
    /// The key `text`, which ends at `end` in the data.
    #[inline]
    pub(super) fn of(text: &[u8], end: usize) -> Self {
        // A msgpack string is no longer.
        Self::Str { fingerprint: fingerprint(text), len: text.len() as u32, end }
    }

    /// 64 bits that differ for most different strings.
    #[inline]
    pub(super) fn fingerprint(self) -> Option<u64> {
        match self {
            Self::Str { fingerprint, .. } => Some(fingerprint),
            Self::Other | Self::Repeated => None,
        }
    }

    fn text(self, data: &[u8]) -> Option<&[u8]> {
        let Self::Str { len, end, .. } = self else { return None };
        data.get(end - len as usize..end)
    }
}

/// Up to that many entries, each key may be compared with those before it; of larger maps the fingerprints go into a table.
const PAIRWISE: usize = 32;
/// More fingerprints in a row than that are no accident: somebody chose the keys.
const LONGEST_PROBE: usize = 64;

/// A bit for each fingerprint of a map so far: in most maps no key needs a comparison.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    seen: [u64; 16],
    is_there: bool,
}

impl Suspicion {
    /// Takes one more key into account.
    #[inline(always)]
    pub(super) fn add(&mut self, key: Key) {
        let Some(fingerprint) = key.fingerprint() else { return };
        let bit = 1 << (fingerprint >> 58);
        let word = &mut self.seen[(fingerprint >> 54) as usize % 16];
        self.is_there |= *word & bit != 0;
        *word |= bit;
    }

    /// Whether any key may have come twice.
    #[inline]
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }
}

/// Reused memory.
#[derive(Debug, Default)]
pub(super) struct Repetitions {
    /// Indices of entries by their fingerprints, plus one; 0 is a free place.
    table: Vec<u32>,
}

impl Repetitions {
    /// Marks the entries of `map` whose key comes again later; returns whether there are any. Keys lie in `data`.
    #[cold]
    pub(super) fn mark(&mut self, data: &[u8], map: &mut [Printed]) -> bool {
        if map.len() > PAIRWISE {
            return self.mark_by_table(data, map).unwrap_or_else(|| mark_by_sorting(data, map));
        }
        (1..map.len()).fold(false, |found, index| mark_earlier(data, map, index) | found)
    }

    /// `None` where the fingerprints don't spread; some repetitions may be marked already then.
    fn mark_by_table(&mut self, data: &[u8], map: &mut [Printed]) -> Option<bool> {
        let places = (map.len() * 2).next_power_of_two();
        self.table.clear();
        self.table.resize(places, 0);
        let mut found = false;
        for index in 0..map.len() {
            let key = map[index].key;
            let Some(fingerprint) = key.fingerprint() else { continue };
            let mut place = place(fingerprint, places);
            let mut probes = 0;
            loop {
                place &= places - 1;
                let taken = &mut self.table[place];
                // Entries are counted in 32 bits.
                if *taken == 0 {
                    *taken = index as u32 + 1;
                    break;
                }
                let earlier = &mut map[*taken as usize - 1];
                if is_same(data, earlier.key, key) {
                    earlier.key = Key::Repeated;
                    found = true;
                    *taken = index as u32 + 1;
                    break;
                }
                probes += 1;
                if probes == LONGEST_PROBE {
                    return None;
                }
                place += 1;
            }
        }
        Some(found)
    }
}

fn mark_earlier(data: &[u8], map: &mut [Printed], index: usize) -> bool {
    let key = map[index].key;
    let same = map[..index].iter_mut().find(|earlier| is_same(data, earlier.key, key));
    let found = same.is_some();
    if let Some(earlier) = same {
        earlier.key = Key::Repeated;
    }
    found
}

fn is_same(data: &[u8], one: Key, other: Key) -> bool {
    one.fingerprint().is_some()
        && one.fingerprint() == other.fingerprint()
        && one.text(data) == other.text(data)
}

/// Exact for equal fingerprints too, however many an attacker finds.
#[cold]
fn mark_by_sorting(data: &[u8], map: &mut [Printed]) -> bool {
    let mut last = HashMap::with_capacity(map.len());
    let mut found = map.iter().any(|printed| printed.key == Key::Repeated);
    for index in 0..map.len() {
        let Some(text) = map[index].key.text(data) else { continue };
        if let Some(earlier) = last.insert(text, index) {
            map[earlier].key = Key::Repeated;
            found = true;
        }
    }
    found
}

/// Where a fingerprint has its place in a table of 2, 4, 8 .. places. Its top bits say so: what few letters change in a key, the
/// lower ones do not show.
fn place(fingerprint: u64, places: usize) -> usize {
    (fingerprint >> (u64::BITS - places.trailing_zeros())) as usize
}

/// 64 bits that differ for most different keys.
#[inline]
fn fingerprint(key: &[u8]) -> u64 {
    let (head, tail) = match key {
        [] => (0, 0),
        [only] => (u64::from(*only), 0),
        [first, .., last] if key.len() < 4 => {
            (u64::from(u16::from_le_bytes([*first, key[1]])), (*last).into())
        }
        _ => match (key.first_chunk(), key.last_chunk()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => (half(key.first_chunk()), half(key.last_chunk())),
        },
    };
    (head ^ tail.rotate_left(29) ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn half(bytes: Option<&[u8; 4]>) -> u64 {
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_that_differ_in_a_digit_have_places_of_their_own() {
        for form in
            ["key_", "k", "label", "kubernetes.labels.", "a-long-name-that-ends-in-a-number-"]
        {
            for (count, places) in [(64_usize, 256), (128, 256), (1000, 2048)] {
                let place =
                    |number| place(fingerprint(format!("{form}{number}").as_bytes()), places);
                let taken: BTreeSet<usize> = (0..count).map(place).collect();
                assert!(taken.len() * 2 > count, "{form}: {} places for {count}", taken.len());
            }
        }
    }
}
