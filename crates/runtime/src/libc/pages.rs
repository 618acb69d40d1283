//! Where the heap's memory comes from: pages of the guest's own, as if it had grown its memory itself.

use std::ops::Range;

use flb_artifact::contract::PAGE;
use wasmtime::{Caller, Extern};

use crate::layout::grow;
use crate::state::State;

/// Grows the guest's memory by whole pages with so many bytes; `None`: it may not grow as far.
pub(super) fn take(caller: &mut Caller<'_, State>, bytes: u64) -> Option<Range<u64>> {
    let pages = u32::try_from(bytes.div_ceil(PAGE)).ok()?;
    let before = u64::from(grow(caller, pages)?);
    Some(before * PAGE..(before + u64::from(pages)) * PAGE)
}

/// What a guest has behind its data and its stack, for one whose memory may not grow at all.
pub(super) fn behind_data(caller: &mut Caller<'_, State>) -> Option<Range<u64>> {
    let base = caller.get_export("__heap_base").and_then(Extern::into_global)?;
    let base = base.get(&mut *caller).i32()?.cast_unsigned();
    let size = u64::from(grow(caller, 0)?) * PAGE;
    Some(base.into()..size)
}
