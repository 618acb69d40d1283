//! Measures what a filter costs a record: time and its share in guest and host, memory, records a second.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use flb_event::{Chunk, ChunkBuilder, Event, Tag, Verdict};
use flb_runtime::{Answers, FilterError, FilterInstance, FilterOptions, MOST_RECORDS, Part};
use flb_text::tame_line;
use serde_json::json as object;

use crate::call::{Call, Code, Grants};
use crate::duration::duration;
use crate::findings::size;
use crate::output::{Outcome, note, say, say_json};
use crate::project;
use crate::records::Records;
use crate::usage::UsageError;

/// Measure what a filter costs a record
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc bench [options] [FILE.wasm|FILE.aot]")]
pub(crate) struct BenchArgs {
    /// The records, a JSON object a line; - takes them from standard input (default: records.jsonl)
    #[arg(
        long,
        value_name = "FILE",
        allow_hyphen_values = true,
        default_value = "records.jsonl",
        hide_default_value = true
    )]
    records: PathBuf,
    /// Fail, with exit code 3, if a record takes longer, such as 5us: the median counts
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = duration)]
    budget: Option<Duration>,
    /// Records that are given to the filter together, up to 4096 (default 256)
    #[arg(long, value_name = "N", allow_hyphen_values = true, default_value = "256", hide_default_value = true,
        value_parser = batch_size)]
    batch: usize,
    /// How long it is measured, such as 500ms (default 2s)
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, default_value = "2s",
        hide_default_value = true, value_parser = duration)]
    time: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    call: Call,
    #[command(flatten)]
    grants: Grants,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// As many records as a call has at most, or fewer.
fn batch_size(text: &str) -> Result<usize, UsageError> {
    let size = text.parse().ok().filter(|size| (1..=MOST_RECORDS).contains(size));
    let message = || format!("'{text}' is no number of records for a call");
    size.ok_or_else(|| UsageError::new(message(), format!("give 1 to {MOST_RECORDS}")))
}

/// The command `bench`.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<Outcome> {
    let (filter, rest) = project::filter(&args.files)?;
    if let [extra, ..] = rest {
        let message = format!("'{}' is one word too many", extra.display());
        return Err(UsageError::new(message, "name records with --records FILE").into());
    }
    let batches = batches(args)?;
    let code = Code::read(&filter)?;
    let guest = Arc::<AtomicU64>::default();
    let options = FilterOptions {
        guest_time: Some(Arc::clone(&guest)),
        ..code.options(&args.call, &args.grants)?
    };
    let mut instance = code.load(options)?.instantiate()?;
    let figures = measure(&mut instance, &batches, (args.time, &guest));
    if args.json { say_json(figures.object()) } else { say(&figures.text()) }?;
    Ok(figures.outcome(args.budget))
}

/// The records of the file as batches.
fn batches(args: &BenchArgs) -> anyhow::Result<Vec<Chunk>> {
    let mut records = Records::open(&args.records)?;
    let mut bodies = Vec::new();
    loop {
        let batch = records.batch(usize::MAX)?;
        if batch.is_empty() {
            break;
        }
        bodies.extend(batch.into_iter().map(|(_, body)| body));
    }
    let name = args.records.display();
    anyhow::ensure!(!bodies.is_empty(), "{name} holds no record; help: write a JSON object a line");
    let count = args.batch;
    // A batch is as large as it shall be, even if the file is small.
    let least = bodies.len().next_multiple_of(count);
    let all: Vec<&Vec<u8>> = bodies.iter().cycle().take(least).collect();
    all.chunks(count).map(batch).collect()
}

fn batch(bodies: &[&Vec<u8>]) -> anyhow::Result<Chunk> {
    let mut batch = ChunkBuilder::new(Tag::new("bench")?);
    for body in bodies {
        let (time, metadata) = (Default::default(), Event::NO_METADATA);
        batch.push(Event { time, metadata, body })?;
    }
    Ok(batch.build())
}

/// Where answers go: to memory that is used again, as in the agent.
#[derive(Default)]
struct Sink {
    made: Vec<u8>,
    failed: u64,
    first: Option<FilterError>,
}

