//! The classic format: `[SECTION]`, indented `Key Value` lines, `@INCLUDE` and `@SET`. Reads on
//! after a mistake, so that one run shows all of them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::did_you_mean;
use crate::document::{Document, Property, Section, SectionKind, SourceId, Span, Spanned};
use crate::files::{Files, folders_of, glob_in};
use crate::limits::{MAX_DEPTH, MAX_DIAGNOSTICS, MAX_FILES};

const COMMANDS: [&str; 2] = ["@INCLUDE", "@SET"];

/// Sections that Fluent Bit knows and the agent has nothing for: no slips of the pen.
const OTHER_SECTIONS: [&str; 5] =
    ["custom", "plugins", "stream_processor", "stream_task", "upstream_servers"];

/// What a file is read for, which decides the sections that may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The agent's configuration.
    Main,
    /// A file that `Parsers_File` names.
    Parsers,
}

/// Reads a classic file and all that it includes, and appends what it understands to `document`. If
/// the result has errors, `document` is good for showing them and for nothing else. The file itself
/// could not be opened if `document` has no source more than before.
pub fn read_classic(
    document: &mut Document,
    path: &Path,
    kind: FileKind,
    files: &dyn Files,
) -> Diagnostics {
    let mut reader = Reader {
        document,
        diagnostics: Diagnostics::default(),
        files,
        kind,
        folders: folders_of(path, files),
        seen: BTreeSet::new(),
        depth: 0,
        stopped: false,
    };
    match files.read(path) {
        Ok(text) => reader.read_text(path, &text),
        Err(error) => reader.diagnostics.push(unreadable(path, &error)),
    }
    let diagnostics = reader.diagnostics;
    document.sections = nest_nodes(std::mem::take(&mut document.sections));
    diagnostics
}

/// Puts each `[NODE]` into the `[UPSTREAM]` before it.
fn nest_nodes(sections: Vec<Section>) -> Vec<Section> {
    let mut nested: Vec<Section> = Vec::with_capacity(sections.len());
    for section in sections {
        match nested.last_mut() {
            Some(upstream)
                if section.kind == SectionKind::Node && upstream.kind == SectionKind::Upstream =>
            {
                upstream.children.push(section);
            }
            _ => nested.push(section),
        }
    }
    nested
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let message = format!("could not open configuration file '{}': {error}", path.display());
    Diagnostic::error(message)
}

/// What is common to a file and all that it includes.
struct Reader<'a> {
    document: &'a mut Document,
    diagnostics: Diagnostics,
    files: &'a dyn Files,
    kind: FileKind,
    /// Where the first file is; relative includes are looked for here too.
    folders: Vec<PathBuf>,
    /// What [`Files::identity`] says of the files read so far.
    seen: BTreeSet<PathBuf>,
    depth: usize,
    /// Whether [`Reader::has_enough`] has said so.
    stopped: bool,
}

/// What the lines of one file so far mean for those that follow. An included file begins anew.
#[derive(Default)]
struct Context {
    /// The blanks before the first key, which all others must have.
    indentation: Option<String>,
    /// The open section's index in the document.
    section: Option<usize>,
    /// Whether a `[group]` is open, which was reported; the lines indented below it are passed
    /// over.
    in_group: bool,
    /// Whether keys before any section were reported.
    orphans_reported: bool,
}

