//! The commands that run a filter, in a program that is built without a runtime: refused.

use std::ffi::OsString;

use clap::Args;

use crate::output::Outcome;

/// Not in this program: it is built without a runtime
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc run")]
pub(crate) struct RunArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// Whatever is said to `bench`.
pub(crate) type BenchArgs = RunArgs;
/// Whatever is said to `check`.
pub(crate) type CheckArgs = RunArgs;
/// Whatever is said to `dev`.
pub(crate) type DevArgs = RunArgs;
/// Whatever is said to `replay`.
pub(crate) type ReplayArgs = RunArgs;
/// Whatever is said to `test`.
pub(crate) type TestArgs = RunArgs;

/// The command `run`.
pub(crate) fn run(_: &RunArgs) -> anyhow::Result<Outcome> {
    anyhow::bail!(
        "this flb-wamrc is built without a runtime; help: build it with the cargo feature 'run'"
    )
}
