//! The words that may stand first on the command line in place of options.

use clap::builder::OsStringValueParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use flb_cli::{SHELLS, offer};

/// The names of the commands.
pub(crate) const COMMANDS: [&str; 5] = ["config", "top", "tap", "completions", "man"];

/// What clap calls the words that are no options.
pub(crate) const WORDS: &str = "words";

/// The option of commands that show something again and again.
pub(crate) const ONCE: &str = "once";

/// Every command, in the order of the help text. Only the first takes the options of a run.
pub(crate) fn commands() -> [Command; 5] {
    let help = || Arg::new("help").short('h').long("help").action(ArgAction::Help);
    let simple = |command: Command| command.arg(help().help("Prints this help."));
    [
        Command::new("config")
            .about("Prints the configuration as it takes effect: with includes, variables and defaults.")
            .override_usage("flb-agent config [OPTION].. [FILE]")
            .arg(words("FILE").help("The configuration file.")),
        simple(
            Command::new("top")
                .about("Shows a running agent: what is wrong now, and what each node does.")
                .override_usage("flb-agent top [--once] [URL]")
                .arg(once("Prints the screen once, as text."))
                .arg(words("URL").value_hint(ValueHint::Url)),
        ),
        simple(
            Command::new("tap")
                .about("Prints single records on their way through a node of a running agent.")
                .override_usage("flb-agent tap [--once] NODE [URL]")
                .arg(once("Prints one record."))
                .arg(words("NODE").value_hint(ValueHint::Other)),
        ),
        simple(
            Command::new("completions")
                .about("Prints completions for bash, zsh or fish.")
                .override_usage("flb-agent completions SHELL")
                .arg(words("SHELL").value_hint(ValueHint::Other).value_parser(offer(
                    OsStringValueParser::new(),
                    SHELLS.map(|(name, _)| name),
                ))),
        ),
        simple(
            Command::new("man")
                .about("Prints the manual page.")
                .override_usage("flb-agent man")
                .arg(words("WORD")),
        ),
    ]
}

fn once(about: &'static str) -> Arg {
    Arg::new(ONCE).long(ONCE).action(ArgAction::SetTrue).help(about)
}

/// What is no option.
pub(crate) fn words(name: &'static str) -> Arg {
    Arg::new(WORDS)
        .value_name(name)
        .num_args(0..)
        .action(ArgAction::Append)
        .value_hint(ValueHint::FilePath)
        .value_parser(OsStringValueParser::new())
        .hide(true)
}
