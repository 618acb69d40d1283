//! `flb-wamrc`: compiles WebAssembly filters to native artifacts ahead of time, and looks at what came out.

#[cfg(feature = "run")]
mod check;
mod commands;
mod compile;
mod compile_options;
mod completions;
mod disasm;
#[cfg(test)]
mod docs;
mod features;
#[cfg(feature = "run")]
mod growth;
mod help;
mod input;
mod inspect;
mod keys;
mod man;
mod module;
mod nearest;
mod options;
mod output;
#[cfg(feature = "run")]
mod probe;
#[cfg(feature = "run")]
mod replay;
mod request;
#[cfg(not(feature = "run"))]
#[path = "without_run.rs"]
mod run;
#[cfg(feature = "run")]
mod run;
mod table;
mod targets;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use commands::{COMMANDS, Command};
use options::{Order, read};
use output::{Outcome, complain, say};

/// Exit code of every failure, be it of usage, input or output, and of every problem that was looked for and found.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match dispatch(&arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(FAILURE),
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

fn dispatch(arguments: &[OsString]) -> anyhow::Result<Outcome> {
    let first = arguments.first();
    match COMMANDS.iter().find(|command| first.is_some_and(|word| word == command.name)) {
        Some(command) => run_command(command, &arguments[1..]),
        None => compile::run(arguments),
    }
}

fn run_command(command: &Command, arguments: &[OsString]) -> anyhow::Result<Outcome> {
    let (given, operands) = read(arguments, command.options, Order::Mixed)?;
    if given.show.is_some() {
        say(&help::command(command))?;
        return Ok(Outcome::Done);
    }
    (command.run)(&given, &operands)
}
