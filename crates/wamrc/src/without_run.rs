//! The commands that run a filter, in a program that is built without a runtime: refused.

use std::ffi::OsString;

use crate::options::Given;
use crate::output::Outcome;

/// The command `run`.
pub(crate) fn run(_: &Given, _: &[OsString]) -> anyhow::Result<Outcome> {
    anyhow::bail!(
        "this flb-wamrc is built without a runtime; help: build it with the cargo feature 'run'"
    )
}

/// The command `check`.
pub(crate) fn check(given: &Given, operands: &[OsString]) -> anyhow::Result<Outcome> {
    run(given, operands)
}

/// The command `replay`.
pub(crate) fn replay(given: &Given, operands: &[OsString]) -> anyhow::Result<Outcome> {
    run(given, operands)
}
