//! Where what lies in a guest's memory: its own part, and the host's pages above all that it may ever have.
//!
//! `docs/architecture.md` has the picture. Only modules that bring no allocator for the host have such a layout; to them the
//! size of their memory is the size of a table.

use flb_artifact::Arguments;
use flb_artifact::contract::{self, FLAG, MEMORY, PAGES};
use wasmtime::{AsContextMut, Caller, Extern, Instance, Module, Ref, Store, Table};

use crate::state::State;

/// Bytes in a page of WebAssembly memory.
pub(crate) const PAGE: usize = contract::PAGE as usize;
/// Pages for a call's arguments.
pub(crate) const HOST_PAGES: usize = contract::HOST_PAGES as usize;
/// Of these, what is kept from one call to the next (1 MiB).
pub(crate) const KEPT: usize = 16 * PAGE;

/// What of a module's memories is not the guest's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memories {
    /// How its first memory is laid out; `None`: it is the guest's from its beginning to its end.
    pub(crate) space: Option<Space>,
    /// Whether there is one for the flag.
    pub(crate) has_flag: bool,
}

impl Memories {
    pub(crate) fn of(module: &Module, arguments: Arguments) -> Self {
        let has_flag = module.get_export(FLAG).is_some();
        Self { space: Space::of(module, arguments), has_flag }
    }
}

/// What a module says of its layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    /// The table's maximum, which no other table has.
    pub(crate) mark: usize,
    /// Pages that the guest may have by its own word.
    limit: usize,
}

impl Space {
    fn of(module: &Module, arguments: Arguments) -> Option<Self> {
        let Arguments::Pages { limit } = arguments else { return None };
        let mark = module.get_export(PAGES)?.table()?.maximum()?;
        Some(Self { mark: usize::try_from(mark).ok()?, limit: usize::try_from(limit).ok()? / PAGE })
    }

    /// The page at which the host's begin, for a guest that starts with `initial` pages.
    fn end(self, memory_limit: u64, initial: usize) -> usize {
        let granted = usize::try_from(memory_limit).unwrap_or(usize::MAX) / PAGE;
        granted.min(self.limit).max(initial)
    }
}

/// The guest's table, if it has such a layout.
pub(crate) fn pages(store: &mut Store<State>, instance: &Instance) -> Option<Table> {
    instance.get_table(store, PAGES)
}

/// Gives a new instance's memory its end, and keeps the guest to its own part of it.
pub(crate) fn lay_out(
    store: &mut Store<State>,
    instance: &Instance,
    memory_limit: u64,
) -> wasmtime::Result<()> {
    let Some(space) = store.data().bounds.space() else { return Ok(()) };
    let memory = instance
        .get_memory(&mut *store, MEMORY)
        .ok_or_else(|| wasmtime::Error::msg("the module has not got a memory"))?;
    let initial = memory.data_size(&*store) / PAGE;
    let end = space.end(memory_limit, initial);
    store.data_mut().bounds.begin_layout(end);
    let grown = memory.grow(&mut *store, (end + HOST_PAGES - initial) as u64);
    store.data_mut().bounds.end_layout();
    grown.map_err(|error| error.context("there is no address space for its memory"))?;
    let (base, length) = (memory.data_ptr(&*store), memory.data_size(&*store));
    let fence = &store.data().leash.fence;
    fence.put(base, length);
    fence.close(initial * PAGE..length)?;
    Ok(())
}

/// Takes pages in the guest's name, as its own `memory.grow` would: the size in pages before, or `None` where the guest would
/// get -1. They are contiguous with what there was only if the guest has not grown in between.
pub(crate) fn grow(caller: &mut Caller<'_, State>, pages: u32) -> Option<u32> {
    let before = match caller.get_export(PAGES) {
        Some(Extern::Table(table)) => {
            table.grow(caller.as_context_mut(), pages.into(), Ref::Func(None)).ok()?
        }
        _ => {
            let memory = caller.get_export(MEMORY)?.into_memory()?;
            memory.grow(caller.as_context_mut(), pages.into()).ok()?
        }
    };
    u32::try_from(before).ok()
}
