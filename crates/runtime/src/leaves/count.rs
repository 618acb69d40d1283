//! Counters and histograms of a guest's own.

use crate::fault::Fault;
use crate::libc::bytes;
use crate::machine::Call;
use crate::meters::{BOUNDS, NONE};

/// The number of a counter.
pub(super) fn counter(call: &mut Call<'_>, name: u32, len: u32) -> Result<u32, Fault> {
    let (memory, state) = call.parts();
    Ok(state.leaves.meters.counter(bytes(memory, name, len)?))
}

/// Adds to a counter.
pub(super) fn add(call: &mut Call<'_>, counter: u32, by: u64) -> Result<(), Fault> {
    call.state().leaves.meters.add(counter, by);
    Ok(())
}

/// The number of a histogram.
pub(super) fn histogram(
    call: &mut Call<'_>,
    name: u32,
    len: u32,
    bounds: u32,
    count: u32,
) -> Result<u32, Fault> {
    let (memory, state) = call.parts();
    let name = bytes(memory, name, len)?;
    if count > BOUNDS {
        return Ok(NONE);
    }
    let (bounds, _) = bytes(memory, bounds, count * 8)?.as_chunks();
    let bounds: Vec<f64> = bounds.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    Ok(state.leaves.meters.histogram(name, &bounds))
}

/// Counts a value.
pub(super) fn observe(call: &mut Call<'_>, histogram: u32, value: f64) -> Result<(), Fault> {
    call.state().leaves.meters.observe(histogram, value);
    Ok(())
}
