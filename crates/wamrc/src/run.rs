//! Runs a filter on one record and prints its verdict, or on those of a file or of standard input and prints what comes of them.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use flb_event::{ChunkBuilder, Event, Tag, Timestamp};
use flb_runtime::FilterInstance;
use flb_text::tame_line;

use crate::call::{Call, Grants, denied, load};
use crate::fate;
use crate::input;
use crate::output::{Outcome, aside, note, say, say_json};
use crate::record::{record, text, time};
use crate::records::{Numbered, Records};
use crate::usage::UsageError;

/// Records that are given to the filter together, at most.
const BATCH: usize = 256;

/// Run a filter on one record, or on those of a file, and print what comes of them
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc run [options] FILE.wasm|FILE.aot")]
pub(crate) struct RunArgs {
    /// The record's body, a JSON object; @FILE takes it from a file, - from standard input
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    record: Option<String>,
    /// Run it on the records of this file, a JSON object a line; - takes them from standard input
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, conflicts_with = "record")]
    records: Option<PathBuf>,
    /// The record's tag (default: flb-wamrc)
    #[arg(
        long,
        value_name = "TAG",
        allow_hyphen_values = true,
        default_value = "flb-wamrc",
        hide_default_value = true
    )]
    tag: String,
    /// The record's time (default: 0)
    #[arg(
        long,
        value_name = "SEC[.FRACTION]",
        allow_hyphen_values = true,
        default_value = "0",
        hide_default_value = true
    )]
    time: String,
    #[command(flatten)]
    call: Call,
    #[command(flatten)]
    grants: Grants,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// The command `run`.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    let file = input::only_file(&args.files)?;
    let body = record(args.record.as_deref())?;
    if body.is_none() && args.records.is_none() {
        let help = "add one: --record '{\"log\":\"hello\"}', or --records FILE";
        return Err(UsageError::new("no record was given", help).into());
    }
    let (tag, time) = (Tag::new(args.tag.as_str())?, time(&args.time)?);
    let module = load(file, &args.call, &args.grants)?;
    module.notes().iter().for_each(note);
    for import in module.unknown_imports() {
        note(format_args!("nobody provides {import}; calling it traps"));
    }
    let mut instance = module.instantiate().with_context(|| file.display().to_string())?;
    let outcome = match (body, &args.records) {
        (Some(body), _) => run_one(&mut instance, &tag, (time, &body)),
        (None, records) => {
            let records = Records::open(records.as_deref().unwrap_or(file))?;
            run_all(&mut instance, &tag, (time, records))
        }
    };
    instance.denied().iter().for_each(|path| note(denied(path)));
    outcome.with_context(|| file.display().to_string())
}

fn run_one(
    instance: &mut FilterInstance,
    tag: &Tag,
    (time, body): (Timestamp, &[u8]),
) -> anyhow::Result<Outcome> {
    let event = Event { time, metadata: Event::NO_METADATA, body };
    print(&instance.ask(tag, event)?)?;
    Ok(Outcome::Done)
}

/// Prints the records that come of a file's. How many there were, and what failed, is said on stderr.
fn run_all(
    instance: &mut FilterInstance,
    tag: &Tag,
    (time, mut records): (Timestamp, Records),
) -> anyhow::Result<Outcome> {
    let mut sum = Sum::default();
    loop {
        let batch = records.batch(BATCH)?;
        if batch.is_empty() {
            break;
        }
        run_batch(instance, (tag, time), &batch, &mut sum)?;
    }
    let Sum { passed, dropped, failed } = sum;
    let all = passed + dropped + failed;
    note(format_args!("{all} records: {passed} pass, {dropped} dropped, {failed} fail"));
    Ok(if failed == 0 { Outcome::Done } else { Outcome::Problems })
}

/// What became of records.
#[derive(Default)]
struct Sum {
    passed: u64,
    dropped: u64,
    failed: u64,
}

fn run_batch(
    instance: &mut FilterInstance,
    (tag, time): (&Tag, Timestamp),
    numbered: &[Numbered],
    sum: &mut Sum,
) -> anyhow::Result<()> {
    let mut batch = ChunkBuilder::new(tag.clone());
    for (_, body) in numbered {
        batch.push(Event { time, metadata: Event::NO_METADATA, body })?;
    }
    let fates = fate::ask(instance, &batch.build());
    for ((line, body), fate) in numbered.iter().zip(fates) {
        match fate {
            Ok(made) if made.is_empty() => sum.dropped += 1,
            Ok(made) => {
                sum.passed += 1;
                made.iter().try_for_each(|made| say_json(text(&made.body)?))?;
            }
            Err(error) => {
                sum.failed += 1;
                let (class, record) = (error.class().name(), text(body)?);
                aside(format_args!(
                    "line {line} fails: {class}: {error}, on {}",
                    tame_line(&record)
                ));
            }
        }
    }
    Ok(())
}

/// Prints the records that became of one.
fn print(bodies: &[Vec<u8>]) -> anyhow::Result<()> {
    if bodies.is_empty() {
        say("dropped\n")?;
    }
    bodies.iter().try_for_each(|body| say_json(text(body)?))
}
