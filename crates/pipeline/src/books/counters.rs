//! What is counted while the pipeline runs: one row an instance, added to once a batch or chunk, never once a record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flb_config::Role;
use flb_event::Tag;
use flb_plugin::{Histogram, Metrics, Tally};

use super::bounds;
use super::tap::Tap;
use super::trouble::Trouble;
use crate::count::{Count, Gauge, Shared};
use crate::instance::Instance;
use crate::storage::Buffer;

/// An input and its lanes.
#[derive(Debug)]
pub(crate) struct InputRow {
    pub(crate) instance: Instance,
    /// The memory of its records.
    pub(crate) buffer: Arc<Buffer>,
    /// Whether its chunks are stored in files.
    pub(crate) is_stored: bool,
    /// Taken from the input.
    pub(crate) records: Count,
    pub(crate) bytes: Count,
    /// Lines that were too long, and skipped or cut off.
    pub(crate) skipped_lines: Count,
    pub(crate) cut_lines: Count,
    /// Removed by the lane's filters, for whatever reason.
    pub(crate) filtered: Count,
    /// Added by the lane's filters.
    pub(crate) added: Count,
    /// Left the lane for at least one output.
    pub(crate) routed: Count,
    /// Left the lane and matched no output, and their size.
    pub(crate) unrouted: Count,
    pub(crate) unrouted_bytes: Count,
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
    /// How long batches took from the input into their chunks.
    pub(crate) latency: Shared<Histogram>,
    /// What the input counts of its own.
    pub(crate) metrics: Metrics,
    /// The ways that its records have taken.
    pub(crate) ways: Shared<Ways>,
    pub(crate) tap: Arc<Tap>,
}

/// The ways that the records of an input have taken, tag by tag.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways {
    /// The first tags that it gave them.
    pub(crate) tags: BTreeSet<Tag>,
    pub(crate) hops: BTreeSet<Hop>,
}

/// From one instance to the next, on the way of some tag: each by what it is there for, and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Where records come from.
    pub from: (Role, Arc<str>),
    /// Where they go.
    pub to: (Role, Arc<str>),
}

impl Hop {
    pub(crate) fn new(from: &Instance, to: &Instance) -> Self {
        let end = |instance: &Instance| (instance.role, Arc::clone(&instance.name));
        Self { from: end(from), to: end(to) }
    }
}

impl InputRow {
    /// An input that is paused while it has `limit` bytes in memory.
    pub(crate) fn new(instance: Instance, limit: Option<usize>) -> Self {
        let buffer = Buffer::new(Arc::clone(&instance.name), limit);
        Self::with(instance, buffer)
    }

    fn with(instance: Instance, buffer: Buffer) -> Self {
        Self {
            instance,
            buffer: Arc::new(buffer),
            is_stored: false,
            records: Count::default(),
            bytes: Count::default(),
            skipped_lines: Count::default(),
            cut_lines: Count::default(),
            filtered: Count::default(),
            added: Count::default(),
            routed: Count::default(),
            unrouted: Count::default(),
            unrouted_bytes: Count::default(),
            failures: Count::default(),
            chunks: Gauge::default(),
            chunks_down: Gauge::default(),
            waiting: Gauge::default(),
            chunks_busy: Gauge::default(),
            busy_bytes: Gauge::default(),
            latency: Shared::new(bounds::of_batches()),
            metrics: Metrics::default(),
            ways: Shared::default(),
            tap: Arc::default(),
        }
    }

    /// An input whose chunks are stored in files. It is not paused for its memory.
    pub(crate) fn stored(instance: Instance) -> Self {
        Self { is_stored: true, ..Self::new(instance, None) }
    }

    /// An input whose oldest chunks give way at its limit. It is not paused.
    pub(crate) fn ring(instance: Instance, limit: Option<usize>) -> Self {
        let buffer = Buffer::ring(Arc::clone(&instance.name), limit);
        Self::with(instance, buffer)
    }
}

