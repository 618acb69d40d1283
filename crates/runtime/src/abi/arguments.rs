//! Where a call's arguments lie in the guest.

use std::ops::Range;

use flb_artifact::Arguments as Kind;
use flb_artifact::contract::PAGES;

use crate::guest::{Guest, missing};
use crate::machine::Function;
use crate::space::{HOST_PAGES, KEPT, PAGE};
use crate::{FilterError, LoadError};

/// Where arguments go.
pub(super) enum Place {
    /// The host's own pages.
    Pages(HostPages),
    /// The guest's allocator.
    Malloc { malloc: Function<u32, u32>, free: Function<u32, ()> },
    /// AssemblyScript's allocator: what is pinned is not collected.
    New { new: Function<(u32, u32), u32>, pin: Function<u32, u32>, unpin: Function<u32, ()> },
}

/// Where a call's arguments are, to be freed after it.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    pub(super) tag: u32,
    pub(super) tag_len: u32,
    pub(super) record: u32,
    pub(super) record_len: u32,
}

impl Placed {
    /// Whether an address lies in one of the arguments, the NUL behind it included.
    pub(super) fn has(self, address: u32) -> bool {
        let within = |at: u32, len: u32| address.checked_sub(at).is_some_and(|from| from <= len);
        within(self.tag, self.tag_len) || within(self.record, self.record_len)
    }

    /// Where the argument ends that this address lies in, the NUL behind it included.
    pub(super) fn end_of(self, address: usize) -> Option<usize> {
        let parts = [(self.tag, self.tag_len), (self.record, self.record_len)];
        let mut ranges =
            parts.into_iter().map(|(at, len)| at as usize..at as usize + len as usize + 1);
        ranges.find(|range| range.contains(&address)).map(|range| range.end)
    }
}

impl Place {
    /// The place that a module's interface says.
    pub(super) fn of(guest: &mut Guest, kind: Kind) -> Result<Self, LoadError> {
        match kind {
            Kind::Pages { .. } => HostPages::of(guest).map(Self::Pages),
            Kind::Malloc => {
                let both = guest.function("malloc").zip(guest.function("free"));
                let (malloc, free) = both.ok_or_else(|| missing("malloc and free"))?;
                Ok(Self::Malloc { malloc, free })
            }
            Kind::New => {
                let (new, pin) = (guest.function("__new"), guest.function("__pin"));
                let all = new.zip(pin).zip(guest.function("__unpin"));
                let ((new, pin), unpin) = all.ok_or_else(|| missing("__new, __pin and __unpin"))?;
                Ok(Self::New { new, pin, unpin })
            }
        }
    }

    /// Copies tag and record into the guest's memory, each with a NUL behind it.
    pub(super) fn put(
        &mut self,
        guest: &mut Guest,
        tag: &[u8],
        record: &[u8],
    ) -> Result<Placed, FilterError> {
        // Both are found room for in a 32-bit memory below.
        let (tag_len, record_len) = (tag.len() as u32, record.len() as u32);
        let placed = match self {
            Self::Pages(pages) => {
                let record_at = (tag.len() + 1).next_multiple_of(16);
                pages.open(guest, record_at + record.len() + 1)?;
                // Both lie in a 32-bit memory.
                let (tag, record) = (pages.offset as u32, (pages.offset + record_at) as u32);
                Placed { tag, tag_len, record, record_len }
            }
            Self::Malloc { .. } | Self::New { .. } => {
                // The large one first: where it finds no room, nothing is left behind.
                let record = self.allocate(guest, record.len() + 1)?;
                let tag = self.allocate(guest, tag.len() + 1)?;
                Placed { tag, tag_len, record, record_len }
            }
        };
        write(guest, placed.tag, tag)?;
        write(guest, placed.record, record)?;
        Ok(placed)
    }

    fn allocate(&self, guest: &mut Guest, length: usize) -> Result<u32, FilterError> {
        let none = |guest: &Guest| {
            let why = guest.refusal().map(|full| format!("; {full}")).unwrap_or_default();
            FilterError::Memory {
                reason: format!("the guest's malloc has no {length} bytes left{why}"),
            }
        };
        let wanted = u32::try_from(length).map_err(|_| none(guest))?;
        let pointer = match self {
            Self::Malloc { malloc, .. } => guest.call(malloc, wanted)?,
            Self::New { new, pin, .. } => {
                // The id is that of any object.
                let pointer = guest.call(new, (wanted, 0))?;
                guest.call(pin, pointer)?
            }
            Self::Pages(_) => 0,
        };
        if pointer == 0 { Err(none(guest)) } else { Ok(pointer) }
    }

    /// Gives a call's arguments back.
    pub(super) fn free(&mut self, guest: &mut Guest, placed: Placed) -> Result<(), FilterError> {
        match self {
            Self::Pages(pages) => pages.close(guest),
            Self::Malloc { free, .. } | Self::New { unpin: free, .. } => {
                for pointer in [placed.tag, placed.record] {
                    guest.call(free, pointer)?;
                }
            }
        }
        Ok(())
    }

    /// Whether arguments go through the guest's own allocator.
    pub(super) fn is_guests(&self) -> bool {
        !matches!(self, Self::Pages(_))
    }
}

/// Writes `bytes` and a NUL.
fn write(guest: &mut Guest, at: u32, bytes: &[u8]) -> Result<(), FilterError> {
    let at = at as usize;
    let room =
        guest.memory_mut().get_mut(at..).and_then(|room| room.get_mut(..=bytes.len())).ok_or_else(
            || FilterError::BadOutput {
                reason: format!("the guest's malloc gave the address {at}, outside its memory"),
            },
        )?;
    room[..bytes.len()].copy_from_slice(bytes);
    room[bytes.len()] = 0;
    Ok(())
}

/// The host's own pages in a guest's memory, above all that the guest can have.
pub(super) struct HostPages {
    /// Their address.
    pub(super) offset: usize,
    /// How many bytes of them are accessible.
    open: usize,
}

impl HostPages {
    /// Those of a guest that has some.
    pub(super) fn of(guest: &Guest) -> Result<Self, LoadError> {
        let end = guest.end().ok_or_else(|| missing(&format!("a table {PAGES}")))?;
        Ok(Self { offset: end * PAGE, open: 0 })
    }

    /// Makes so many bytes accessible. They are as many as were ever needed, twice at the most.
    pub(super) fn open(&mut self, guest: &mut Guest, wanted: usize) -> Result<(), FilterError> {
        let Self { offset, open } = self;
        let size = HOST_PAGES * PAGE;
        let memory = |reason| Err(FilterError::Memory { reason });
        if wanted > size {
            return memory(format!(
                "the record takes {wanted} bytes, the guest has room for {size}"
            ));
        }
        if wanted > *open {
            let more = wanted.next_multiple_of(PAGE).next_power_of_two();
            if let Err(error) = guest.open(*offset + *open..*offset + more) {
                return memory(format!("the record takes {wanted} bytes: {error}"));
            }
            *open = more;
        }
        Ok(())
    }

    /// The accessible ones.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.open
    }

    /// Gives back what an unusually large record took.
    pub(super) fn close(&mut self, guest: &mut Guest) {
        let Self { offset, open } = self;
        if *open > KEPT && guest.empty(*offset + KEPT..*offset + *open) {
            *open = KEPT;
        }
    }
}
