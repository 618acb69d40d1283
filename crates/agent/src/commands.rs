//! The words that may stand first on the command line in place of options: one row a command.

/// A command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What stands behind it, as the help text calls it.
    pub(crate) argument: Option<&'static str>,
    pub(crate) about: &'static str,
}

const fn row(name: &'static str, argument: Option<&'static str>, about: &'static str) -> Command {
    Command { name, argument, about }
}

/// Every command, in the order of the help text.
pub(crate) static COMMANDS: &[Command] = &[
    row(
        "config",
        Some("FILE"),
        "Prints the configuration as it takes effect: with includes, variables and defaults.",
    ),
    row("completions", Some("SHELL"), "Prints completions for bash, zsh or fish."),
    row("man", None, "Prints the manual page."),
];

/// A shell that completions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// Every shell with its name.
    pub(crate) const ALL: [(&str, Self); 3] =
        [("bash", Self::Bash), ("zsh", Self::Zsh), ("fish", Self::Fish)];
}
