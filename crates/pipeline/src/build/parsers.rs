//! Parsers files: finds them, reads them into the document, and builds a parser of each `[PARSER]` and
//! `[MULTILINE_PARSER]` section.

use std::path::{Path, PathBuf};

use flb_config::keys::{Options, Table};
use flb_config::{
    Diagnostic, Diagnostics, Document, FileKind, Files, Section, SectionKind, Variables,
    did_you_mean, read_file,
};
use flb_event::Tag;
use flb_plugin::{Build, Metrics, MultilineParsers, Named, Parsers, Registry, Service, Spec};

use super::findings::Findings;
use super::service::{PARSERS_FILE, Settings};
use crate::books::ParserRow;

/// Reads all files that the settings name into `document`. A relative path is looked for as it is, then in `folders`.
/// False when a file could not be read or has mistakes; the document is then good for showing them only.
pub fn read_parsers_files(
    document: &mut Document,
    settings: &Settings,
    folders: &[PathBuf],
    files: &dyn Files,
    findings: &mut Findings,
) -> bool {
    let mut are_good = true;
    for (text, place) in settings.keys.spanned(PARSERS_FILE) {
        let path = find(text, folders, files);
        let before = document.sources().len();
        let found = read_file(document, &path, FileKind::Parsers, files);
        let opened = document.sources().len() > before;
        are_good &= !found.has_errors();
        findings.config.extend(found.into_iter().map(|diagnostic| {
            match (diagnostic.span, place) {
                (None, Some(place)) if !opened => diagnostic.at(place),
                _ => diagnostic,
            }
        }));
    }
    are_good
}

fn find(text: &str, folders: &[PathBuf], files: &dyn Files) -> PathBuf {
    let path = Path::new(text);
    if files.read(path).is_ok() {
        return path.to_owned();
    }
    let mut paths = folders.iter().map(|folder| folder.join(path));
    let there = paths.clone().find(|path| files.read(path).is_ok());
    there.or_else(|| paths.next()).unwrap_or_else(|| path.to_owned())
}

/// What sections of parsers are built with.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) document: &'a Document,
    pub(crate) registry: &'a Registry,
    pub(crate) service: &'a Service,
    pub(crate) variables: &'a Variables,
}

/// Builds the parsers of all sections; those of `builtin` fill the names that are left.
pub(crate) fn build_parsers(
    world: World<'_>,
    builtin: &Parsers,
    rows: &mut Vec<ParserRow>,
    diagnostics: &mut Diagnostics,
) -> Parsers {
    let none = (&Parsers::default(), &MultilineParsers::default());
    let kind = Kind {
        section: SectionKind::Parser,
        word: "parser",
        choice: "format",
        specs: world.registry.parsers,
    };
    build_all(world, &kind, (none, builtin), rows, diagnostics)
}

/// The same with multiline parsers, which may name `parsers`.
pub(crate) fn build_multiline(
    world: World<'_>,
    parsers: &Parsers,
    builtin: &MultilineParsers,
    rows: &mut Vec<ParserRow>,
    diagnostics: &mut Diagnostics,
) -> MultilineParsers {
    let known = (parsers, &MultilineParsers::default());
    let kind = Kind {
        section: SectionKind::MultilineParser,
        word: "multiline parser",
        choice: "type",
        specs: world.registry.multiline,
    };
    build_all(world, &kind, (known, builtin), rows, diagnostics)
}

/// A kind of sections.
struct Kind<T: ?Sized + 'static> {
    section: SectionKind,
    /// What such a thing is called.
    word: &'static str,
    /// The key that says which row of `specs` is meant.
    choice: &'static str,
    specs: &'static [Spec<T>],
}

type Known<'a> = (&'a Parsers, &'a MultilineParsers);

