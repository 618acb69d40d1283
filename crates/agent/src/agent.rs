//! The agent's modes: help, version, a dry run, and the run itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context;
use flb_config::{Diagnostic, Diagnostics, Document, tame};
use flb_pipeline::{HttpSettings, Meter, Pipeline, Report, Stop};

use crate::command_line::{self, CommandLine, Mistake, Request};
use crate::help::{AgentHelp, PluginHelp, VERSION};
use crate::logging::Log;
use crate::{api, completions, configuration, exit, man, schema, signals};

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
    let pipeline = configuration::build(&line, environment, &log);
    match (pipeline, line.dry_run) {
        (Ok(pipeline), true) => {
            drop(pipeline);
            eprintln!("configuration test is successful");
            Ok(exit::DONE)
        }
        (Ok((pipeline, http)), false) => operate(pipeline, http, log),
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
    match configuration::effective(line, environment, &log) {
        Ok(text) => print(text),
        Err(refused) => Ok(refused.code),
    }
}

/// Starts the log, says what was passed over, and goes to the directory that the command line names. Nothing if that
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

/// Runs the pipeline until it has stopped.
fn operate(pipeline: Pipeline, http: HttpSettings, log: Log) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (stop, meter) = (Stop::default(), pipeline.meter());
    let last = log.clone();
    signals::listen(stop.clone(), move || cut_off(&meter, &last))
        .context("cannot listen to signals")?;
    tracing::info!("[flb-agent] version={}, pid={}", env!("CARGO_PKG_VERSION"), std::process::id());
    let server = match http.is_on {
        true => match runtime.block_on(api::listen(&http, pipeline.meter())) {
            Ok(server) => Some(server),
            Err(error) => {
                tracing::error!("[http_server] {error:#}");
                return Ok(exit::START);
            }
        },
        false => None,
    };
    let report = runtime.block_on(async {
        let Some(server) = server else { return pipeline.run(&stop).await };
        tokio::select! {
            report = pipeline.run(&stop) => report,
            never = forever(server.run()) => match never {},
        }
    });
    // A read of standard input cannot be cancelled; the process does not wait for it.
    runtime.shutdown_background();
    log.finish();
    match report {
        Ok(report) => {
            log_report(&report);
            Ok(exit::DONE)
        }
        Err(error) => {
            tracing::error!("{error}");
            Ok(exit::START)
        }
    }
}

/// Runs `future`, and then does not end.
async fn forever(future: impl Future<Output = ()>) -> std::convert::Infallible {
    future.await;
    std::future::pending().await
}

/// Threads for inputs and outputs. Filters have threads of their own.
const WORKERS: usize = 2;

/// Ends the process while the pipeline drains.
fn cut_off(meter: &Meter, log: &Log) {
    let report = meter.read();
    log.finish();
    log_report(&report);
    let (lost, stored) = (report.lost(), report.stored());
    tracing::error!("[engine] cut off by a second signal: {lost} records are lost");
    if stored > 0 {
        tracing::warn!("[engine] {stored} records stay in storage until the next start");
    }
    std::process::exit(exit::CONFIG.into());
}

fn log_report(report: &Report) {
    for line in report.lines() {
        tracing::info!("{line}");
    }
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
