//! What is counted while the pipeline runs: one row an instance, added to once a batch or chunk, never once a record.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flb_plugin::Tally;

use crate::buffer::Buffer;
use crate::instance::Instance;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, less: usize) {
        self.0.fetch_sub(less as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An input and its lanes.
#[derive(Debug)]
pub(crate) struct InputRow {
    pub(crate) instance: Instance,
    /// The memory of its records.
    pub(crate) buffer: Buffer,
    /// Whether its chunks are stored in files.
    pub(crate) is_stored: bool,
    /// Taken from the input.
    pub(crate) records: Count,
    pub(crate) bytes: Count,
    /// Removed by the lane's filters, for whatever reason.
    pub(crate) filtered: Count,
    /// Added by the lane's filters.
    pub(crate) added: Count,
    /// Left the lane for at least one output.
    pub(crate) routed: Count,
    /// Left the lane and matched no output.
    pub(crate) unrouted: Count,
    /// Times that the input ended with an error or a panic.
    pub(crate) failures: Count,
    /// Chunks that are open or on their way to outputs.
    pub(crate) chunks: Gauge,
    /// Those that are in their files only.
    pub(crate) chunks_down: Gauge,
    /// How many times over it waits for places in memory.
    pub(crate) waiting: Gauge,
    /// Chunks on their way, and their size.
    pub(crate) chunks_busy: Gauge,
    pub(crate) busy_bytes: Gauge,
}

impl InputRow {
    /// An input that is paused while it has `limit` bytes in memory.
    pub(crate) fn new(instance: Instance, limit: Option<usize>) -> Self {
        Self {
            instance,
            buffer: Buffer::new(limit),
            is_stored: false,
            records: Count::default(),
            bytes: Count::default(),
            filtered: Count::default(),
            added: Count::default(),
            routed: Count::default(),
            unrouted: Count::default(),
            failures: Count::default(),
            chunks: Gauge::default(),
            chunks_down: Gauge::default(),
            waiting: Gauge::default(),
            chunks_busy: Gauge::default(),
            busy_bytes: Gauge::default(),
        }
    }
}

impl InputRow {
    /// An input whose chunks are stored in files. It is not paused for its memory.
    pub(crate) fn stored(instance: Instance) -> Self {
        Self { is_stored: true, ..Self::new(instance, None) }
    }
}

/// A filter, over all lanes.
#[derive(Debug)]
pub(crate) struct FilterRow {
    pub(crate) instance: Instance,
    tally: Mutex<Tally>,
    /// Batches that the filter panicked on; their records passed.
    pub(crate) panics: Count,
    /// Bytes that left the filter, and those by which batches became smaller.
    pub(crate) bytes: Count,
    pub(crate) bytes_dropped: Count,
    /// Records by which batches grew.
    pub(crate) added: Count,
}

impl FilterRow {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            instance,
            tally: Mutex::default(),
            panics: Count::default(),
            bytes: Count::default(),
            bytes_dropped: Count::default(),
            added: Count::default(),
        }
    }

    pub(crate) fn add(&self, tally: &Tally) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An output.
#[derive(Debug)]
pub(crate) struct OutputRow {
    pub(crate) instance: Instance,
    /// Sent to this output by a lane.
    pub(crate) routed: Count,
    /// Records in storage whose fate at this output is open.
    pub(crate) stored: Gauge,
    pub(crate) delivered: Count,
    pub(crate) delivered_bytes: Count,
    /// Given up: refused for good, or out of retries.
    pub(crate) dropped: Count,
    /// Times that the output refused a chunk for good, or panicked.
    pub(crate) errors: Count,
    /// Times that a chunk was put off, and the records in those chunks.
    pub(crate) retries: Count,
    pub(crate) retried: Count,
    /// Chunks that ran out of retries.
    pub(crate) retries_failed: Count,
    /// Chunks that it is delivering.
    pub(crate) under_way: Gauge,
    /// Chunks sent to this output, and those of them whose fate is settled.
    pub(crate) tasks: Count,
    pub(crate) tasks_settled: Count,
}

impl OutputRow {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            instance,
            routed: Count::default(),
            stored: Gauge::default(),
            delivered: Count::default(),
            delivered_bytes: Count::default(),
            dropped: Count::default(),
            errors: Count::default(),
            retries: Count::default(),
            retried: Count::default(),
            retries_failed: Count::default(),
            under_way: Gauge::default(),
            tasks: Count::default(),
            tasks_settled: Count::default(),
        }
    }
}

/// All rows of a pipeline, in the configuration's order.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) inputs: Vec<Arc<InputRow>>,
    /// What was in storage at the start.
    pub(crate) leftovers: Option<Arc<InputRow>>,
    pub(crate) filters: Vec<Arc<FilterRow>>,
    pub(crate) outputs: Vec<Arc<OutputRow>>,
}
