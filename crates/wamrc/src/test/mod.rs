//! Runs cases through a filter, and says which answers are not as they must be.

pub(crate) mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flb_cli::offer;
use flb_runtime::EventFormat;

use crate::call::{self, Call, Grants};
use crate::cases;
use crate::duration::deadline;
use crate::output::Outcome;
use crate::usage::UsageError;
use crate::{project, suite};

/// Run cases through a filter: records, and what must come of them
#[derive(Debug, Args)]
#[command(
    override_usage = "flb-wamrc test [options] [FILE.wasm|FILE.aot] [CASES.yaml|CASES.jsonl ..]"
)]
pub(crate) struct TestArgs {
    /// Print for people (text), for CI (junit, github) or one JSON object a case (json)
    #[arg(long, value_name = "text|junit|github|json", default_value = "text",
        hide_default_value = true, hide_possible_values = true,
        value_parser = offer(format, FORMATS.map(|(name, _)| name)))]
    format: Format,
    #[command(flatten)]
    tried: Tried,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// Who reads what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Junit,
    Github,
    Json,
}

const FORMATS: [(&str, Format); 4] = [
    ("text", Format::Text),
    ("junit", Format::Junit),
    ("github", Format::Github),
    ("json", Format::Json),
];

fn format(name: &str) -> Result<Format, UsageError> {
    let format = FORMATS.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
    let help = "write --format=text, junit, github or json";
    format.ok_or_else(|| UsageError::new(format!("'{name}' is no format of a report"), help))
}

// How the filter is called where cases don't say it. No documentation comment: clap would take it for the command's.
#[derive(Debug, Args)]
pub(crate) struct Tried {
    /// The exported function that is the filter, for cases that name none
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    function: Option<String>,
    /// How records are handed over by the six-argument ABI, as Event_Format (default json)
    #[arg(long, value_name = "json|msgpack", allow_hyphen_values = true, hide_possible_values = true,
        value_parser = offer(call::format, ["json", "msgpack"]))]
    event_format: Option<EventFormat>,
    /// Longest time for one call, as Deadline, such as 20ms (default 1s)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = deadline)]
    deadline: Option<Duration>,
    #[command(flatten)]
    pub(crate) grants: Grants,
}

impl Tried {
    pub(crate) fn call(&self) -> Call {
        Call {
            function: self.function.clone(),
            format: self.event_format,
            deadline: self.deadline,
            ..Call::default()
        }
    }
}

/// The command `test`.
pub(crate) fn run(args: &TestArgs) -> anyhow::Result<Outcome> {
    let (filter, files) = project::filter(&args.files)?;
    let cases = cases::read(files)?;
    let answers = suite::run(&filter, (&args.tried.call(), &args.tried.grants), &cases)?;
    let told: Vec<_> = cases.iter().zip(&answers).collect();
    match args.format {
        Format::Text => report::text(&told),
        Format::Junit => report::junit(&filter, &told),
        Format::Github => report::github(&told),
        Format::Json => report::json(&told),
    }?;
    let passed = answers.iter().all(|answers| answers.passed);
    Ok(if passed { Outcome::Done } else { Outcome::Problems })
}