impl Answers for Sink {
    fn keep(&mut self, _records: usize) {}

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        verdict.bodies(event.body).for_each(|body| self.made.extend_from_slice(body));
    }

    fn edit(
        &mut self,
        event: Event<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), FilterError>,
    ) {
        if let Err(error) = write(&mut self.made) {
            self.fail(event, error);
        }
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        parts.iter().for_each(|part| self.made.extend_from_slice(part.event.body));
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        self.failed += 1;
        self.first.get_or_insert(error);
    }
}

/// Runs through all batches until the time is over, once at least; before that once to warm up.
fn measure(
    instance: &mut FilterInstance,
    batches: &[Chunk],
    (time, guest): (Duration, &AtomicU64),
) -> Figures {
    let mut sink = Sink::default();
    batches.iter().for_each(|batch| instance.filter(batch, &mut sink));
    guest.store(0, Ordering::Relaxed);
    let mut figures = Figures::default();
    let started = Instant::now();
    while figures.batches.is_empty() || started.elapsed() < time {
        for batch in batches {
            sink.made.clear();
            let begun = Instant::now();
            instance.filter(batch, &mut sink);
            figures.add(begun.elapsed(), batch.len());
        }
    }
    figures.guest = guest.load(Ordering::Relaxed) as f64;
    figures.memory = instance.memory_size();
    (figures.failed, figures.first) = (sink.failed, sink.first);
    figures
}

/// What was measured.
#[derive(Default)]
struct Figures {
    /// Nanoseconds a record, of each batch.
    batches: Vec<f64>,
    records: u64,
    /// Nanoseconds in all, and those in the guest.
    all: f64,
    guest: f64,
    memory: u64,
    /// Calls that failed, and why the first one did.
    failed: u64,
    first: Option<FilterError>,
}

impl Figures {
    fn add(&mut self, taken: Duration, records: usize) {
        let taken = taken.as_nanos() as f64;
        self.batches.push(taken / records as f64);
        self.all += taken;
        self.records += records as u64;
    }

    /// What so many of a hundred batches stay below, in nanoseconds a record.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.batches.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }

    fn rate(&self) -> f64 {
        self.records as f64 * 1e9 / self.all
    }

    /// Of a hundred nanoseconds, those in the guest.
    fn share(&self) -> f64 {
        100.0 * (self.guest / self.all).min(1.0)
    }

    fn text(&self) -> String {
        let (p50, p99, share) = (self.percentile(50), self.percentile(99), self.share());
        let (rate, memory) = (grouped(self.rate()), size(self.memory));
        let host = 100.0 - share;
        let mut text = format!(
            "a record: p50 {p50:.0} ns, p99 {p99:.0} ns\nrate:     {rate} records/s on a core\n\
             share:    {share:.0} % guest, {host:.0} % host\nmemory:   {memory}\n"
        );
        if let Some(first) = &self.first {
            let first = first.to_string();
            text += &format!("failed:   {}, the first with: {}\n", self.failed, tame_line(&first));
        }
        text
    }

    fn object(&self) -> serde_json::Value {
        object!({
            "p50_ns": self.percentile(50), "p99_ns": self.percentile(99),
            "records_per_second": self.rate(), "guest_percent": self.share(),
            "memory_bytes": self.memory, "records": self.records, "failed": self.failed,
            "first_failure": self.first.as_ref().map(ToString::to_string),
        })
    }

    fn outcome(&self, budget: Option<Duration>) -> Outcome {
        if self.failed > 0 {
            return Outcome::Problems;
        }
        let Some(budget) = budget.map(|budget| budget.as_nanos() as f64) else {
            return Outcome::Done;
        };
        let p50 = self.percentile(50);
        if p50 <= budget {
            return Outcome::Done;
        }
        note(format_args!("a record takes {p50:.0} ns, and {budget:.0} ns is the budget"));
        Outcome::OverBudget
    }
}

/// 1234567.8 -> 1,234,567
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_batches() {
        let mut figures = Figures::default();
        (1..=200).for_each(|time| figures.add(Duration::from_nanos(time * 10), 10));
        assert_eq!((figures.percentile(50), figures.percentile(99)), (100.0, 198.0));
        assert_eq!(figures.records, 2_000);
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(12.0), "12");
        let over = Some(Duration::from_nanos(99));
        assert_eq!(figures.outcome(over), Outcome::OverBudget);
        assert_eq!(figures.outcome(Some(Duration::from_nanos(100))), Outcome::Done);
    }
}