impl Reader<'_> {
    fn read_text(&mut self, path: &Path, text: &str) {
        self.seen.insert(self.files.identity(path));
        let source = self.document.add_source(&path.to_string_lossy(), text);
        let mut context = Context::default();
        let mut start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        for line in text[start..].split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            let content = content.strip_suffix('\r').unwrap_or(content);
            self.read_line(&mut context, Piece { source, start, text: content });
            if self.has_enough() {
                return;
            }
            start += line.len();
        }
    }

    /// Whether reading on is pointless; says so once. Warnings alone never stop the reading.
    fn has_enough(&mut self) -> bool {
        let enough = self.diagnostics.len() >= MAX_DIAGNOSTICS && self.diagnostics.has_errors();
        if enough && !self.stopped {
            self.stopped = true;
            self.diagnostics.push(Diagnostic::error("too many mistakes; the rest is not read"));
        }
        enough
    }

    fn read_line(&mut self, context: &mut Context, line: Piece<'_>) {
        let content = line.trim_start();
        if content.text.is_empty() || content.text.starts_with('#') {
            return;
        }
        if line.text.starts_with('[') {
            self.open_section(context, line);
        } else if line.text.starts_with('@') {
            self.run_command(line);
        } else if self.is_indented(context, line) {
            self.read_entry(context, content);
        }
    }

    fn open_section(&mut self, context: &mut Context, line: Piece<'_>) {
        const BAD: &str = "bad header definition";
        const HELP: &str = "write a section as [NAME]";
        let inside = line.skip(1);
        let end = inside.text.find(']');
        let name = inside.take(end.unwrap_or(inside.text.len()));
        let kind = SectionKind::of(name.text);
        match end {
            None => self.error(BAD, line, "no ']' behind the name", HELP),
            Some(0) => self.error(BAD, line, "no name", HELP),
            Some(end) => {
                self.check_section(kind, name);
                self.check_behind_section(inside.skip(end + 1).trim());
            }
        }
        let section = Section::new(kind, name.spanned());
        self.document.sections.push(section);
        context.section = Some(self.document.sections.len() - 1);
        context.in_group = false;
    }

    fn check_behind_section(&mut self, rest: Piece<'_>) {
        if !rest.text.is_empty() && !rest.text.starts_with('#') {
            let warning = Diagnostic::warning("text behind a section's name is ignored");
            self.diagnostics.push(warning.at(rest.span()));
        }
    }

    fn check_section(&mut self, kind: SectionKind, name: Piece<'_>) {
        use SectionKind::{MultilineParser, Other, Parser, Plugin, Service};
        match (self.kind, kind) {
            (FileKind::Main, Parser | MultilineParser) => self.error(
                "Sections 'multiline_parser' and 'parser' are not valid in the main configuration file",
                name,
                "belongs into a parsers file",
                "move it to a file of its own, and name that file by Parsers_File in [SERVICE]",
            ),
            (FileKind::Parsers, Service | Plugin(_)) => {
                let message = format!("section [{}] is ignored in a parsers file", name.text);
                self.diagnostics.push(Diagnostic::warning(message).at(name.span()));
            }
            (_, Other) => self.check_other_section(name),
            _ => {}
        }
    }

    fn check_other_section(&mut self, name: Piece<'_>) {
        if OTHER_SECTIONS.iter().any(|known| known.eq_ignore_ascii_case(name.text)) {
            let message = format!("section [{}] is not supported yet, and ignored", name.text);
            return self.diagnostics.push(Diagnostic::warning(message).at(name.span()));
        }
        let message = format!("unknown section [{}] is ignored", name.text);
        let warning = Diagnostic::warning(message).at(name.span());
        let known = SectionKind::NAMES.iter().map(|(known, _)| *known).chain(OTHER_SECTIONS);
        self.diagnostics.push(match did_you_mean(name.text.trim(), known) {
            Some(near) => warning.help(format!("did you mean [{}]?", near.to_uppercase())),
            None => warning,
        });
    }

    /// Whether a key may stand here; says why not.
    fn is_indented(&mut self, context: &mut Context, line: Piece<'_>) -> bool {
        let content = line.trim_start();
        let found = line.take(content.start - line.start);
        if !found.text.is_empty() && context.indentation.is_none() {
            context.indentation = Some(found.text.to_owned());
        }
        let Some(expected) = &context.indentation else {
            self.error(
                "indentation level is too low",
                content.first_word(),
                "a key must be indented",
                "put some spaces before each key of a section, everywhere the same",
            );
            return false;
        };
        let (message, place) = match found.text.strip_prefix(expected.as_str()) {
            Some("") => {
                context.in_group = false;
                return true;
            }
            Some(_) if context.in_group => return false,
            // Twice as much is what a group's keys would have; where there is no group they are the section's.
            Some(more) if more.len() == expected.len() => return true,
            Some(_) => ("extra indentation level found", found),
            None if expected.starts_with(found.text) => {
                ("indentation level is too low", content.first_word())
            }
            None => ("inconsistent use of tab and space", found),
        };
        let label =
            format!("the first key of this file is indented by {}", describe_blanks(expected));
        self.error(message, place, label, "indent all keys of a file alike");
        false
    }

    /// Reads what stands at a key's place.
    fn read_entry(&mut self, context: &mut Context, content: Piece<'_>) {
        if content.text.starts_with('[') {
            self.reject_group(context, content);
        } else if let Some(command) = known_command(content.first_word().text) {
            let help = format!("move {command} to the beginning of the line");
            self.error("a command must not be indented", content.first_word(), "indented", help);
        } else if let Some((key, value)) = self.split(content) {
            self.add_property(context, key, value);
        }
    }

    fn reject_group(&mut self, context: &mut Context, content: Piece<'_>) {
        context.in_group = true;
        let name = content.trim().text.trim_matches(['[', ']']);
        let help = match SectionKind::of(name) {
            SectionKind::Other => "use the YAML format for processors and other nested settings",
            _ => "a section begins at the beginning of the line",
        };
        self.error("groups are not supported in classic format", content.trim(), "a group", help);
    }

    /// Splits a line at its first space.
    fn split<'t>(&mut self, content: Piece<'t>) -> Option<(Piece<'t>, Piece<'t>)> {
        const UNDEFINED: &str = "undefined value - check config is in valid classic format";
        let word = content.first_word();
        let behind = content.skip(word.text.len());
        if behind.text.starts_with('\t') {
            let help = "put a space behind the first word";
            self.error(UNDEFINED, behind.take(1), "a tab does not separate", help);
            return None;
        }
        if behind.text.is_empty() {
            self.error(UNDEFINED, word, "no value", "put a space and a value behind it");
            return None;
        }
        let value = behind.trim();
        if value.text.is_empty() {
            let help = "give it a value, or leave the key out";
            self.error("key has an empty value", word, "no value", help);
            return None;
        }
        Some((word, value))
    }

    fn add_property(&mut self, context: &mut Context, key: Piece<'_>, value: Piece<'_>) {
        let Some(section) = context.section else {
            if !context.orphans_reported {
                context.orphans_reported = true;
                self.error(
                    "could not allocate key value pair: it belongs to no section",
                    key,
                    "before any section",
                    "put a [SECTION] before the first key of this file",
                );
            }
            return;
        };
        let mut key = key.spanned();
        key.text.make_ascii_lowercase();
        self.document.sections[section].properties.push(Property { key, value: value.spanned() });
    }

    fn run_command(&mut self, line: Piece<'_>) {
        let word = line.first_word();
        let Some(command) = known_command(word.text) else {
            let error = Diagnostic::error(format!("unknown command '{}'", word.text));
            let help = match did_you_mean(word.text, COMMANDS) {
                Some(near) => format!("did you mean {near}?"),
                None => "there are @INCLUDE and @SET".to_owned(),
            };
            return self.diagnostics.push(error.at(word.span()).help(help));
        };
        match self.split(line) {
            Some((_, path)) if command == "@INCLUDE" => self.include(path),
            Some(_) => self.set(line.skip(word.text.len()).trim_start()),
            None => {}
        }
    }

    /// `NAME=value`; all behind the `=` is the value.
    fn set(&mut self, assignment: Piece<'_>) {
        let at = assignment.text.find('=').unwrap_or(0);
        if at == 0 {
            let label = "no NAME= here";
            let help = "write @SET NAME=value";
            return self.error("@SET without a variable", assignment, label, help);
        }
        let (name, value) = (assignment.take(at), assignment.skip(at + 1));
        if name.trim() != name || value.trim() != value {
            let message =
                format!("blanks around '=' or at the end belong to the variable '{}'", name.text);
            let warning = Diagnostic::warning(message).at(assignment.span());
            self.diagnostics.push(warning.help("write @SET NAME=value without other blanks"));
        }
        self.document.variables.push((name.text.to_owned(), value.text.to_owned()));
    }

    fn include(&mut self, path: Piece<'_>) {
        if self.depth >= MAX_DEPTH {
            let message = format!("files include each other more than {MAX_DEPTH} deep");
            return self.diagnostics.push(Diagnostic::error(message).at(path.span()));
        }
        self.depth += 1;
        if path.text.contains('*') {
            self.include_all(path);
        } else {
            self.include_one(Path::new(path.text), path.span());
        }
        self.depth -= 1;
    }

    /// Where the first file is, in words.
    fn folders(&self) -> String {
        let folders = self.folders.iter().filter(|folder| !folder.as_os_str().is_empty());
        let folders: Vec<_> = folders.map(|folder| folder.display().to_string()).collect();
        folders.join(" and in ")
    }

    /// Includes what a pattern names, as seen from the first file's folder.
    fn include_all(&mut self, pattern: Piece<'_>) {
        match glob_in(&self.folders, pattern.text, self.files) {
            Ok(paths) if paths.is_empty() => {
                let message = format!("no file matches '{}'", pattern.text);
                let error = Diagnostic::error(message).at(pattern.span());
                let folders = self.folders();
                self.diagnostics.push(match folders.is_empty() {
                    true => error,
                    false => error.help(format!("patterns are looked for in {folders}")),
                });
            }
            Ok(paths) => {
                for path in paths {
                    self.include_one(&path, pattern.span());
                    if self.has_enough() {
                        return;
                    }
                }
            }
            Err(error) => {
                let message = format!("could not look for '{}': {error}", pattern.text);
                self.diagnostics.push(Diagnostic::error(message).at(pattern.span()));
            }
        }
    }

    fn include_one(&mut self, path: &Path, at: Span) {
        if self.seen.len() >= MAX_FILES {
            let message = format!("more than {MAX_FILES} files in one configuration");
            return self.diagnostics.push(Diagnostic::error(message).at(at));
        }
        let (path, text) = match self.open(path) {
            Ok(opened) => opened,
            Err(error) => return self.report_unreadable(path, at, &error),
        };
        if self.seen.contains(&self.files.identity(&path)) {
            let message =
                format!("read twice: '{}' is already in this configuration", path.display());
            let error = Diagnostic::error(message).at(at);
            return self.diagnostics.push(error.help("include each file once"));
        }
        self.read_text(&path, &text);
    }

    fn report_unreadable(&mut self, path: &Path, at: Span, error: &io::Error) {
        let diagnostic = unreadable(path, error).at(at);
        let is_elsewhere = error.kind() == io::ErrorKind::NotFound && path.is_relative();
        let folders = Some(self.folders()).filter(|folders| is_elsewhere && !folders.is_empty());
        self.diagnostics.push(match folders {
            Some(folders) => {
                diagnostic.help(format!("looked for in the working directory and in {folders}"))
            }
            None => diagnostic,
        });
    }

    /// Opens a file as its path is, or else as seen from the first file's folder.
    fn open(&self, path: &Path) -> io::Result<(PathBuf, String)> {
        let error = match self.files.read(path) {
            Ok(text) => return Ok((path.to_owned(), text)),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::NotFound || path.is_absolute() {
            return Err(error);
        }
        let mut found = Err(error);
        for folder in &self.folders {
            let path = folder.join(path);
            found = self.files.read(&path).map(|text| (path, text));
            if found.is_ok() {
                break;
            }
        }
        found
    }

    fn error(
        &mut self,
        message: &str,
        place: Piece<'_>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let error = Diagnostic::error(message).at(place.span());
        self.diagnostics.push(error.label(label).help(help));
    }
}

