//! From the words of the command line to what they ask for, by the tables.
//!
//! The spelling is the original compiler's: `--name=value`, `-o FILE`, options before the single input. The commands are ours,
//! and less strict: their options may stand anywhere.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use flb_artifact::{Interruption, Levels, Name, ReleaseError, Version};

use crate::nearest::nearest;
use crate::table::{Act, Form, Row};

/// What is wrong with the command line. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}; help: {help}")]
pub(crate) struct UsageError {
    message: String,
    help: String,
}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl From<ReleaseError> for UsageError {
    fn from(error: ReleaseError) -> Self {
        let text = error.to_string();
        let (message, help) = text.split_once("; help: ").unwrap_or((&text, ""));
        Self::new(message, help)
    }
}

/// Makes the text that an option such as `--help` asks for.
pub(crate) type Show = fn(&Given) -> Result<String, UsageError>;

/// What the options said, before it is known whether it makes sense together.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "run"),
    allow(dead_code, reason = "some are for the commands that run a filter")
)]
pub(crate) struct Given {
    pub(crate) output: Option<PathBuf>,
    pub(crate) target: Option<String>,
    pub(crate) abi: Option<String>,
    pub(crate) cpu: Option<String>,
    pub(crate) cpu_features: Option<String>,
    pub(crate) levels: Levels,
    pub(crate) interruption: Option<Interruption>,
    pub(crate) verbosity: u8,
    pub(crate) jobs: Option<usize>,
    pub(crate) no_embed_wasm: bool,
    pub(crate) keep_sections: bool,
    pub(crate) without: Vec<crate::features::Proposal>,
    pub(crate) json: bool,
    pub(crate) keys: Vec<PathBuf>,
    pub(crate) name: Option<Name>,
    pub(crate) version: Option<Version>,
    pub(crate) rebuild: bool,
    pub(crate) wasm: Option<PathBuf>,
    pub(crate) module: Option<PathBuf>,
    pub(crate) function: Option<String>,
    pub(crate) record: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) msgpack: bool,
    pub(crate) deadline: Option<Duration>,
    pub(crate) start_deadline: Option<Duration>,
    pub(crate) directories: Vec<String>,
    pub(crate) variables: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) show: Option<Show>,
    /// Options that were given and change nothing, each with its reason, each once.
    pub(crate) notes: Vec<String>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            output: None,
            target: None,
            abi: None,
            cpu: None,
            cpu_features: None,
            levels: Levels { opt_level: 3, size_level: 3 },
            interruption: None,
            verbosity: 2,
            jobs: None,
            no_embed_wasm: false,
            keep_sections: false,
            without: Vec::new(),
            json: false,
            keys: Vec::new(),
            name: None,
            version: None,
            rebuild: false,
            wasm: None,
            module: None,
            function: None,
            record: None,
            tag: None,
            time: None,
            msgpack: false,
            deadline: None,
            start_deadline: None,
            directories: Vec::new(),
            variables: Vec::new(),
            arguments: Vec::new(),
            show: None,
            notes: Vec::new(),
        }
    }
}

impl Given {
    /// Remembers to say this, once.
    pub(crate) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

/// Where options may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Before the first word that is none, as the original compiler has it.
    OptionsFirst,
    /// Anywhere; `--` ends them.
    Mixed,
}

/// Reads all words; returns what the options said, and the other words.
pub(crate) fn read(
    arguments: &[OsString],
    rows: &'static [Row],
    order: Order,
) -> Result<(Given, Vec<OsString>), UsageError> {
    let mut given = Given::default();
    let mut operands = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if order == Order::Mixed && text == "--" {
            operands.extend(words.by_ref().cloned());
        } else if !text.starts_with('-') || text == "-" {
            operands.push(word.clone());
            if order == Order::OptionsFirst {
                operands.extend(words.by_ref().cloned());
            }
        } else {
            option(&text, &mut words, rows, &mut given)?;
        }
    }
    Ok((given, operands))
}

fn option<'a>(
    text: &str,
    words: &mut impl Iterator<Item = &'a OsString>,
    rows: &'static [Row],
    given: &mut Given,
) -> Result<(), UsageError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if let Some((row, value)) = glued(text, rows) {
        return apply(row, OsStr::new(value), given);
    }
    let row = find(name, rows)?;
    match (row.form, value) {
        (Form::Flag, None) | (Form::Optional(_), None) => apply(row, OsStr::new(""), given),
        (Form::Equals(_) | Form::Optional(_) | Form::Either(_), Some(value)) => {
            apply(row, OsStr::new(value), given)
        }
        (Form::Next(_) | Form::Number(_) | Form::Either(_), None) => {
            apply(row, words.next().ok_or_else(|| needs_value(row))?, given)
        }
        (Form::Equals(_), None) => Err(needs_value(row)),
        (Form::Flag | Form::Next(_) | Form::Number(_), Some(_)) => Err(UsageError::new(
            format!("option '{}' is written another way", row.name),
            format!("write {}", row.spelling()),
        )),
    }
}

/// `-j4`.
fn glued<'a>(text: &'a str, rows: &'static [Row]) -> Option<(&'static Row, &'a str)> {
    let numbers = rows.iter().filter(|row| matches!(row.form, Form::Number(_)));
    let mut glued = numbers.filter_map(|row| Some((row, text.strip_prefix(row.name)?)));
    glued.find(|(_, value)| value.starts_with(|digit: char| digit.is_ascii_digit()))
}

fn needs_value(row: &Row) -> UsageError {
    UsageError::new(
        format!("option '{}' needs a value", row.name),
        format!("write {}", row.spelling()),
    )
}

fn find(name: &str, rows: &'static [Row]) -> Result<&'static Row, UsageError> {
    rows.iter()
        .find(|row| row.is(name))
        .ok_or_else(|| UsageError::new(format!("unknown option '{name}'"), instead(name, rows)))
}

/// What to do instead of giving an unknown option. Its opposite is no suggestion.
fn instead(name: &str, rows: &'static [Row]) -> String {
    let names = || rows.iter().map(|row| row.name);
    let (on, off) = (name.strip_prefix("--enable-"), name.strip_prefix("--disable-"));
    if let Some(opposite) = on.map(|what| format!("--disable-{what}"))
        && names().any(|known| known == opposite)
    {
        return format!("leave it out: it is on unless '{opposite}' is given");
    }
    let is_opposite = |known: &&str| {
        on.is_some() && known.starts_with("--disable-")
            || off.is_some() && known.starts_with("--enable-")
    };
    match nearest(name, names().filter(|known| !is_opposite(known))) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "see flb-wamrc --help".to_owned(),
    }
}

fn apply(row: &'static Row, value: &OsStr, given: &mut Given) -> Result<(), UsageError> {
    match row.act {
        Act::Set(set) => match value.to_str() {
            Some(text) => set(given, text),
            // A path that is not UTF-8 is kept as it is.
            None if row.name == "-o" => {
                given.output = Some(PathBuf::from(value));
                Ok(())
            }
            None => Err(UsageError::new(
                format!("the value of option '{}' is not UTF-8", row.name),
                "give it another name",
            )),
        },
        Act::Refuse(reason, help) => {
            Err(UsageError::new(format!("option '{}' {reason}", row.name), help))
        }
        Act::Note(reason) => {
            given.note(format!("option '{}' {reason}", row.name));
            Ok(())
        }
    }
}
