//! The agent's modes: help, version, a dry run, and the run itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use flb_config::{Diagnostic, Diagnostics, Document};
use flb_plugin::Shared;
use flb_text::tame;

use crate::command_line::{self, CommandLine, Mistake, Request};
use crate::configuration::Origin;
use crate::descriptors::Descriptors;
use crate::help::{AgentHelp, PluginHelp, VERSION};
use crate::logging::Log;
use crate::operate::operate;
use crate::{completions, configuration, exit, man, schema};

/// Does what the arguments ask for; returns the exit code.
pub(crate) fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<u8> {
    let registry = &flb_plugins::REGISTRY;
    let line = match command_line::read(arguments, registry) {
        Ok(Request::Run(line)) => line,
        Ok(Request::Help) => return print(AgentHelp(registry)),
        Ok(Request::PluginHelp(role, name)) => {
            let help = PluginHelp::find(registry, role, &name);
            return print(help.context("the plugin is gone")?);
        }
        Ok(Request::Json(None)) => return print(schema::all(registry)),
        Ok(Request::Json(Some((role, name)))) => {
            let help = PluginHelp::find(registry, role, &name).context("the plugin is gone")?;
            return print(schema::one(&help));
        }
        Ok(Request::Version) => return print(format_args!("{VERSION}\n")),
        Ok(Request::Completions(shell)) => return print(completions::script(shell, registry)),
        Ok(Request::Man) => return print(man::page(registry)),
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
    found.extend(line.warnings.iter().map(Diagnostic::warning));
    let changed = line.workdir.as_deref().map_or(Ok(()), |folder| {
        std::env::set_current_dir(folder).map_err(|error| {
            format!("cannot change to the directory '{}': {error}", folder.display())
        })
    });
    found.extend(changed.err().map(Diagnostic::error));
    log.show(&found, &Document::default());
    (!found.has_errors()).then_some(log)
}

fn explain(mistake: &Mistake) -> u8 {
    eprintln!("error: {}", tame(&mistake.message));
    if let Some(help) = &mistake.help {
        eprintln!("help: {}", tame(help));
    }
    eprintln!("\nTry 'flb-agent --help'.");
    exit::CONFIG
}

/// Writes to standard output. Somebody who stops reading has read enough.
fn print(text: impl Display) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(exit::DONE),
    }
}
