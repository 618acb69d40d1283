//! The agent's modes: help, version, a dry run, and the run itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;

use anstyle::Style;
use anyhow::Context;
use flb_cli::{ERROR, NOTE};
use flb_config::{Diagnostic, Diagnostics, Document};
use flb_plugin::Shared;
use flb_text::tame;

use crate::arguments::{self, Request};
use crate::command_line::{CommandLine, Mistake};
use crate::configuration::Origin;
use crate::descriptors::Descriptors;
use crate::help::VERSION;
use crate::logging::Log;
use crate::operate::operate;
use crate::{configuration, exit, grammar, man, schema, watch};

/// Does what the arguments ask for; returns the exit code.
pub(crate) fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<u8> {
    let registry = &flb_plugins::REGISTRY;
    let line = match arguments::read(arguments, registry) {
        Ok(Request::Run(line)) => line,
        Ok(Request::Help(text)) => return printed(write!(anstream::stdout(), "{}", text.ansi())),
        Ok(Request::Json(None)) => return print(schema::all(registry)),
        Ok(Request::Json(Some(plugin))) => return print(schema::one(&plugin)),
        Ok(Request::Version) => return print(format_args!("{VERSION}\n")),
        Ok(Request::Completions(shell)) => {
            return print(flb_cli::script(shell, grammar::offered(registry)));
        }
        Ok(Request::Man) => return print(man::page(registry)?),
        Ok(Request::Top(watched)) => return watch::top(&watched),
        Ok(Request::Tap(node, watched)) => return watch::tap(&node, &watched),
        Ok(Request::Config(line)) => return show_configuration(&line, environment),
        Err(mistake) => return Ok(explain(&mistake)),
    };
    let banner = format!("{VERSION}\nA log pipeline that is configured like Fluent Bit\n");
    let Some(log) = begin(&line, Some(banner).filter(|_| !line.quiet)) else {
        return Ok(exit::START);
    };
    let dry_run = line.dry_run;
    let (line, environment) = (Arc::new(line), Arc::new(environment));
    let (shared, descriptors) = (Arc::<Shared>::default(), Descriptors::raise());
    let origin = Origin { line, environment, shared, log, descriptors };
    match (configuration::build(&origin), dry_run) {
        (Ok(built), true) => {
            drop(built);
            eprintln!("configuration test is successful");
            Ok(exit::DONE)
        }
        (Ok(built), false) => operate(origin, built),
        (Err(_), true) => {
            eprintln!("configuration test has failed");
            Ok(exit::CONFIG)
        }
        (Err(refused), false) => Ok(refused.code),
    }
}

/// Prints the configuration as it takes effect.
fn show_configuration(
    line: &CommandLine,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<u8> {
    let Some(log) = begin(line, None) else { return Ok(exit::START) };
    match configuration::effective(line, &environment, &log) {
        Ok(text) => print(text),
        Err(refused) => Ok(refused.code),
    }
}

/// Starts the log, says what was passed over, and goes to the directory that the command line names. `None` if that
/// fails, which is said.
fn begin(line: &CommandLine, banner: Option<String>) -> Option<Log> {
    let log = Log::install(line.log_level(), line.log_format, banner);
    let mut found = Diagnostics::default();
    found.extend(line.warnings.iter().map(Mistake::as_warning));
    let changed = line.workdir.as_deref().map_or(Ok(()), |folder| {
        std::env::set_current_dir(folder).map_err(|error| {
            format!("cannot change to the directory '{}': {error}", folder.display())
        })
    });
    found.extend(changed.err().map(Diagnostic::error));
    log.show(&found, &Document::default());
    (!found.has_errors()).then_some(log)
}

/// Says on stderr what is wrong or what to do, in colours where the terminal has them.
pub(crate) fn complain(label: &str, style: Style, text: &str) {
    // When that cannot be written there is nowhere left to say so.
    let _ = writeln!(anstream::stderr().lock(), "{style}{label}:{style:#} {}", tame(text));
}

fn explain(mistake: &Mistake) -> u8 {
    complain("error", ERROR, &mistake.message);
    if let Some(help) = &mistake.help {
        complain("help", NOTE, help);
    }
    let _ = writeln!(io::stderr(), "\nTry 'flb-agent --help'.");
    exit::CONFIG
}

/// Writes to standard output.
fn print(text: impl Display) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    printed(write!(out, "{text}").and_then(|()| out.flush()))
}

/// Somebody who stops reading has read enough.
fn printed(written: io::Result<()>) -> anyhow::Result<u8> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(exit::DONE),
    }
}
