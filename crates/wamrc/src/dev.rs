//! Watches a filter's folder: whenever a file is saved it builds, runs the cases, and shows whose answers are others than before.
//!
//! Files are looked at several times a second rather than watched by the system: a filter's folder has few, and what builds
//! write is left out before it is looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anstyle::Style;
use anyhow::Context as _;
use clap::Args;

use crate::cases::{self, Case};
use crate::differences::differences;
use crate::folder::files;
use crate::input;
use crate::output::{Line, Outcome, note, show_lines};
use crate::project;
use crate::suite::{self, Answers};
use crate::test::{Tried, report};

/// How long it waits before it looks again.
const PAUSE: Duration = Duration::from_millis(200);

/// Build and test whenever a file is saved, and show which answers change
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc dev [options] [FILE.wasm] [CASES.yaml|CASES.jsonl ..]")]
pub(crate) struct DevArgs {
    /// The command that builds the module (default: make)
    #[arg(
        long,
        value_name = "COMMAND",
        allow_hyphen_values = true,
        default_value = "make",
        hide_default_value = true
    )]
    build: String,
    #[command(flatten)]
    tried: Tried,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// The command `dev`. It ends when it is told to.
pub(crate) fn run(args: &DevArgs) -> anyhow::Result<Outcome> {
    // What builds write need not be there yet; nobody would ever miss a file of cases that is not.
    let (_, cases) = project::named(&args.files);
    cases.iter().try_for_each(|file| input::text(file).map(drop))?;
    let mut before = None;
    let mut known = None;
    loop {
        let files = files()?;
        if known.as_ref() != Some(&files) {
            match round(args, before.as_ref()) {
                Ok(answers) => before = Some(answers),
                Err(error) => note(format_args!("{error:#}")),
            }
            note("watching: save a file to build and test again");
            known = Some(files);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What cases answered, by their file and what they are about.
type Known = BTreeMap<(PathBuf, String), Answers>;

/// Builds and tests once.
fn round(args: &DevArgs, before: Option<&Known>) -> anyhow::Result<Known> {
    build(&args.build)?;
    let (filter, files) = project::filter(&args.files)?;
    let cases = cases::read(files)?;
    let answers = suite::run(&filter, (&args.tried.call(), &args.tried.grants), &cases)?;
    let told: Vec<_> = cases.iter().zip(&answers).collect();
    for (case, answers) in &told {
        show_lines(&changes(case, answers, before))?;
    }
    show_lines(&[report::sum(&told)])?;
    let known = told.into_iter().map(|(case, answers)| (name(case), answers.clone()));
    Ok(known.collect())
}

fn build(command: &str) -> anyhow::Result<()> {
    let built = Command::new("sh").arg("-c").arg(command).status();
    let built = built.with_context(|| format!("cannot run {command}"))?;
    anyhow::ensure!(
        built.success(),
        "{command} failed, {built}; help: the cases run when it passes"
    );
    Ok(())
}

fn name(case: &Case) -> (PathBuf, String) {
    (case.file.clone(), case.about.clone())
}

/// A case that is new, as `test` shows it; one whose answers are others than before, with what changed; else only a failure.
fn changes(case: &Case, answers: &Answers, before: Option<&Known>) -> Vec<Line> {
    let lines = report::lines(case, answers);
    match before.and_then(|before| before.get(&name(case))) {
        None => lines,
        Some(old) if old.found != answers.found => {
            let changed = Line::of(Style::new().bold(), format!("changed: {}", case.about));
            let differences = differences(&old.found, &answers.found);
            std::iter::once(changed).chain(differences).chain(lines.into_iter().take(1)).collect()
        }
        Some(_) if answers.passed => Vec::new(),
        Some(_) => lines,
    }
}
