//! Completions for bash, zsh and fish.

use clap::{Args, Command};
use clap_complete::Shell;
use flb_cli::{SHELLS, offer};

use crate::output::{Outcome, say};
use crate::usage::UsageError;

const HELP: &str = "write flb-wamrc completions bash, zsh or fish";

/// Print a shell's completions
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc completions bash|zsh|fish")]
pub(crate) struct CompletionsArgs {
    #[arg(hide = true, value_parser = offer(shell, SHELLS.map(|(name, _)| name)))]
    shell: Option<Shell>,
}

fn shell(name: &str) -> Result<Shell, UsageError> {
    let shell = SHELLS.iter().find(|(known, _)| *known == name);
    let unknown = || UsageError::new(format!("unknown shell '{name}'"), HELP);
    shell.map(|(_, shell)| *shell).ok_or_else(unknown)
}

/// The command `completions`, for a program with these options and commands.
pub(crate) fn run(args: &CompletionsArgs, program: Command) -> anyhow::Result<Outcome> {
    let shell = args.shell.ok_or_else(|| UsageError::new("no shell was given", HELP))?;
    say(&flb_cli::script(shell, program))?;
    Ok(Outcome::Done)
}
