//! What is counted while the pipeline runs: one row an instance, added to once a batch or chunk, never once a record.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flb_plugin::Tally;

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

/// An input and its lane.
#[derive(Debug)]
pub(crate) struct InputRow {
    pub(crate) instance: Instance,
    /// Taken from the input.
    pub(crate) records: Count,
    pub(crate) bytes: Count,
    /// Removed by the lane's filters, for whatever reason.
    pub(crate) filtered: Count,
    /// Left the lane for at least one output.
    pub(crate) routed: Count,
    /// Left the lane and matched no output.
    pub(crate) unrouted: Count,
    /// Times that the input ended with an error or a panic.
    pub(crate) failures: Count,
}

impl InputRow {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            instance,
            records: Count::default(),
            bytes: Count::default(),
            filtered: Count::default(),
            routed: Count::default(),
            unrouted: Count::default(),
            failures: Count::default(),
        }
    }
}

/// A filter, over all lanes.
#[derive(Debug)]
pub(crate) struct FilterRow {
    pub(crate) instance: Instance,
    tally: Mutex<Tally>,
    /// Batches that the filter panicked on; their records passed.
    pub(crate) panics: Count,
}

impl FilterRow {
    pub(crate) fn new(instance: Instance) -> Self {
        Self { instance, tally: Mutex::default(), panics: Count::default() }
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
    pub(crate) delivered: Count,
    pub(crate) delivered_bytes: Count,
    /// Given up: refused for good, or out of retries.
    pub(crate) dropped: Count,
    /// Times that the output refused a chunk for good, or panicked.
    pub(crate) errors: Count,
    /// Times that a chunk was put off.
    pub(crate) retries: Count,
    /// Chunks that ran out of retries.
    pub(crate) retries_failed: Count,
    /// Chunks sent to this output, and those of them whose fate is settled.
    pub(crate) tasks: Count,
    pub(crate) tasks_settled: Count,
}

impl OutputRow {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            instance,
            routed: Count::default(),
            delivered: Count::default(),
            delivered_bytes: Count::default(),
            dropped: Count::default(),
            errors: Count::default(),
            retries: Count::default(),
            retries_failed: Count::default(),
            tasks: Count::default(),
            tasks_settled: Count::default(),
        }
    }
}

/// All rows of a pipeline, in the configuration's order.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) inputs: Vec<Arc<InputRow>>,
    pub(crate) filters: Vec<Arc<FilterRow>>,
    pub(crate) outputs: Vec<Arc<OutputRow>>,
}
