//! Which parts of the guest's memory `malloc` has given away.
//!
//! The books are kept in the host's memory, where no guest can reach them, and take about a hundredth of what they are
//! about. Memory is dealt out in units of 4 KiB: one unit serves blocks of one size, as long as they are small, and a large
//! block takes several units. To free what was never given, or is free already, changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Bytes in a unit.
const UNIT: u32 = 4096;
/// The sizes of small blocks, all multiples of 16, to which every block is aligned.
const SIZES: [u32; 14] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1360, 2048];

/// What `malloc` has, and has given away.
#[derive(Debug, Default)]
pub(super) struct Heap {
    /// What each unit of the memory is used for, from the first that the heap ever had.
    units: Vec<Unit>,
    /// The number of the first of them.
    first: u32,
    /// Runs of free units: where they begin, and how many they are.
    free: BTreeMap<u32, u32>,
    /// For each of the sizes, the units that have room for one more.
    open: [BTreeSet<u32>; SIZES.len()],
}

/// What a unit is used for.
#[derive(Debug, Clone, Default)]
enum Unit {
    /// Free, a later part of a large block, or not the heap's.
    #[default]
    Other,
    /// The first of so many units of a large block.
    Large {
        units: u32,
    },
    Small(Small),
}

/// A unit of small blocks.
#[derive(Debug, Clone)]
struct Small {
    /// Its place in [`SIZES`].
    size: u8,
    taken: u16,
    /// A bit for each block.
    used: [u64; 4],
}

impl Small {
    fn blocks(&self) -> u16 {
        (UNIT / SIZES[usize::from(self.size)]) as u16
    }

    fn is_full(&self) -> bool {
        self.taken == self.blocks()
    }

    /// Takes the first free block; there is one.
    fn take(&mut self) -> u32 {
        let word = self.used.iter().position(|word| *word != u64::MAX).unwrap_or(0);
        let bit = self.used[word].trailing_ones();
        self.used[word] |= 1 << bit;
        self.taken += 1;
        word as u32 * 64 + bit
    }

    /// The number of the block that begins so many bytes behind the unit's beginning, if it is in use.
    fn used_at(&self, offset: u32) -> Option<u32> {
        let size = SIZES[usize::from(self.size)];
        let block = offset / size;
        let is_used = self.used.get(block as usize / 64)? >> (block % 64) & 1 == 1;
        (offset.is_multiple_of(size) && is_used).then_some(block)
    }

    fn give_back(&mut self, block: u32) {
        self.used[block as usize / 64] &= !(1 << (block % 64));
        self.taken -= 1;
    }
}

impl Heap {
    /// Whether it never had any memory.
    pub(super) fn is_new(&self) -> bool {
        self.units.is_empty()
    }

    /// Takes a part of the memory over, behind all that it has.
    pub(super) fn add(&mut self, bytes: Range<u64>) {
        // The address 0 is nobody's: C reads it as none.
        let start = bytes.start.max(1).div_ceil(UNIT.into()) as u32;
        let end = (bytes.end / u64::from(UNIT)) as u32;
        if start >= end {
            return;
        }
        if self.units.is_empty() {
            self.first = start;
        }
        self.units.resize_with((end - self.first) as usize, Unit::default);
        self.give_units(start, end - start);
    }

    /// How many bytes it takes to be sure of a block of this size.
    pub(super) fn needs(size: u32) -> u64 {
        u64::from(units_for(size)) * u64::from(UNIT)
    }

    /// A block of at least this size; `None`: it needs more memory.
    pub(super) fn allocate(&mut self, size: u32) -> Option<u32> {
        match SIZES.iter().position(|known| size <= *known) {
            Some(index) => self.allocate_small(index),
            None => {
                let units = units_for(size);
                let unit = self.take_units(units)?;
                *self.unit(unit)? = Unit::Large { units };
                Some(unit * UNIT)
            }
        }
    }

    fn allocate_small(&mut self, index: usize) -> Option<u32> {
        let unit = match self.open[index].first() {
            Some(unit) => *unit,
            None => {
                let unit = self.take_units(1)?;
                *self.unit(unit)? =
                    Unit::Small(Small { size: index as u8, taken: 0, used: [0; 4] });
                self.open[index].insert(unit);
                unit
            }
        };
        let Unit::Small(small) = self.unit(unit)? else { return None };
        let block = small.take();
        if small.is_full() {
            self.open[index].remove(&unit);
        }
        Some(unit * UNIT + block * SIZES[index])
    }

    /// How many bytes the block at an address has; `None`: there is none.
    pub(super) fn size(&mut self, at: u32) -> Option<u32> {
        let offset = at % UNIT;
        match self.unit(at / UNIT)? {
            Unit::Other => None,
            Unit::Large { units } => (offset == 0).then_some(*units * UNIT),
            Unit::Small(small) => small.used_at(offset).map(|_| SIZES[usize::from(small.size)]),
        }
    }

    /// Whether a block of `has` bytes is what somebody gets who asks for `size`.
    pub(super) fn fits(has: u32, size: u32) -> bool {
        let given = SIZES.iter().copied().find(|known| size <= *known);
        given.map_or_else(|| Self::needs(size), u64::from) == u64::from(has)
    }

