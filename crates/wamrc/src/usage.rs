//! What is wrong with a command line, in one line: what, and what to do.

use std::error::Error as _;
use std::ffi::OsString;

use clap::{Arg, Command};
use flb_artifact::ReleaseError;
use flb_cli::Slip;
use flb_text::did_you_mean;

/// What is wrong with the command line. The message says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}; help: {help}")]
pub(crate) struct UsageError {
    message: String,
    help: String,
}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }

    fn needs_value(option: &Arg) -> Self {
        let message = format!("option '{}' needs a value", name(option));
        Self::new(message, format!("write {}", spelling(option)))
    }

    /// An option with a value that it cannot take, or not so.
    fn written_otherwise(option: &Arg) -> Self {
        let message = format!("option '{}' is written another way", name(option));
        Self::new(message, format!("write {}", spelling(option)))
    }

    /// No option of this command is called so.
    pub(crate) fn unknown(option: &str, command: &Command) -> Self {
        if !option.starts_with('-') {
            return Self::new(format!("'{option}' is one word too many"), "leave it out");
        }
        Self::new(format!("unknown option '{option}'"), instead(option, command))
    }

    /// What clap found wrong with the words of a command.
    pub(crate) fn explain(error: &clap::Error, command: &Command, words: &[OsString]) -> Self {
        let own = error.source().and_then(|source| source.downcast_ref::<Self>());
        match (own, Slip::of(error, command)) {
            (Some(own), _) => own.clone(),
            (None, Slip::Unknown(option)) => Self::unknown(&whole(&option, words), command),
            (None, Slip::NeedsNoValue(option)) => Self::written_otherwise(option),
            (None, Slip::NeedsValue(option)) => Self::needs_value(option),
            (None, Slip::NotUtf8) => {
                let message = format!("the value of option '{}' is not UTF-8", wild(words));
                Self::new(message, "give it another name")
            }
            (None, Slip::Other(message)) => Self::new(message, see(command)),
        }
    }
}

impl From<ReleaseError> for UsageError {
    fn from(error: ReleaseError) -> Self {
        let text = error.to_string();
        let (message, help) = text.split_once("; help: ").unwrap_or((&text, ""));
        Self::new(message, help)
    }
}

/// The word that begins with a letter that is no option.
fn whole(option: &str, words: &[OsString]) -> String {
    let mut words = words.iter().map(|word| word.to_string_lossy());
    let word = words.find(|word| !option.starts_with("--") && word.starts_with(option));
    word.map_or_else(|| option.to_owned(), |word| word.into_owned())
}

/// What to do instead of giving an unknown option. Its opposite is no suggestion.
fn instead(unknown: &str, command: &Command) -> String {
    let names: Vec<String> = options(command).map(name).collect();
    let (on, off) = (unknown.strip_prefix("--enable-"), unknown.strip_prefix("--disable-"));
    if let Some(opposite) = on.map(|what| format!("--disable-{what}"))
        && names.contains(&opposite)
    {
        return format!("leave it out: it is on unless '{opposite}' is given");
    }
    let is_opposite = |known: &&str| {
        on.is_some() && known.starts_with("--disable-")
            || off.is_some() && known.starts_with("--enable-")
    };
    let known = names.iter().map(String::as_str).filter(|known| !is_opposite(known));
    match did_you_mean(unknown, known) {
        Some(near) => format!("did you mean '{near}'?"),
        None => see(command),
    }
}

/// Where the options of a command are told.
fn see(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let name = name.strip_prefix("flb-wamrc").unwrap_or(name).trim();
    let space = if name.is_empty() { "" } else { " " };
    format!("see flb-wamrc{space}{name} --help")
}

/// The option whose value is not UTF-8: it stands before the value, in the same word or in the one before.
fn wild(words: &[OsString]) -> String {
    let before = std::iter::once(None).chain(words.iter().map(Some));
    let wild = before.zip(words).filter(|(_, word)| word.to_str().is_none());
    let mut options = wild.filter_map(|(before, word)| {
        let word = if word.to_string_lossy().starts_with('-') { word } else { before? };
        let word = word.to_string_lossy();
        let name = word.split('=').next().unwrap_or_default();
        name.starts_with("--").then(|| name.to_owned())
    });
    options.next().unwrap_or_default()
}

/// The options of a command, without its other words.
pub(crate) fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_positional())
}

/// How an option is written, without its value. Those of the original compiler are called as they are written there.
pub(crate) fn name(option: &Arg) -> String {
    match (option.get_id().as_str(), option.get_long(), option.get_short()) {
        (original, ..) if original.starts_with('-') => original.to_owned(),
        (_, Some(long), _) => format!("--{long}"),
        (_, None, short) => short.map(|short| format!("-{short}")).unwrap_or_default(),
    }
}

/// How an option is written, with what stands for its value.
pub(crate) fn spelling(option: &Arg) -> String {
    let value = option.get_value_names().unwrap_or_default().join(" ");
    let is_optional = option.get_num_args().is_some_and(|count| count.min_values() == 0);
    let name = name(option);
    match (option.get_action().takes_values(), option.is_require_equals_set()) {
        (false, _) => name,
        (true, true) if is_optional => format!("{name}[={value}]"),
        (true, true) => format!("{name}={value}"),
        (true, false) => format!("{name} {value}"),
    }
}
