//! The agent's modes: help, version, a dry run, and the run itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context;
use flb_pipeline::{Meter, Pipeline, Report, Stop};

use crate::command_line::{self, Mistake, Request};
use crate::help::{AgentHelp, PluginHelp, VERSION};
use crate::logging::Log;
use crate::{configuration, exit, signals};

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
        Ok(Request::Version) => return print(format_args!("{VERSION}\n")),
        Err(mistake) => return Ok(explain(&mistake)),
    };
    for warning in &line.warnings {
        eprintln!("warning: {warning}");
    }
    if !line.quiet {
        eprintln!("{VERSION}\nA log pipeline that is configured like Fluent Bit\n");
    }
    if let Some(folder) = &line.workdir
        && let Err(error) = std::env::set_current_dir(folder)
    {
        eprintln!("error: cannot change to the directory '{}': {error}", folder.display());
        return Ok(exit::START);
    }
    let log = Log::install(line.log_level());
    let pipeline = configuration::build(&line, environment, &log);
    match (pipeline, line.dry_run) {
        (Ok(pipeline), true) => {
            drop(pipeline);
            eprintln!("configuration test is successful");
            Ok(exit::DONE)
        }
        (Ok(pipeline), false) => operate(pipeline),
        (Err(_), true) => {
            eprintln!("configuration test has failed");
            Ok(exit::CONFIG)
        }
        (Err(refused), false) => Ok(refused.code),
    }
}

/// Runs the pipeline until it has stopped.
fn operate(pipeline: Pipeline) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (stop, meter) = (Stop::default(), pipeline.meter());
    signals::listen(stop.clone(), move || cut_off(&meter)).context("cannot listen to signals")?;
    tracing::info!("[flb-agent] version={}, pid={}", env!("CARGO_PKG_VERSION"), std::process::id());
    let report = runtime.block_on(pipeline.run(&stop));
    // A read of standard input cannot be cancelled; the process does not wait for it.
    runtime.shutdown_background();
    match report {
        Ok(report) => {
            log_report(&report);
            Ok(exit::DONE)
        }
        Err(error) => {
            tracing::error!("[engine] {error}");
            Ok(exit::START)
        }
    }
}

/// Threads for inputs and outputs. Filters have threads of their own.
const WORKERS: usize = 2;

/// Ends the process while the pipeline drains.
fn cut_off(meter: &Meter) {
    let report = meter.read();
    log_report(&report);
    tracing::error!("[engine] cut off by a second signal: {} records are lost", report.pending());
    std::process::exit(exit::CONFIG.into());
}

fn log_report(report: &Report) {
    for line in report.lines() {
        tracing::info!("{line}");
    }
}

fn explain(mistake: &Mistake) -> u8 {
    eprintln!("error: {}", mistake.message);
    if let Some(help) = &mistake.help {
        eprintln!("help: {help}");
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