fn build_all<T: ?Sized>(
    world: World<'_>,
    kind: &Kind<T>,
    (known, builtin): (Known<'_>, &Named<T>),
    rows: &mut Vec<ParserRow>,
    diagnostics: &mut Diagnostics,
) -> Named<T> {
    let mut all = Named::default();
    for section in world.document.sections_of(kind.section) {
        let metrics = Metrics::default();
        let built = build_one(world, kind, section, (known, &metrics), diagnostics);
        let Some((name, built)) = built else { continue };
        if all.insert(&name, built.into()) {
            rows.push(ParserRow { name: name.into(), metrics });
        } else {
            let word = kind.word;
            let message = format!("[{word}] {word} named '{name}' already exists, skip.");
            diagnostics.push(Diagnostic::error(message).at(section.name.span));
        }
    }
    all.fill(builtin);
    all
}

fn build_one<T: ?Sized>(
    world: World<'_>,
    kind: &Kind<T>,
    section: &Section,
    ((parsers, multiline), metrics): (Known<'_>, &Metrics),
    diagnostics: &mut Diagnostics,
) -> Option<(String, Box<T>)> {
    let World { service, variables, .. } = world;
    let word = kind.word;
    let name = required(section, word, "name", variables, diagnostics)?;
    let choice = required(section, word, kind.choice, variables, diagnostics)?;
    let Some(spec) = find_spec(kind.specs, &choice) else {
        diagnostics.push(unknown(section, kind, &choice));
        return None;
    };
    let mut found = Diagnostics::default();
    let reserved = ["name", kind.choice];
    let section = &understood(section, word, spec.options, &reserved, diagnostics);
    let options = Options::read(spec.name, spec.options, section, &reserved, variables, &mut found);
    let refused = found.has_errors();
    diagnostics.extend(found);
    if refused {
        return None;
    }
    // No text this short is too long for a tag.
    let tag = Tag::new("").ok()?;
    let build = Build { instance: &name, tag: &tag, parsers, multiline, service, metrics };
    match (spec.build)(&options, &build) {
        Ok(built) => Some((name, built)),
        Err(error) => {
            let message = format!("[{word}:{name}] {}", error.message);
            let diagnostic = Diagnostic::error(message).at(section.name.span);
            diagnostics.push(match error.help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            None
        }
    }
}

/// The section without keys that mean nothing in it, and without those given again. Fluent Bit passes over both, and files of parsers
/// that many share have them; so they are warnings.
fn understood(
    section: &Section,
    word: &str,
    table: Table,
    reserved: &[&str],
    diagnostics: &mut Diagnostics,
) -> Section {
    let mut understood = section.clone();
    understood.properties.clear();
    for property in &section.properties {
        let key = property.key.text.as_str();
        let row = table.rows().find(|row| row.name == key);
        let is_again = understood.property(key).is_some();
        let warning = if row.is_none() && !reserved.contains(&key) {
            let warning = Diagnostic::warning(format!("[{word}] unknown key '{key}' is ignored"));
            let known = table.names().chain(reserved.iter().copied());
            match did_you_mean(key, known) {
                Some(near) => warning.help(format!("did you mean '{near}'?")),
                None => warning,
            }
        } else if is_again && row.is_none_or(|row| !row.is_repeated) {
            let message = format!("[{word}] '{key}' is given again, and ignored");
            Diagnostic::warning(message).help("the first one counts; give it once")
        } else {
            understood.properties.push(property.clone());
            continue;
        };
        diagnostics.push(warning.at(property.key.span));
    }
    understood
}

fn required(
    section: &Section,
    word: &str,
    key: &str,
    variables: &Variables,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let text = section.property(key).map(|property| {
        let expanded = variables.expand(&property.value.text);
        expanded.report(property.value.span, diagnostics);
        expanded.text
    });
    let text = text.filter(|text| !text.is_empty());
    if text.is_none() {
        let message = format!("[{word}] a {word} is missing the '{key}' property");
        diagnostics.push(Diagnostic::error(message).at(section.name.span));
    }
    text
}

fn unknown<T: ?Sized>(section: &Section, kind: &Kind<T>, given: &str) -> Diagnostic {
    let names: Vec<&str> = kind.specs.iter().map(|spec| spec.name).collect();
    let help = match did_you_mean(given, names.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("use one of {}", names.join(", ")),
    };
    let property = section.property(kind.choice);
    let span = property.map_or(section.name.span, |property| property.value.span);
    let (word, choice) = (kind.word, kind.choice);
    Diagnostic::error(format!("[{word}] unknown {choice} '{given}'")).at(span).help(help)
}

/// The row with this name, in any case.
pub(crate) fn find_spec<T: ?Sized>(
    specs: &'static [Spec<T>],
    name: &str,
) -> Option<&'static Spec<T>> {
    specs.iter().find(|spec| spec.name.eq_ignore_ascii_case(name))
}
