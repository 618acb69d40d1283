//! What became of all records: read from the counters at any time, and logged at the end.

use std::fmt;
use std::sync::Arc;

use flb_event::Tag;
use flb_plugin::{Books, Histogram, Reading, Tally};

use tokio::time::Instant;

use super::counters::{Counters, FilterBooks, Hop, InputRow, Way};
use super::trouble::TroubleReport;
use crate::instance::Instance;

/// An input's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct InputReport {
    /// Which input.
    pub instance: Instance,
    /// Records taken from it.
    pub records: u64,
    /// Their size.
    pub bytes: u64,
    /// Lines that were too long, and skipped.
    pub skipped_lines: u64,
    /// Lines that were too long, and cut off.
    pub cut_lines: u64,
    /// Records that its filters removed.
    pub filtered: u64,
    /// Records that its filters added, where one became several.
    pub added: u64,
    /// Records that matched no output.
    pub unrouted: u64,
    /// Their size.
    pub unrouted_bytes: u64,
    /// Records taken from it that have not left its lane.
    pub pending: u64,
    /// Times that it ended with an error or a panic.
    pub failures: u64,
    /// Bytes of its records in memory.
    pub memory: u64,
    /// Where it is paused, if it is limited.
    pub memory_limit: Option<u64>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether its chunks are stored in files.
    pub is_stored: bool,
    /// Whether its oldest chunks give way at its limit.
    pub is_ring: bool,
    /// Chunks that gave way.
    pub overwritten_chunks: u64,
    /// Their size.
    pub overwritten_bytes: u64,
    /// Its chunks that are open or on their way to outputs.
    pub chunks: u64,
    /// Those of them that are in memory.
    pub chunks_up: u64,
    /// Those of them that are in their files only.
    pub chunks_down: u64,
    /// Those on their way.
    pub chunks_busy: u64,
    /// Size of those on their way.
    pub busy_bytes: u64,
    /// How long batches took from the input, through its filters, into their chunks.
    pub latency: Histogram,
    /// What it counts of its own.
    pub metrics: Vec<Reading>,
    /// The tags that its records have, as far as they were looked at.
    pub tags: Vec<Tag>,
    /// The ways that records of these tags take.
    pub hops: Vec<Hop>,
}

/// A filter's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterReport {
    /// Which filter.
    pub instance: Instance,
    /// What became of the records.
    pub tally: Tally,
    /// Batches that it panicked on; their records count as kept.
    pub panics: u64,
    /// Bytes that left it.
    pub bytes: u64,
    /// Bytes by which batches became smaller.
    pub bytes_dropped: u64,
    /// Records by which batches grew.
    pub added: u64,
    /// How long a record took: its share of its batch's time.
    pub latency: Histogram,
    /// What it counts of its own.
    pub metrics: Vec<Reading>,
}

impl FilterReport {
    /// Records that left it.
    pub fn passed(&self) -> u64 {
        self.tally.emitted()
    }

    /// What became of the records that went in, by the names that metrics use: each is in one of these.
    pub fn verdicts(&self) -> [(&'static str, u64); 5] {
        [
            ("kept", self.tally.kept),
            ("replaced", self.tally.replaced),
            ("dropped", self.tally.dropped),
            ("dropped_by_failure", self.tally.dropped_by_failure()),
            ("quarantined", self.tally.quarantined()),
        ]
    }
}

/// An output's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputReport {
    /// Which output.
    pub instance: Instance,
    /// Records that were sent to it.
    pub records: u64,
    /// Records that it took.
    pub delivered: u64,
    /// Size of those.
    pub delivered_bytes: u64,
    /// Records given up: refused for good, or out of retries.
    pub dropped: u64,
    /// Records sent to it whose fate is open.
    pub pending: u64,
    /// Those of them that are in storage.
    pub stored: u64,
    /// Size of the stored chunks.
    pub stored_bytes: u64,
    /// Times that it refused a chunk for good, or panicked.
    pub errors: u64,
    /// Times that a chunk was put off.
    pub retries: u64,
    /// Records in chunks that were put off, as often as they were.
    pub retried: u64,
    /// Chunks that ran out of retries.
    pub retries_failed: u64,
    /// Chunks sent to it whose fate is open.
    pub pending_tasks: u64,
    /// Those of them that it is delivering.
    pub under_way: u64,
    /// How old chunks were when it took them, by the input that they came from.
    pub latency: Vec<(Arc<str>, Histogram)>,
    /// The part of its room for stored chunks that is free, in percent.
    pub free_percent: f64,
    /// What came of the records of each input.
    pub ways: Vec<(Arc<str>, Way)>,
    /// What it counts of its own.
    pub metrics: Vec<Reading>,
    /// What it is in trouble with, if it is.
    pub trouble: Option<TroubleReport>,
}

