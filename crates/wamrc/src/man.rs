//! The manual page: the compiler first, then each command.

use clap::{Args, Command};
use flb_cli::Page;

use crate::output::{Outcome, say};

/// Print the manual page
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc man")]
pub(crate) struct ManArgs {}

/// The command `man`, for a program with these options and commands.
pub(crate) fn run(_: &ManArgs, program: Command) -> anyhow::Result<Outcome> {
    let notes = program.get_after_help().map(ToString::to_string).unwrap_or_default();
    let page = Page::new(program, env!("CARGO_PKG_VERSION"))?.options()?.commands()?;
    say(&page.paragraphs("NOTES", notes.lines())?.text())?;
    Ok(Outcome::Done)
}
