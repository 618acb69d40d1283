//! Runs a filter on one record and prints its verdict.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use flb_event::{Event, Tag};

use crate::call::{Call, Grants, denied, load};
use crate::input;
use crate::output::{Outcome, note, say, say_json};
use crate::record::{record, text, time};
use crate::usage::UsageError;

/// Run a filter on one record and print its verdict
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc run [options] FILE.wasm|FILE.aot")]
pub(crate) struct RunArgs {
    /// The record's body, a JSON object; @FILE takes it from a file, - from standard input
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    record: Option<String>,
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
    let body = record(args.record.as_deref())?.ok_or_else(|| {
        UsageError::new("no record was given", "add one: --record '{\"log\":\"hello\"}'")
    })?;
    let tag = Tag::new(args.tag.as_str())?;
    let time = time(&args.time)?;
    let module = load(file, &args.call, &args.grants)?;
    module.notes().iter().for_each(note);
    for import in module.unknown_imports() {
        note(format_args!("nobody provides {import}; calling it traps"));
    }
    let mut instance = module.instantiate().with_context(|| file.display().to_string())?;
    let event = Event { time, metadata: Event::NO_METADATA, body: &body };
    let answer = instance.ask(&tag, event);
    answer.iter().try_for_each(|bodies| print(bodies))?;
    instance.denied().iter().for_each(|path| note(denied(path)));
    answer.map(|_| Outcome::Done).with_context(|| file.display().to_string())
}

/// Prints the records that became of one.
fn print(bodies: &[Vec<u8>]) -> anyhow::Result<()> {
    if bodies.is_empty() {
        say("dropped\n")?;
    }
    bodies.iter().try_for_each(|body| say_json(text(body)?))
}
