//! `flb-wamrc`: compiles WebAssembly filters to native artifacts, ahead of time.
#![expect(clippy::print_stdout, reason = "a command line program talks on stdout")]

mod compile;
mod options;
mod table;

use std::process::ExitCode;

use options::{Command, parse};

/// Exit code of every failure, be it of usage, input or output.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = parse(&arguments).map_err(anyhow::Error::from).and_then(|command| match command {
        Command::Show(text) => {
            print!("{text}");
            Ok(())
        }
        Command::Compile(request) => compile::run(&request),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILURE)
        }
    }
}
