//! What a command line says: sections that stand before the file's, and how the agent is to run.

use std::ops::Range;
use std::path::PathBuf;

use flb_config::{
    Diagnostic, Document, Property, Role, Section, SectionKind, SourceId, Span, Spanned,
};
use flb_pipeline::LogLevel;

use crate::service::LogFormat;

/// The name of the command line in messages about it.
const SOURCE: &str = "command line";

/// What is wrong with a command line, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// As a diagnostic of something that can be passed over.
    pub(crate) fn as_warning(&self) -> Diagnostic {
        Diagnostic { help: self.help.clone(), ..Diagnostic::warning(&self.message) }
    }
}

/// A piece of the command line's text.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    text: String,
    place: Range<usize>,
}

/// An option with its value.
#[derive(Debug)]
pub(crate) struct Given {
    option: Range<usize>,
    value: Piece,
}

impl Given {
    pub(crate) fn value(&self) -> &str {
        &self.value.text
    }

    /// The value, as the value of a property.
    pub(crate) fn whole(&self) -> Piece {
        self.value.clone()
    }

    /// The option, as the name of a property.
    pub(crate) fn named(&self, key: &str) -> Piece {
        Piece { text: key.to_owned(), place: self.option.clone() }
    }

    /// What stands before and behind the first `separator`.
    pub(crate) fn split(&self, separator: char) -> Option<(Piece, Piece)> {
        let (before, behind) = self.value.text.split_once(separator)?;
        let Range { start, end } = self.value.place;
        let key = Piece { text: before.to_owned(), place: start..start + before.len() };
        let value = Piece { text: behind.to_owned(), place: end - behind.len()..end };
        Some((key, value))
    }
}

/// A section that the command line opens.
#[derive(Debug)]
struct Opened {
    kind: SectionKind,
    name: Piece,
    properties: Vec<(Piece, Piece)>,
}

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    pub(crate) config: Option<PathBuf>,
    pub(crate) workdir: Option<PathBuf>,
    pub(crate) dry_run: bool,
    pub(crate) quiet: bool,
    pub(crate) verbosity: u8,
    /// What the log looks like until the service keys are read.
    pub(crate) log_format: LogFormat,
    /// What was passed over.
    pub(crate) warnings: Vec<Mistake>,
    /// The command line as text, for messages.
    text: String,
    sections: Vec<Opened>,
    /// The section that `-p` is for.
    last: Option<usize>,
}

impl CommandLine {
    /// Opens a plugin's section.
    pub(crate) fn open(&mut self, kind: SectionKind, given: &Given) {
        let name = given.named(role(kind).map_or("", section_name));
        let properties = vec![(given.named("name"), given.whole())];
        self.last = Some(self.sections.len());
        self.sections.push(Opened { kind, name, properties });
    }

    /// The last plugin: what it is there for, and its name.
    pub(crate) fn last_plugin(&self) -> Option<(Role, String)> {
        let section = &self.sections[self.last?];
        let (_, name) = section.properties.first()?;
        Some((role(section.kind)?, name.text.to_lowercase()))
    }

    /// The kind of the last plugin.
    pub(crate) fn last_kind(&self) -> Option<SectionKind> {
        self.last.map(|last| self.sections[last].kind)
    }

    /// Adds a property to the last plugin.
    pub(crate) fn property(
        &mut self,
        mut key: Piece,
        value: Piece,
        given: &Given,
    ) -> Result<(), Mistake> {
        let Some(last) = self.last else {
            let option = &self.text[given.option.clone()];
            return Err(Mistake::new(format!("{option} {} is for no plugin", given.value()))
                .help("put it behind the -i, -F or -o that it is for"));
        };
        key.text.make_ascii_lowercase();
        self.sections[last].properties.push((key, value));
        Ok(())
    }

    /// Adds a service property.
    pub(crate) fn service(&mut self, key: &str, given: &Given) {
        let name = given.named("SERVICE");
        let properties = vec![(given.named(key), given.whole())];
        self.sections.push(Opened { kind: SectionKind::Service, name, properties });
    }

    /// Notes that something is passed over.
    pub(crate) fn warn(&mut self, warning: Mistake) {
        self.warnings.push(warning);
    }

    /// The level that `-v` and `-q` ask for.
    pub(crate) fn log_level(&self) -> LogLevel {
        match (self.quiet, self.verbosity) {
            (true, _) => LogLevel::Off,
            (false, 0) => LogLevel::Info,
            (false, 1) => LogLevel::Debug,
            (false, _) => LogLevel::Trace,
        }
    }

    /// The sections, with the command line as their source.
    pub(crate) fn document(&self) -> Document {
        let mut document = Document::default();
        let source = document.add_source(SOURCE, &self.text);
        // A processor is opened for its help only.
        let sections = self.sections.iter().filter(|opened| opened.kind != SectionKind::PROCESSOR);
        document.sections = sections.map(|opened| section(opened, source)).collect();
        document
    }

    /// Notes an option, as it is best written, and its value.
    pub(crate) fn give(&mut self, option: &str, value: String) -> Given {
        let option = self.write(option);
        let place = self.write(&value);
        Given { option, value: Piece { text: value, place } }
    }

    /// Notes an option that stands for a value.
    pub(crate) fn give_alone(&mut self, option: &str, value: &str) -> Given {
        let option = self.write(option);
        let value = Piece { text: value.to_owned(), place: option.clone() };
        Given { option, value }
    }

    /// Writes a piece behind the text so far.
    fn write(&mut self, text: &str) -> Range<usize> {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }
}

fn section(opened: &Opened, source: SourceId) -> Section {
    let spanned = |piece: &Piece| {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let Range { start, end } = piece.place;
        Spanned {
            text: piece.text.clone(),
            span: Span { source, start: offset(start), end: offset(end) },
        }
    };
    let property =
        |(key, value): &(Piece, Piece)| Property { key: spanned(key), value: spanned(value) };
    let mut section = Section::new(opened.kind, spanned(&opened.name));
    section.properties = opened.properties.iter().map(property).collect();
    section
}

fn role(kind: SectionKind) -> Option<Role> {
    match kind {
        SectionKind::Plugin(role) => Some(role),
        _ => None,
    }
}

fn section_name(role: Role) -> &'static str {
    match role {
        Role::Input => "INPUT",
        Role::Filter => "FILTER",
        Role::Processor => "PROCESSOR",
        Role::Output => "OUTPUT",
    }
}
