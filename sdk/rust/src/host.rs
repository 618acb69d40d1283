//! What the host does for a filter: printing JSON, hashing, the log, counting. In native tests, and where the host is stock Fluent
//! Bit, stand-ins do what can be done without it.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::write::Writer;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is wrong.
    Error = 1,
    /// Something may be wrong.
    Warn = 2,
    /// Worth knowing.
    Info = 3,
    /// For whoever looks for a mistake.
    Debug = 4,
    /// The same, in large numbers.
    Trace = 5,
}

/// Bytes of a line of the log.
const LINE: usize = 1_024;

/// Writes a line to the agent's log, under the filter's name: 1,024 bytes at most.
///
/// ```
/// use flb_filter::{Level, log};
///
/// log(Level::Info, format_args!("{} secrets are known", 5));
/// ```
pub fn log(level: Level, line: fmt::Arguments<'_>) {
    if let Some(line) = line.as_str() {
        import::log(level as u32, line.as_bytes());
        return;
    }
    let mut room = [0; LINE];
    let start = room.as_mut_ptr();
    // SAFETY: the room is there, and nobody else uses it.
    let mut to = unsafe { Writer::new(start, LINE) };
    let _ = fmt::write(&mut to, line);
    let len = to.written(start);
    import::log(level as u32, room.get(..len).unwrap_or_default());
}

/// SHA-256.
///
/// ```
/// assert_eq!(flb_filter::sha256(b"")[..4], [0xe3, 0xb0, 0xc4, 0x42]);
/// ```
pub fn sha256(data: &[u8]) -> [u8; 32] {
    import::sha256(data)
}

/// The JSON text of a value, at `to`: its length, or more than `room` if it does not fit.
///
/// # Safety
///
/// A whole msgpack value of `len` bytes is at `value`, and `room` bytes at `to` are nobody else's.
#[inline(always)]
pub(crate) unsafe fn json(value: *const u8, len: usize, to: *mut u8, room: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { import::json(value, len, to, room) }
}

/// No number was asked for yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// A counter among the agent's metrics, with the filter's name beside its own.
///
/// ```
/// use flb_filter::{Context, Counter, Record, Verdict};
///
/// static SECRETS: Counter = Counter::new("secrets");
///
/// fn count(record: &mut Record, _: &Context) -> Verdict {
///     if record.get("password").exists() {
///         SECRETS.add(1);
///     }
///     Verdict::Keep
/// }
/// ```
pub struct Counter {
    name: &'static str,
    number: AtomicU32,
}

impl Counter {
    /// A counter of this name: 1 to 64 of `a-z`, `A-Z`, `0-9` and `_`, and no digit first.
    pub const fn new(name: &'static str) -> Self {
        Self { name, number: AtomicU32::new(UNKNOWN) }
    }

    /// Counts.
    pub fn add(&self, by: u64) {
        import::add(number(&self.number, || import::counter(self.name.as_bytes())), by);
    }
}

/// A histogram among the agent's metrics, with the filter's name beside its own.
///
/// ```
/// use flb_filter::Histogram;
///
/// static SIZES: Histogram = Histogram::new("sizes", &[100.0, 1_000.0, 10_000.0]);
///
/// SIZES.observe(240.0);
/// ```
pub struct Histogram {
    name: &'static str,
    bounds: &'static [f64],
    number: AtomicU32,
}

impl Histogram {
    /// A histogram of this name, with buckets up to these bounds, which ascend, and one for the rest.
    pub const fn new(name: &'static str, bounds: &'static [f64]) -> Self {
        Self { name, bounds, number: AtomicU32::new(UNKNOWN) }
    }

    /// Counts a value in its bucket.
    pub fn observe(&self, value: f64) {
        let make = || import::histogram(self.name.as_bytes(), self.bounds);
        import::observe(number(&self.number, make), value);
    }
}

/// The number under which the host knows it, asked for once.
fn number(known: &AtomicU32, make: impl FnOnce() -> u32) -> u32 {
    let number = known.load(Ordering::Relaxed);
    if number != UNKNOWN {
        return number;
    }
    let number = make();
    known.store(number, Ordering::Relaxed);
    number
}

/// The imports of module `flb`.
#[cfg(all(target_arch = "wasm32", not(feature = "json")))]
use wasm as import;

