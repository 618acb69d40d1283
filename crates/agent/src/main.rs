//! `flb-agent`: a log pipeline that is configured like Fluent Bit.

mod agent;
mod api;
mod arguments;
mod command_line;
mod commands;
mod configuration;
mod descriptors;
mod effective;
mod exit;
mod grammar;
mod help;
mod logging;
mod man;
mod operate;
mod options;
mod reload;
mod schema;
mod service;
mod signals;
mod watch;

use std::collections::BTreeMap;
use std::process::ExitCode;

use flb_cli::ERROR;

fn main() -> ExitCode {
    // Variables that are not UTF-8 cannot be named in a configuration.
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match agent::run(std::env::args_os().skip(1), environment) {
        Ok(code) => code.into(),
        Err(error) => {
            agent::complain("error", ERROR, &format!("{error:#}"));
            exit::START.into()
        }
    }
}