    /// Takes a block back, if there is one at the address.
    pub(super) fn free(&mut self, at: u32) {
        let (unit, offset) = (at / UNIT, at % UNIT);
        match self.unit(unit) {
            Some(Unit::Large { units }) if offset == 0 => {
                let units = *units;
                self.close(unit, units);
            }
            Some(Unit::Small(small)) => {
                let Some(block) = small.used_at(offset) else { return };
                small.give_back(block);
                let (index, taken) = (usize::from(small.size), small.taken);
                if taken == 0 {
                    self.open[index].remove(&unit);
                    self.close(unit, 1);
                } else {
                    self.open[index].insert(unit);
                }
            }
            _ => {}
        }
    }

    /// Ends the use of a run of units.
    fn close(&mut self, unit: u32, units: u32) {
        if let Some(used) = self.unit(unit) {
            *used = Unit::Other;
        }
        self.give_units(unit, units);
    }

    fn unit(&mut self, unit: u32) -> Option<&mut Unit> {
        self.units.get_mut(unit.checked_sub(self.first)? as usize)
    }

    /// Takes a run of units out of the first run of free ones that is as long.
    fn take_units(&mut self, units: u32) -> Option<u32> {
        let (start, length) = self.free.iter().find(|(_, length)| **length >= units)?;
        let (start, length) = (*start, *length);
        self.free.remove(&start);
        if length > units {
            self.free.insert(start + units, length - units);
        }
        Some(start)
    }

    /// Puts a run of units to the free ones, and joins it with its neighbours.
    fn give_units(&mut self, start: u32, units: u32) {
        let before = self.free.range(..start).next_back().map(|(start, length)| (*start, *length));
        let (start, units) = match before {
            Some((before, length)) if before + length == start => (before, length + units),
            _ => (start, units),
        };
        let behind = self.free.remove(&(start + units)).unwrap_or(0);
        self.free.insert(start, units + behind);
    }
}

fn units_for(size: u32) -> u32 {
    size.div_ceil(UNIT).max(1)
}

#[cfg(test)]
mod tests {
    use flb_artifact::contract::PAGE;

    use super::*;

    fn heap(pages: u64) -> Heap {
        let mut heap = Heap::default();
        heap.add(PAGE..PAGE + pages * PAGE);
        heap
    }

    #[test]
    fn blocks_are_aligned_apart_and_as_large_as_asked_for() {
        // A small generator is random enough, and the same every time.
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut heap = heap(16);
        let mut blocks = BTreeMap::<u32, u32>::new();
        for _ in 0..20_000 {
            if random() % 3 > 0 {
                let size = random() % [20, 300, 3000, 40_000][(random() % 4) as usize];
                let Some(at) = heap.allocate(size) else { continue };
                assert_eq!(at % 16, 0);
                assert!(u64::from(at) >= PAGE && u64::from(at + size) <= 17 * PAGE);
                assert!(heap.size(at).is_some_and(|has| has >= size && Heap::fits(has, size)));
                let before = blocks.range(..=at).next_back();
                assert!(before.is_none_or(|(start, length)| start + length.max(&1) <= at));
                let behind = blocks.range(at..).next();
                assert!(behind.is_none_or(|(start, _)| at + size <= *start));
                blocks.insert(at, size);
            } else if let Some(at) =
                blocks.keys().nth(random() as usize % blocks.len().max(1)).copied()
            {
                heap.free(at);
                heap.free(at);
                assert_eq!(heap.size(at), None);
                blocks.remove(&at);
            }
        }
        for at in blocks.keys() {
            heap.free(*at);
        }
        assert_eq!(heap.free, BTreeMap::from([(16, 256)]));
        assert!(heap.open.iter().all(BTreeSet::is_empty));
    }

    #[test]
    fn what_was_never_given_cannot_be_freed() {
        let mut heap = heap(1);
        let small = heap.allocate(100).unwrap();
        let large = heap.allocate(10_000).unwrap();
        let wrong =
            [0, 1, small + 1, small + 16, small + 128, large + 16, large + UNIT, 5 << 20, u32::MAX];
        for at in wrong {
            heap.free(at);
            assert_eq!(heap.size(at), None, "{at}");
        }
        assert_eq!((heap.size(small), heap.size(large)), (Some(128), Some(3 * UNIT)));
    }

    #[test]
    fn a_full_heap_takes_more_memory_wherever_it_lies() {
        let mut heap = heap(1);
        assert!(heap.allocate(PAGE as u32).is_some());
        assert_eq!(heap.allocate(1), None);
        assert_eq!(heap.allocate(u32::MAX), None);
        heap.add(3 * PAGE..4 * PAGE);
        assert_eq!(heap.allocate(1), Some(3 * PAGE as u32));
        heap.free(2 * PAGE as u32);
    }

    #[test]
    fn room_that_is_odd_is_rounded_to_whole_units_and_spares_address_0() {
        let mut heap = Heap::default();
        heap.add(5000..5001);
        assert!(heap.is_new());
        heap.add(0..PAGE);
        assert_eq!(heap.allocate(1), Some(UNIT));
    }
}