#[cfg(target_arch = "wasm32")]
mod wasm {
    mod flb {
        #[link(wasm_import_module = "flb")]
        unsafe extern "C" {
            pub(in crate::host) fn json(
                value: *const u8,
                len: usize,
                to: *mut u8,
                room: usize,
            ) -> usize;
            pub(in crate::host) fn sha256(data: *const u8, len: usize, to: *mut u8);
            pub(in crate::host) fn log(level: u32, text: *const u8, len: usize);
            pub(in crate::host) fn counter(name: *const u8, len: usize) -> u32;
            pub(in crate::host) safe fn add(counter: u32, by: u64);
            pub(in crate::host) fn histogram(
                name: *const u8,
                len: usize,
                bounds: *const f64,
                count: usize,
            ) -> u32;
            pub(in crate::host) safe fn observe(histogram: u32, value: f64);
        }
    }

    pub(super) use flb::{add, json, observe};

    pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        // SAFETY: both are as long as is said.
        unsafe { flb::sha256(data.as_ptr(), data.len(), digest.as_mut_ptr()) };
        digest
    }

    pub(super) fn log(level: u32, line: &[u8]) {
        // SAFETY: it is as long as is said.
        unsafe { flb::log(level, line.as_ptr(), line.len()) }
    }

    pub(super) fn counter(name: &[u8]) -> u32 {
        // SAFETY: as above.
        unsafe { flb::counter(name.as_ptr(), name.len()) }
    }

    pub(super) fn histogram(name: &[u8], bounds: &[f64]) -> u32 {
        // SAFETY: as above.
        unsafe { flb::histogram(name.as_ptr(), name.len(), bounds.as_ptr(), bounds.len()) }
    }
}

/// What the SDK does itself. Nobody counts there, and the log is nobody's.
#[cfg(any(feature = "json", not(target_arch = "wasm32")))]
mod alone {
    use crate::value::Value;
    use crate::write::Writer;

    pub(super) unsafe fn json(value: *const u8, _: usize, to: *mut u8, room: usize) -> usize {
        // SAFETY: the caller's promise: the value and the room are there.
        let (value, mut writer) = unsafe { (Value::at(value), Writer::new(to, room)) };
        crate::json::print(value, &mut writer);
        if writer.is_full() { usize::MAX } else { writer.written(to) }
    }

    pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
        crate::sha256::digest(data)
    }
}

/// In native tests: what is logged is printed, for the test's output.
#[cfg(not(target_arch = "wasm32"))]
mod import {
    pub(super) use super::alone::{json, sha256};

    pub(super) fn log(level: u32, line: &[u8]) {
        crate::testing::log(level, line);
    }

    pub(super) fn counter(_: &[u8]) -> u32 {
        0
    }

    pub(super) fn add(_: u32, _: u64) {}

    pub(super) fn histogram(_: &[u8], _: &[f64]) -> u32 {
        0
    }

    pub(super) fn observe(_: u32, _: f64) {}
}

/// In a module for both worlds: the host's own, unless the host is stock Fluent Bit, which has none.
#[cfg(all(target_arch = "wasm32", feature = "json"))]
mod import {
    use super::{alone, wasm};
    use crate::classic::is_running;

    pub(super) unsafe fn json(value: *const u8, len: usize, to: *mut u8, room: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe {
            if is_running() {
                alone::json(value, len, to, room)
            } else {
                wasm::json(value, len, to, room)
            }
        }
    }

    pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
        if is_running() { alone::sha256(data) } else { wasm::sha256(data) }
    }

    pub(super) fn log(level: u32, line: &[u8]) {
        if !is_running() {
            wasm::log(level, line);
        }
    }

    pub(super) fn counter(name: &[u8]) -> u32 {
        if is_running() { 0 } else { wasm::counter(name) }
    }

    pub(super) fn add(counter: u32, by: u64) {
        if !is_running() {
            wasm::add(counter, by);
        }
    }

    pub(super) fn histogram(name: &[u8], bounds: &[f64]) -> u32 {
        if is_running() { 0 } else { wasm::histogram(name, bounds) }
    }

    pub(super) fn observe(histogram: u32, value: f64) {
        if !is_running() {
            wasm::observe(histogram, value);
        }
    }
}
