//! `flb-wamrc`: compiles WebAssembly filters to native artifacts ahead of time, and looks at what came out.

#[cfg(feature = "run")]
mod bench;
#[cfg(feature = "run")]
mod call;
#[cfg(feature = "run")]
mod cases;
#[cfg(feature = "run")]
mod check;
mod command_line;
mod compile;
mod compile_options;
mod completions;
#[cfg(feature = "run")]
mod dev;
#[cfg(feature = "run")]
mod differences;
mod disasm;
#[cfg(all(test, feature = "run"))]
mod docs;
#[cfg(feature = "run")]
mod duration;
#[cfg(feature = "run")]
mod fate;
mod features;
#[cfg(feature = "run")]
mod findings;
#[cfg(feature = "run")]
mod folder;
#[cfg(feature = "run")]
mod groups;
#[cfg(feature = "run")]
mod growth;
mod input;
mod inspect;
mod keys;
mod man;
mod module;
mod new;
mod original;
mod output;
#[cfg(feature = "run")]
mod probe;
#[cfg(feature = "run")]
mod project;
#[cfg(feature = "run")]
mod record;
#[cfg(feature = "run")]
mod records;
#[cfg(feature = "run")]
mod replay;
mod request;
#[cfg(not(feature = "run"))]
#[path = "without_run.rs"]
mod run;
#[cfg(feature = "run")]
mod run;
#[cfg(feature = "run")]
mod suite;
mod targets;
#[cfg(feature = "run")]
mod test;
mod usage;
mod verify;
mod versions;

use std::ffi::OsString;
use std::process::ExitCode;

use command_line::Understood;
use output::{Outcome, complain, show};
#[cfg(not(feature = "run"))]
use {run as bench, run as check, run as dev, run as replay, run as test};

/// Exit code of every failure, be it of usage, input or output, and of every problem that was looked for and found.
const FAILURE: u8 = 1;
/// Exit code of `bench` when a filter takes more than its budget.
const OVER_BUDGET: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match dispatch(&arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(FAILURE),
        Ok(Outcome::OverBudget) => ExitCode::from(OVER_BUDGET),
        Err(error) => {
            complain(&error, is_for_a_program(&arguments));
            ExitCode::from(FAILURE)
        }
    }
}

/// Whether a program reads what comes out, so that failures are JSON, too, even those of usage.
fn is_for_a_program(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

fn dispatch(words: &[OsString]) -> anyhow::Result<Outcome> {
    let (line, notes) = match command_line::read(words)? {
        Understood::Help(text) => return show(&text),
        Understood::Work(line, notes) => (line, notes),
    };
    match line.command {
        Some(command) => command.run(),
        None => compile::run(line.compile, notes),
    }
}