/// A parser's numbers: those that it counts of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct ParserReport {
    /// Its name, by which inputs and filters name it.
    pub name: Arc<str>,
    /// What it counts.
    pub metrics: Vec<Reading>,
}

/// The numbers of a whole pipeline, in the configuration's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The parsers that the configuration makes.
    pub parsers: Vec<ParserReport>,
    /// The inputs. What was in storage at the start is one more, the last, if there was any.
    pub inputs: Vec<InputReport>,
    /// The filters.
    pub filters: Vec<FilterReport>,
    /// The outputs.
    pub outputs: Vec<OutputReport>,
    /// What the process is to exit with, if nothing else went wrong: an input's wish.
    pub code: u8,
}

impl Report {
    /// Reads the counters. While the pipeline runs, rows may be a batch apart from each other.
    pub(crate) fn of(counters: &Counters) -> Self {
        let found = |row: &&Arc<InputRow>| row.records.get() > 0;
        let leftovers = counters.leftovers.iter().filter(found);
        let inputs = counters.inputs.iter().chain(leftovers).map(|row| {
            let records = row.records.get();
            let gone = row.filtered.get() + row.unrouted.get() + row.routed.get();
            let added = row.added.get();
            let ways = row.ways.lock().clone();
            InputReport {
                instance: row.instance.clone(),
                records,
                bytes: row.bytes.get(),
                skipped_lines: row.skipped_lines.get(),
                cut_lines: row.cut_lines.get(),
                filtered: row.filtered.get(),
                added,
                unrouted: row.unrouted.get(),
                unrouted_bytes: row.unrouted_bytes.get(),
                pending: (records + added).saturating_sub(gone),
                failures: row.failures.get(),
                memory: row.buffer.used() as u64,
                memory_limit: row.buffer.limit.map(|limit| limit as u64),
                paused: row.buffer.is_paused() || row.waiting.get() > 0,
                is_stored: row.is_stored,
                is_ring: row.buffer.ring.is_some(),
                overwritten_chunks: row
                    .buffer
                    .ring
                    .as_ref()
                    .map_or(0, |ring| ring.dropped_chunks.get()),
                overwritten_bytes: row
                    .buffer
                    .ring
                    .as_ref()
                    .map_or(0, |ring| ring.dropped_bytes.get()),
                chunks: row.chunks.get(),
                chunks_up: row.chunks.get().saturating_sub(row.chunks_down.get()),
                chunks_down: row.chunks_down.get(),
                chunks_busy: row.chunks_busy.get(),
                busy_bytes: row.busy_bytes.get(),
                latency: row.latency.lock().clone(),
                metrics: row.metrics.read(),
                tags: ways.tags.into_iter().collect(),
                hops: ways.hops.into_iter().collect(),
            }
        });
        let filters = counters.filters.iter().map(|row| {
            let FilterBooks { tally, latency } = row.books();
            FilterReport {
                instance: row.instance.clone(),
                tally,
                panics: row.panics.get(),
                bytes: row.bytes.get(),
                bytes_dropped: row.bytes_dropped.get(),
                added: row.added.get(),
                latency,
                metrics: row.metrics.read(),
            }
        });
        let outputs = counters.outputs.iter().map(|row| {
            let (records, delivered, dropped) =
                (row.routed.get(), row.delivered.get(), row.dropped.get());
            OutputReport {
                instance: row.instance.clone(),
                records,
                delivered,
                delivered_bytes: row.delivered_bytes.get(),
                dropped,
                pending: records.saturating_sub(delivered + dropped),
                stored: row.stored.get(),
                stored_bytes: row.stored_bytes.get(),
                errors: row.errors.get(),
                retries: row.retries.get(),
                retried: row.retried.get(),
                retries_failed: row.retries_failed.get(),
                under_way: row.under_way.get(),
                latency: row.latency.lock().clone().into_iter().collect(),
                free_percent: free_percent(row.stored_bytes.get(), row.storage_limit.get()),
                ways: row.ways.lock().clone().into_iter().collect(),
                metrics: row.metrics.read(),
                pending_tasks: row.tasks.get().saturating_sub(row.tasks_settled.get()),
                trouble: row.trouble.lock().as_ref().map(|trouble| trouble.report(Instant::now())),
            }
        });
        let parsers = counters
            .parsers
            .iter()
            .map(|row| ParserReport { name: Arc::clone(&row.name), metrics: row.metrics.read() });
        Self {
            parsers: parsers.collect(),
            inputs: inputs.collect(),
            filters: filters.collect(),
            outputs: outputs.collect(),
            code: 0,
        }
    }