/// A filter, over all lanes.
#[derive(Debug)]
pub(crate) struct FilterRow {
    pub(crate) instance: Instance,
    books: Shared<FilterBooks>,
    /// Batches that the filter panicked on; their records passed.
    pub(crate) panics: Count,
    /// Bytes that left the filter, and those by which batches became smaller.
    pub(crate) bytes: Count,
    pub(crate) bytes_dropped: Count,
    /// Records by which batches grew.
    pub(crate) added: Count,
    /// What the filter counts of its own.
    pub(crate) metrics: Metrics,
    pub(crate) tap: Arc<Tap>,
}

impl FilterRow {
    pub(crate) fn new(instance: Instance, metrics: Metrics) -> Self {
        Self {
            instance,
            books: Shared::new(FilterBooks {
                tally: Tally::default(),
                latency: bounds::of_records(),
            }),
            panics: Count::default(),
            bytes: Count::default(),
            bytes_dropped: Count::default(),
            added: Count::default(),
            metrics,
            tap: Arc::default(),
        }
    }

    /// Counts a batch: what became of it, and how long that took.
    pub(crate) fn add(&self, tally: &Tally, time: Duration) {
        let mut books = self.books.lock();
        books.tally.add(tally);
        books.latency.add_all(time, u32::try_from(tally.records()).unwrap_or(u32::MAX));
    }

    pub(crate) fn books(&self) -> FilterBooks {
        self.books.lock().clone()
    }
}

/// What a filter's lanes count together.
#[derive(Debug, Clone)]
pub(crate) struct FilterBooks {
    pub(crate) tally: Tally,
    /// How long a record took.
    pub(crate) latency: Histogram,
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
    /// How old chunks were when they were delivered, by the input that they came from.
    pub(crate) latency: Shared<BTreeMap<Arc<str>, Histogram>>,
    /// Bytes of stored chunks that wait for it, and how many there may be; 0 for any number.
    pub(crate) stored_bytes: Gauge,
    pub(crate) storage_limit: Count,
    /// What came of the records of each input.
    pub(crate) ways: Shared<BTreeMap<Arc<str>, Way>>,
    /// What the output counts of its own.
    pub(crate) metrics: Metrics,
    pub(crate) trouble: Shared<Option<Trouble>>,
    pub(crate) tap: Arc<Tap>,
}

/// What came of the records on the way from one input to one output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// Records that were delivered.
    pub records: u64,
    /// Their size.
    pub bytes: u64,
    /// Records that were given up.
    pub dropped_records: u64,
    /// Size of the chunks that were given up whole.
    pub dropped_bytes: u64,
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
            latency: Shared::default(),
            stored_bytes: Gauge::default(),
            storage_limit: Count::default(),
            ways: Shared::default(),
            metrics: Metrics::default(),
            trouble: Shared::default(),
            tap: Arc::default(),
        }
    }

    /// Counts on the way from this input.
    pub(crate) fn on_the_way(&self, input: &Arc<str>, count: impl FnOnce(&mut Way)) {
        count(self.ways.lock().entry(Arc::clone(input)).or_default());
    }

    /// Counts a chunk of this input that was delivered when it was so old.
    pub(crate) fn took(&self, input: &Arc<str>, age: Duration) {
        let mut latency = self.latency.lock();
        match latency.get_mut(input) {
            Some(histogram) => histogram.add(age),
            None => {
                let mut histogram = bounds::of_deliveries();
                histogram.add(age);
                latency.insert(Arc::clone(input), histogram);
            }
        }
    }
}

impl InputRow {
    /// Counts on from what the same input of another pipeline, which has ended, has counted.
    fn carry_on(&self, old: &Self) {
        let counts = [
            (&self.records, &old.records),
            (&self.bytes, &old.bytes),
            (&self.skipped_lines, &old.skipped_lines),
            (&self.cut_lines, &old.cut_lines),
            (&self.filtered, &old.filtered),
            (&self.added, &old.added),
            (&self.routed, &old.routed),
            (&self.unrouted, &old.unrouted),
            (&self.unrouted_bytes, &old.unrouted_bytes),
            (&self.failures, &old.failures),
        ];
        carry_on(&counts);
        self.latency.lock().add_counts(&old.latency.lock());
        self.metrics.carry_on(&old.metrics);
        if let (Some(own), Some(old)) = (&self.buffer.ring, &old.buffer.ring) {
            carry_on(&[
                (&own.dropped_chunks, &old.dropped_chunks),
                (&own.dropped_bytes, &old.dropped_bytes),
            ]);
        }
    }
}

