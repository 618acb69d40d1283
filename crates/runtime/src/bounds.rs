//! How much of the host one guest may take, beside its time: memories, tables and instances. Its stack is bounded by the
//! engine.

use std::sync::Arc;

use wasmi_core::{LimiterError, MemoryError};

use crate::fence::Fence;
use crate::space::{Memories, PAGE, Space};

/// Most memories that a module may have, and one that may be the compiler's.
const MEMORIES: usize = 17;
/// That one's size, wanted size and greatest size when it is made.
const OWN: (usize, usize, Option<usize>) = (0, PAGE, Some(PAGE));
/// Most tables that a module may have, and one that may be the compiler's.
const TABLES: usize = 17;
/// Most elements that all tables of a guest may have together.
const TABLE_ELEMENTS: usize = 1 << 20;

/// What a guest has taken, and how much it may take.
#[derive(Debug)]
pub(crate) struct Bounds {
    memory: usize,
    /// Most bytes that its memories may have together, as the operator knows it.
    granted: u64,
    /// Bytes that the guest was refused since the call began.
    refused: Option<usize>,
    memory_limit: usize,
    elements: usize,
    layout: Layout,
    /// Whether one memory is still to be made that is not the guest's.
    awaits_own: bool,
    fence: Arc<Fence>,
    /// What its memories would have had together when one was too large to be made.
    too_large: Option<usize>,
    /// Pages that there would have been in a larger machine.
    missing: Option<usize>,
    /// Bytes of the memory that was granted last.
    last: usize,
}

/// What a table and the first memory are to the host.
#[derive(Debug, Clone, Copy)]
enum Layout {
    /// Nothing but what they are.
    Plain,
    /// The table with the mark will stand for the memory.
    Coming(Space),
    /// The memory gets the end that it has to the engine. It is not for the guest.
    Growing(Space, Pages),
    /// The table stands for the memory.
    Done(Space, Pages),
}

/// Whose the pages of the first memory are.
#[derive(Debug, Clone, Copy)]
struct Pages {
    /// So many are the guest's.
    own: usize,
    /// It may have so many; behind them are the host's.
    end: usize,
    /// It might have so many, in a larger machine.
    most: usize,
}

impl Bounds {
    /// Bounds for one guest, all of whose memories together may have `memory_limit` bytes.
    pub(crate) fn new(memories: Memories, memory_limit: u64, fence: Arc<Fence>) -> Self {
        Self {
            memory: 0,
            granted: memory_limit,
            refused: None,
            memory_limit: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            elements: 0,
            layout: memories.space.map_or(Layout::Plain, Layout::Coming),
            awaits_own: memories.has_own,
            fence,
            too_large: None,
            missing: None,
            last: 0,
        }
    }

    /// A call begins: what the guest was refused before is no longer a reason to fail.
    pub(crate) fn begin(&mut self) {
        self.refused = None;
    }

    /// What the guest was refused since the call began.
    pub(crate) fn refusal(&self) -> Option<String> {
        let (bytes, granted) = (self.refused?, self.granted >> 10);
        Some(format!(
            "out of memory: {} KiB more were refused at Memory_Limit ({granted} KiB) or what the module declares",
            bytes >> 10
        ))
    }

    /// The space that is still to be laid out.
    pub(crate) fn space(&self) -> Option<Space> {
        match self.layout {
            Layout::Coming(space) => Some(space),
            _ => None,
        }
    }

    /// The host grows the first memory, in which the guest has `own` pages and may have `end`, and in a larger machine `most`.
    pub(crate) fn begin_layout(&mut self, own: usize, end: usize, most: usize) {
        if let Layout::Coming(space) = self.layout {
            self.layout = Layout::Growing(space, Pages { own, end, most });
        }
    }

    /// It grows that memory again.
    pub(crate) fn resume_layout(&mut self) {
        if let Layout::Done(space, pages) = self.layout {
            self.layout = Layout::Growing(space, pages);
        }
    }

    /// It is done.
    pub(crate) fn end_layout(&mut self) {
        if let Layout::Growing(space, pages) = self.layout {
            self.layout = Layout::Done(space, pages);
        }
    }

    /// The page at which the host's begin.
    pub(crate) fn end(&self) -> Option<usize> {
        match self.layout {
            Layout::Done(_, pages) => Some(pages.end),
            _ => None,
        }
    }

    /// Bytes of the first memory that are the guest's, if there are others behind them.
    #[inline]
    pub(crate) fn own(&self) -> Option<usize> {
        match self.layout {
            Layout::Done(_, pages) => Some(pages.own.saturating_mul(PAGE)),
            _ => None,
        }
    }

    /// How many pages it was refused for want of room here, which it would have got in a larger machine.
    pub(crate) fn missing(&self) -> Option<usize> {
        self.missing
    }

    /// Bytes of memory that the guest has.
    pub(crate) fn memory(&self) -> u64 {
        self.memory as u64
    }

    /// Why the guest could not be made, if it was for its memory.
    pub(crate) fn too_large(&self) -> Option<String> {
        let limit = self.memory_limit;
        self.too_large.map(|bytes| {
            format!(
                "its memory starts with {bytes} bytes, Memory_Limit is {limit}; help: raise Memory_Limit, or build the filter \
                 with less memory at its start (linker option --initial-memory)"
            )
        })
    }