    /// Records that are still on their way. One that waits for several outputs counts for each.
    pub fn pending(&self) -> u64 {
        let inputs: u64 = self.inputs.iter().map(|row| row.pending).sum();
        let outputs: u64 = self.outputs.iter().map(|row| row.pending).sum();
        inputs + outputs
    }

    /// Those of them that are in storage, and outlive the pipeline.
    pub fn stored(&self) -> u64 {
        self.outputs.iter().map(|row| row.stored).sum()
    }

    /// Those of them that are not in storage: after the end they are lost.
    pub fn lost(&self) -> u64 {
        self.pending().saturating_sub(self.stored())
    }

    /// Chunks whose fate at some output is open.
    pub fn pending_tasks(&self) -> u64 {
        self.outputs.iter().map(|row| row.pending_tasks).sum()
    }

    /// The lines of certain instances.
    pub(crate) fn lines_of(&self, instances: &[Instance]) -> Vec<String> {
        let is_asked = |instance: &Instance| instances.contains(instance);
        let inputs = self.inputs.iter().filter(|row| is_asked(&row.instance));
        let filters = self.filters.iter().filter(|row| is_asked(&row.instance));
        let outputs = self.outputs.iter().filter(|row| is_asked(&row.instance));
        let inputs = inputs.map(ToString::to_string);
        inputs
            .chain(filters.map(ToString::to_string))
            .chain(outputs.map(ToString::to_string))
            .collect()
    }

    /// One line an instance, for the log.
    pub fn lines(&self) -> Vec<String> {
        let inputs = self.inputs.iter().map(ToString::to_string);
        let filters = self.filters.iter().map(ToString::to_string);
        let outputs = self.outputs.iter().map(ToString::to_string);
        inputs.chain(filters).chain(outputs).collect()
    }
}

/// What is left of a limit, where 0 is none.
fn free_percent(used: u64, limit: u64) -> f64 {
    match limit {
        0 => 100.0,
        limit => (100.0 * (1.0 - used as f64 / limit as f64)).max(0.0),
    }
}

/// Writes `, n word` unless `n` is zero.
fn unless_zero(f: &mut fmt::Formatter<'_>, n: u64, word: &str) -> fmt::Result {
    if n == 0 { Ok(()) } else { write!(f, ", {n} {word}") }
}

/// Writes what an instance counts of its own, where there is a word for it.
fn in_words(f: &mut fmt::Formatter<'_>, metrics: &[Reading]) -> fmt::Result {
    metrics.iter().try_for_each(|reading| f.write_str(&reading.in_words()))
}

impl fmt::Display for InputReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {} records, {} bytes", self.instance, self.records, self.bytes)?;
        unless_zero(f, self.unrouted, "matched no output")?;
        unless_zero(f, self.overwritten_chunks, "chunks gave way to newer ones")?;
        unless_zero(f, self.pending, "lost on the way")?;
        in_words(f, &self.metrics)?;
        unless_zero(f, self.failures, "failures")
    }
}

impl fmt::Display for FilterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, tally, metrics, .. } = self;
        write!(f, "[{instance}] {}", Books { tally, metrics })?;
        unless_zero(f, self.panics, "panics")
    }
}

impl fmt::Display for OutputReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {} records: ", self.instance, self.records)?;
        write!(f, "{} delivered, {} dropped", self.delivered, self.dropped)?;
        unless_zero(f, self.pending.saturating_sub(self.stored), "lost on the way")?;
        unless_zero(f, self.stored, "in storage")?;
        in_words(f, &self.metrics)?;
        unless_zero(f, self.errors, "errors")?;
        unless_zero(f, self.retries, "retries")?;
        unless_zero(f, self.retries_failed, "chunks out of retries")
    }
}