/// The command as [`COMMANDS`] spells it.
fn known_command(word: &str) -> Option<&'static str> {
    COMMANDS.into_iter().find(|known| known.eq_ignore_ascii_case(word))
}

/// `4 spaces`
fn describe_blanks(blanks: &str) -> String {
    let tabs = blanks.matches('\t').count();
    let spaces = blanks.len() - tabs;
    let count = |number, noun| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    match (spaces, tabs) {
        (spaces, 0) => count(spaces, "space"),
        (0, tabs) => count(tabs, "tab"),
        _ => format!("{} and {}", count(spaces, "space"), count(tabs, "tab")),
    }
}

/// A part of a line, with its place. The format's blanks are space and tab, whatever else Unicode
/// has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece<'t> {
    source: SourceId,
    start: usize,
    text: &'t str,
}

impl Piece<'_> {
    const BLANKS: [char; 2] = [' ', '\t'];

    fn take(self, bytes: usize) -> Self {
        Self { text: &self.text[..bytes], ..self }
    }

    fn skip(self, bytes: usize) -> Self {
        Self { start: self.start + bytes, text: &self.text[bytes..], ..self }
    }

    fn trim_start(self) -> Self {
        self.skip(self.text.len() - self.text.trim_start_matches(Self::BLANKS).len())
    }

    fn trim(self) -> Self {
        let piece = self.trim_start();
        piece.take(piece.text.trim_end_matches(Self::BLANKS).len())
    }

    /// All before the first blank.
    fn first_word(self) -> Self {
        self.take(self.text.find(Self::BLANKS).unwrap_or(self.text.len()))
    }

    fn span(self) -> Span {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let end = self.start + self.text.len();
        Span { source: self.source, start: offset(self.start), end: offset(end) }
    }

    fn spanned(self) -> Spanned {
        Spanned { text: self.text.to_owned(), span: self.span() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    /// Checks the messages of reading the first of `texts`. What the grammar means is checked by
    /// the cases in `tests/conf`; here are those that need many or odd files.
    fn check(texts: &[(String, String)], expected: &[&str]) -> Document {
        let mut document = Document::default();
        let files = texts.iter().map(|(path, text)| (PathBuf::from(path), text.clone()));
        let files = Memory(files.collect());
        let path = texts.first().map_or("", |(path, _)| path);
        let diagnostics = read_classic(&mut document, Path::new(path), FileKind::Main, &files);
        let messages: Vec<_> = diagnostics.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(messages, expected);
        document
    }

    /// A file that includes the next, and so on.
    fn chain(length: usize) -> Vec<(String, String)> {
        (0..length).map(|i| (format!("{i}"), format!("@INCLUDE {}\n", i + 1))).collect()
    }

    #[test]
    fn a_file_that_cannot_be_opened_leaves_no_source() {
        let document = check(&[], &["could not open configuration file '': entity not found"]);
        assert!(document.sources().is_empty());
    }

    #[test]
    fn inclusion_ends_at_a_depth() {
        let mut files = chain(MAX_DEPTH);
        files.push((format!("{MAX_DEPTH}"), "[INPUT]\n    Name dummy\n".to_owned()));
        assert_eq!(check(&files, &[]).sections.len(), 1);

        let message = format!("files include each other more than {MAX_DEPTH} deep");
        check(&chain(5 * MAX_DEPTH), &[&message]);
    }

    #[test]
    fn a_configuration_has_so_many_files_at_most() {
        let many = |count| {
            let file = |i| (format!("conf.d/{i}"), "[INPUT]\n    Name dummy\n".to_owned());
            let main = ("main".to_owned(), "@INCLUDE conf.d/*\n".to_owned());
            std::iter::once(main).chain((1..count).map(file)).collect::<Vec<_>>()
        };
        assert_eq!(check(&many(MAX_FILES), &[]).sections.len(), MAX_FILES - 1);
        let message = format!("more than {MAX_FILES} files in one configuration");
        check(&many(MAX_FILES + 1), &[&message]);
    }

    #[test]
    fn the_folder_of_a_pattern_is_taken_literally() {
        let main = ("[a]*/main".to_owned(), "@INCLUDE *.conf\n".to_owned());
        let part = ("[a]*/x.conf".to_owned(), "[INPUT]\n    Name dummy\n".to_owned());
        let other = ("a/y.conf".to_owned(), "[INPUT]\n    Name dummy\n".to_owned());
        assert_eq!(check(&[main, part, other], &[]).sections.len(), 1);
    }

    #[test]
    fn many_warnings_do_not_stop_the_reading() {
        let text = "[ODD]\n".repeat(2 * MAX_DIAGNOSTICS) + "[INPUT]\n    Name dummy\n";
        let expected = vec!["unknown section [ODD] is ignored"; 2 * MAX_DIAGNOSTICS];
        let document = check(&[("main".to_owned(), text)], &expected);
        assert_eq!(document.sections_of(SectionKind::INPUT).count(), 1);
    }
}
