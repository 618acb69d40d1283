//! What clap found wrong with the words of a command line, so that a program can say it in its own way.

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, Command, Error};

/// What is wrong with a command line, as far as its grammar goes.
#[derive(Debug)]
pub enum Slip<'a> {
    /// No option is called so. What does not begin with `-` is a word too many. Of a cluster it is the one wrong letter, as `-x`.
    Unknown(String),
    /// The option stands there without its value, or without the `=` before it.
    NeedsValue(&'a Arg),
    /// The option has a value, and takes none.
    NeedsNoValue(&'a Arg),
    /// A value is not UTF-8.
    NotUtf8,
    /// Whatever else, in clap's words: one line.
    Other(String),
}

impl<'a> Slip<'a> {
    /// What the error says about the options of this command, which is the one that the words are for.
    pub fn of(error: &Error, command: &'a Command) -> Self {
        let culprit =
            error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        let option = command.get_arguments().find(|option| option.to_string() == culprit);
        match (error.kind(), option) {
            (ErrorKind::UnknownArgument, _) => Self::Unknown(culprit),
            (ErrorKind::TooManyValues, Some(option)) => Self::NeedsNoValue(option),
            (ErrorKind::NoEquals | ErrorKind::InvalidValue, Some(option)) => {
                Self::NeedsValue(option)
            }
            (ErrorKind::InvalidUtf8, _) => Self::NotUtf8,
            _ => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Self::Other(line.trim_start_matches("error: ").to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ArgAction;

    fn slip(words: &[&str]) -> String {
        let mut command = Command::new("x")
            .arg(Arg::new("file").long("file").value_name("FILE"))
            .arg(Arg::new("level").long("level").require_equals(true))
            .arg(Arg::new("all").short('a').long("all").action(ArgAction::SetTrue));
        command.build();
        let error = command.clone().try_get_matches_from([&["x"], words].concat()).unwrap_err();
        match Slip::of(&error, &command) {
            Slip::NeedsValue(option) => format!("value {}", option.get_id()),
            Slip::NeedsNoValue(option) => format!("no value {}", option.get_id()),
            slip => format!("{slip:?}"),
        }
    }

    #[test]
    fn a_slip_names_the_option() {
        assert_eq!(slip(&["--file"]), "value file");
        assert_eq!(slip(&["--level", "3"]), "value level");
        assert_eq!(slip(&["--all=x"]), "no value all");
        assert_eq!(slip(&["--fil"]), "Unknown(\"--fil\")");
        assert_eq!(slip(&["-ax"]), "Unknown(\"-x\")");
        assert_eq!(slip(&["word"]), "Unknown(\"word\")");
        let twice = "Other(\"the argument '--file <FILE>' cannot be used multiple times\")";
        assert_eq!(slip(&["--file", "a", "--file", "b"]), twice);
    }
}
