//! What a row of an option table is. One row drives the parser, the help, the man page, the completions and the
//! documentation.

use crate::options::{Given, UsageError};

/// One option.
#[derive(Debug)]
pub(crate) struct Row {
    /// As it is written, without its value.
    pub(crate) name: &'static str,
    /// Other spellings.
    pub(crate) aliases: &'static [&'static str],
    /// How it takes its value.
    pub(crate) form: Form,
    /// What it does, in one sentence. Empty where the act says it all.
    pub(crate) about: &'static str,
    /// What is done about it.
    pub(crate) act: Act,
}

/// How an option takes its value; the text is what stands for the value in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `--json`
    Flag,
    /// `--cpu=CPU`
    Equals(&'static str),
    /// `--enable-segue` or `--enable-segue=LIST`
    Optional(&'static str),
    /// `-o FILE`
    Next(&'static str),
    /// `-j N` or `-jN`
    Number(&'static str),
    /// `--key FILE` or `--key=FILE`
    Either(&'static str),
}

/// What is done about an option.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Takes the value.
    Set(fn(&mut Given, &str) -> Result<(), UsageError>),
    /// An option of the original compiler that cannot be: why, and what to do instead.
    Refuse(&'static str, &'static str),
    /// An option of the original compiler that changes nothing: why. Said once.
    Note(&'static str),
}

impl Row {
    /// An option that works.
    pub(crate) const fn new(
        name: &'static str,
        form: Form,
        about: &'static str,
        set: fn(&mut Given, &str) -> Result<(), UsageError>,
    ) -> Self {
        Self { name, aliases: &[], form, about, act: Act::Set(set) }
    }

    /// An option that is accepted and changes nothing.
    pub(crate) const fn note(name: &'static str, form: Form, reason: &'static str) -> Self {
        Self { name, aliases: &[], form, about: "", act: Act::Note(reason) }
    }

    /// An option that is refused.
    pub(crate) const fn refuse(
        name: &'static str,
        form: Form,
        reason: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, aliases: &[], form, about: "", act: Act::Refuse(reason, help) }
    }

    /// The same with other spellings.
    pub(crate) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// How the option is written.
    pub(crate) fn spelling(&self) -> String {
        let name = self.name;
        match self.form {
            Form::Flag => name.to_owned(),
            Form::Equals(value) => format!("{name}={value}"),
            Form::Optional(value) => format!("{name}[={value}]"),
            Form::Next(value) | Form::Number(value) | Form::Either(value) => {
                format!("{name} {value}")
            }
        }
    }

    /// What it does, be it much or nothing, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        match self.act {
            Act::Set(_) => self.about.to_owned(),
            Act::Note(reason) => format!("Accepted: it {reason}"),
            Act::Refuse(reason, help) => format!("Refused: it {reason}; {help}"),
        }
    }

    /// Whether it is written like `word`.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }
}
