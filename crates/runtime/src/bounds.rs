//! How much of the host one guest may take, beside its time: memories, tables and instances. Its stack is bounded by the
//! engine.

use flb_artifact::Arguments;
use wasmtime::ResourceLimiter;

/// Most memories that a module may have, and one that may be the compiler's.
const MEMORIES: usize = 17;
/// The size of that one: a page.
const COMPILERS: u64 = 64 << 10;
/// Most tables that a module may have.
const TABLES: usize = 16;
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
}

impl Bounds {
    /// Bounds for one guest. `memory_limit` holds for all its memories together. Where the first memory has host pages it has
    /// its fixed size, of which the guest gets what its limit global says; the others may take as much as the limit.
    pub(crate) fn new(arguments: Arguments, memory_limit: u64) -> Self {
        let fixed = match arguments {
            Arguments::Malloc | Arguments::New => 0,
            Arguments::Pages { offset, size } => offset.saturating_add(size),
        };
        let granted = memory_limit;
        let memory_limit = memory_limit.saturating_add(fixed).saturating_add(COMPILERS);
        Self {
            memory: 0,
            granted,
            refused: None,
            memory_limit: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            elements: 0,
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
}

/// Counts growth; `None` if it would pass the limit or what the guest itself declares. Growth that is granted here and then
/// fails, for want of the host's memory, stays counted: the other way a guest could make room by failing.
fn grown(
    all: usize,
    limit: usize,
    (current, desired, maximum): (usize, usize, Option<usize>),
) -> Option<usize> {
    let fits = maximum.is_none_or(|maximum| desired <= maximum);
    all.checked_add(desired.checked_sub(current)?).filter(|all| fits && *all <= limit)
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = grown(self.memory, self.memory_limit, (current, desired, maximum));
        match grown {
            Some(memory) => self.memory = memory,
            None => self.refused = Some(desired.saturating_sub(current)),
        }
        Ok(grown.is_some())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = grown(self.elements, TABLE_ELEMENTS, (current, desired, maximum));
        self.elements = grown.unwrap_or(self.elements);
        Ok(grown.is_some())
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
        let mut bounds = Bounds::new(Arguments::Malloc, 100);
        assert!(bounds.memory_growing(0, COMPILERS as usize, None).unwrap());
        let mut grows = |current, desired| bounds.memory_growing(current, desired, None).unwrap();
        assert!(grows(0, 60));
        assert!(!grows(0, 41));
        assert!(grows(0, 40));
        assert!(!grows(60, 61));
    }

    #[test]
    fn growth_that_was_refused_is_not_counted() {
        let mut bounds = Bounds::new(Arguments::Pages { offset: 10, size: 20 }, 70);
        assert!(bounds.memory_growing(0, COMPILERS as usize, None).unwrap());
        assert!(!bounds.memory_growing(0, 101, None).unwrap());
        assert!(!bounds.memory_growing(0, 100, Some(99)).unwrap());
        assert!(bounds.memory_growing(0, 100, Some(100)).unwrap());
        assert!(bounds.table_growing(0, TABLE_ELEMENTS, None).unwrap());
        assert!(!bounds.table_growing(0, 1, None).unwrap());
    }
}
