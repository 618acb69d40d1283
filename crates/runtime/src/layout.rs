//! Lays out a new guest's memory, and grows it later: the guest's own part, and the host's pages behind it (`space.rs`).

use flb_artifact::contract::{MEMORY, PAGES};
use wasmtime::{AsContextMut, Caller, Extern, Instance, Ref, Store};

use crate::space::{HOST_PAGES, PAGE};
use crate::state::State;

/// Gives a new instance's memory its end, and keeps the guest to its own part of it, which takes signals.
pub(crate) fn lay_out(
    store: &mut Store<State>,
    instance: &Instance,
    memory_limit: u64,
    may_handle_signals: bool,
) -> wasmtime::Result<()> {
    let Some(space) = store.data().bounds.space() else { return Ok(()) };
    let memory = instance
        .get_memory(&mut *store, MEMORY)
        .ok_or_else(|| wasmtime::Error::msg("the module has not got a memory"))?;
    let initial = memory.data_size(&*store) / PAGE;
    let end = space.end(memory_limit, initial);
    store.data_mut().bounds.begin_layout(initial, end);
    let grown = memory.grow(&mut *store, (end + HOST_PAGES - initial) as u64);
    store.data_mut().bounds.end_layout();
    grown.map_err(|error| error.context("there is no address space for its memory"))?;
    let (base, length) = (memory.data_ptr(&*store), memory.data_size(&*store));
    let fence = &store.data().leash.fence;
    fence.put(base, length, may_handle_signals);
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
