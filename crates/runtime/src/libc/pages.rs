//! Where the heap's memory comes from: pages of the guest's own, as if it had grown its memory itself.

use std::ops::Range;

use flb_artifact::contract::PAGE;

use crate::machine::Call;

/// Grows the guest's memory by whole pages with so many bytes; `None`: it may not grow as far.
pub(super) fn take(call: &mut Call<'_>, bytes: u64) -> Option<Range<u64>> {
    let pages = u32::try_from(bytes.div_ceil(PAGE)).ok()?;
    let before = u64::from(call.grow(pages)?);
    Some(before * PAGE..(before + u64::from(pages)) * PAGE)
}

/// What a guest has behind its data and its stack, for one whose memory may not grow at all.
pub(super) fn behind_data(call: &mut Call<'_>) -> Option<Range<u64>> {
    let base = call.global("__heap_base")?;
    let size = u64::from(call.grow(0)?) * PAGE;
    Some(base.into()..size)
}