    /// Lets the guest have these pages of its memory.
    fn take_pages(&mut self, current: usize, desired: usize, pages: Pages) -> bool {
        let bytes = current.saturating_mul(PAGE)..desired.saturating_mul(PAGE);
        let change = (bytes.start, bytes.end, Some(pages.most.saturating_mul(PAGE)));
        let grown = grown(self.memory, self.memory_limit, change);
        if grown.is_some() && desired > pages.end {
            self.missing = Some(desired - pages.end);
            return false;
        }
        // What the system refuses is not there.
        let grown = grown.filter(|_| self.fence.open(bytes.clone()).is_ok());
        match grown {
            Some(memory) => self.memory = memory,
            None => self.refused = Some(bytes.end.saturating_sub(bytes.start)),
        }
        grown.is_some()
    }
}

/// Counts growth; `None` if it would pass the limit or what the guest itself declares. Growth that is granted here and then
/// fails, for want of the host's memory, stays counted; if it were given back, a guest could make room by failing.
fn grown(
    all: usize,
    limit: usize,
    (current, desired, maximum): (usize, usize, Option<usize>),
) -> Option<usize> {
    let fits = maximum.is_none_or(|maximum| desired <= maximum);
    all.checked_add(desired.checked_sub(current)?).filter(|all| fits && *all <= limit)
}

impl Bounds {
    /// Whether a memory may be made, or grow.
    fn admits_memory(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        self.last = 0;
        if let Layout::Growing(..) = self.layout {
            return true;
        }
        // One of the guest's may look the same. Then that is let through, and the other counted for it.
        if self.awaits_own && (current, desired, maximum) == OWN {
            self.awaits_own = false;
            return true;
        }
        let grown = grown(self.memory, self.memory_limit, (current, desired, maximum));
        match grown {
            Some(memory) => {
                self.last = memory - self.memory;
                self.memory = memory;
            }
            None => self.refused = Some(desired.saturating_sub(current)),
        }
        if grown.is_none() && current == 0 {
            self.too_large = Some(self.memory.saturating_add(desired));
        }
        grown.is_some()
    }

    /// The growth that was granted last will be asked for again.
    fn takes_back(&mut self) {
        self.memory -= std::mem::take(&mut self.last);
    }

    /// Whether a table may be made, or grow.
    fn admits_table(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        match self.layout {
            Layout::Done(space, pages) if maximum == Some(space.mark) => {
                let is_granted = self.take_pages(current, desired, pages);
                if is_granted {
                    self.layout = Layout::Done(space, Pages { own: desired, ..pages });
                }
                return is_granted;
            }
            // It is made as large as the memory, which was counted.
            Layout::Coming(space) if maximum == Some(space.mark) => return true,
            _ => {}
        }
        let grown = grown(self.elements, TABLE_ELEMENTS, (current, desired, maximum));
        self.elements = grown.unwrap_or(self.elements);
        grown.is_some()
    }
}

#[cfg(native)]
impl wasmtime::ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.admits_memory(current, desired, maximum))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.admits_table(current, desired, maximum))
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

impl wasmi::ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        Ok(self.admits_memory(current, desired, maximum))
    }

    fn memory_grow_failed(&mut self, error: &MemoryError) -> Result<(), LimiterError> {
        if let MemoryError::OutOfFuel { .. } = error {
            self.takes_back();
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        Ok(self.admits_table(current, desired, maximum))
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_limit() {
        let memories = Memories { space: None, has_own: true };
        let mut bounds = Bounds::new(memories, 100, Arc::default());
        assert!(bounds.admits_memory(0, PAGE, Some(PAGE)));
        let mut grows = |current, desired| bounds.admits_memory(current, desired, None);
        assert!(grows(0, 60));
        assert!(!grows(0, 41));
        assert!(grows(0, 40));
        assert!(!grows(60, 61));
        assert_eq!(bounds.memory(), 100);
    }

    #[test]
    fn growth_that_was_refused_is_not_counted() {
        let memories = Memories { space: None, has_own: false };
        let mut bounds = Bounds::new(memories, 100, Arc::default());
        assert!(!bounds.admits_memory(0, PAGE, Some(PAGE)));
        assert!(!bounds.admits_memory(0, 101, None));
        assert!(bounds.too_large().unwrap().contains("Memory_Limit is 100;"));
        assert!(!bounds.admits_memory(0, 100, Some(99)));
        assert!(bounds.admits_memory(0, 100, Some(100)));
        assert!(bounds.admits_table(0, TABLE_ELEMENTS, None));
        assert!(!bounds.admits_table(0, 1, None));
    }

    #[test]
    fn growth_that_is_asked_for_again_is_counted_once() {
        let memories = Memories { space: None, has_own: false };
        let mut bounds = Bounds::new(memories, 100, Arc::default());
        assert!(bounds.admits_memory(0, 60, None));
        bounds.takes_back();
        bounds.takes_back();
        assert!(bounds.admits_memory(0, 60, None));
        assert_eq!(bounds.memory(), 60);
    }
}