impl FilterRow {
    /// As for inputs.
    fn carry_on(&self, old: &Self) {
        let (mut own, old_books) = (self.books.lock(), old.books.lock());
        own.tally.add(&old_books.tally);
        own.latency.add_counts(&old_books.latency);
        self.metrics.carry_on(&old.metrics);
        let counts = [
            (&self.panics, &old.panics),
            (&self.bytes, &old.bytes),
            (&self.bytes_dropped, &old.bytes_dropped),
            (&self.added, &old.added),
        ];
        carry_on(&counts);
    }
}

impl OutputRow {
    /// As for inputs. What was routed and is not settled is routed again.
    fn carry_on(&self, old: &Self) {
        let counts = [
            (&self.routed, &old.delivered),
            (&self.routed, &old.dropped),
            (&self.delivered, &old.delivered),
            (&self.delivered_bytes, &old.delivered_bytes),
            (&self.dropped, &old.dropped),
            (&self.errors, &old.errors),
            (&self.retries, &old.retries),
            (&self.retried, &old.retried),
            (&self.retries_failed, &old.retries_failed),
            (&self.tasks, &old.tasks_settled),
            (&self.tasks_settled, &old.tasks_settled),
        ];
        carry_on(&counts);
        self.metrics.carry_on(&old.metrics);
        for (input, old) in &*old.ways.lock() {
            self.on_the_way(input, |way| {
                way.records += old.records;
                way.bytes += old.bytes;
                way.dropped_records += old.dropped_records;
                way.dropped_bytes += old.dropped_bytes;
            });
        }
        let mut own = self.latency.lock();
        for (input, old) in &*old.latency.lock() {
            own.entry(Arc::clone(input)).or_insert_with(bounds::of_deliveries).add_counts(old);
        }
    }
}

fn carry_on(counts: &[(&Count, &Count)]) {
    for (new, old) in counts {
        new.carry_on(old);
    }
}

/// A parser, which is counted only by itself.
#[derive(Debug, Clone)]
pub(crate) struct ParserRow {
    pub(crate) name: Arc<str>,
    pub(crate) metrics: Metrics,
}

/// All rows of a pipeline, in the configuration's order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    pub(crate) parsers: Vec<ParserRow>,
    pub(crate) inputs: Vec<Arc<InputRow>>,
    /// What was in storage at the start.
    pub(crate) leftovers: Option<Arc<InputRow>>,
    pub(crate) filters: Vec<Arc<FilterRow>>,
    pub(crate) outputs: Vec<Arc<OutputRow>>,
}

impl Counters {
    /// Counts on from what a pipeline that has ended has counted. The instances of it that are not here any more.
    pub(crate) fn carry_on(&self, old: &Self) -> Vec<Instance> {
        let mut gone = Vec::new();
        for old in &old.parsers {
            if let Some(row) = self.parsers.iter().find(|row| row.name == old.name) {
                row.metrics.carry_on(&old.metrics);
            }
        }
        for old in &old.inputs {
            match self.inputs.iter().find(|row| row.instance.is_same(&old.instance)) {
                Some(row) => row.carry_on(old),
                None => gone.push(old.instance.clone()),
            }
        }
        for old in &old.filters {
            match self.filters.iter().find(|row| row.instance.is_same(&old.instance)) {
                Some(row) => row.carry_on(old),
                None => gone.push(old.instance.clone()),
            }
        }
        for old in &old.outputs {
            match self.outputs.iter().find(|row| row.instance.is_same(&old.instance)) {
                Some(row) => row.carry_on(old),
                None => gone.push(old.instance.clone()),
            }
        }
        gone
    }
}
