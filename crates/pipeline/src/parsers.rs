//! Parsers files: finds them, reads them into the document, and builds a parser of each `[PARSER]` section.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flb_config::{
    Diagnostic, Diagnostics, Document, FileKind, Files, Section, SectionKind, Variables,
    did_you_mean, read_classic,
};
use flb_event::Tag;
use flb_plugin::{Build, Options, Parser, Parsers, Registry, Service, Spec};

use crate::findings::Findings;
use crate::service::Settings;

/// The keys of a parser section that are not its format's.
const RESERVED: [&str; 2] = ["name", "format"];

/// Reads all files that the settings name into `document`. A relative path is looked for as it is, then in `config_dir`.
/// False when a file could not be read or has mistakes; the document is then good for showing them only.
pub fn read_parsers_files(
    document: &mut Document,
    settings: &Settings,
    config_dir: Option<&Path>,
    files: &dyn Files,
    findings: &mut Findings,
) -> bool {
    for named in &settings.parsers_files {
        let path = find(&named.text, config_dir, files);
        let before = document.sources().len();
        let found = read_classic(document, &path, FileKind::Parsers, files);
        let opened = document.sources().len() > before;
        findings.config.extend(found.into_iter().map(|diagnostic| match diagnostic.span {
            None if !opened => diagnostic.at(named.span),
            _ => diagnostic,
        }));
    }
    !findings.config.has_errors()
}

fn find(text: &str, config_dir: Option<&Path>, files: &dyn Files) -> PathBuf {
    let path = Path::new(text);
    match config_dir {
        Some(folder) if path.is_relative() && files.read(path).is_err() => folder.join(path),
        _ => path.to_owned(),
    }
}

/// Builds the parsers of all sections; those of `builtin` fill the names that are left.
pub(crate) fn build_parsers(
    document: &Document,
    builtin: &Parsers,
    (registry, service, variables): (&Registry, &Service, &Variables),
    diagnostics: &mut Diagnostics,
) -> Parsers {
    let mut parsers = Parsers::default();
    for section in document.sections_of(SectionKind::Parser) {
        let named = build_parser(section, registry, service, variables, diagnostics);
        let Some((name, parser)) = named else { continue };
        if !parsers.insert(&name, parser) {
            let message = format!("[parser] parser named '{name}' already exists, skip.");
            diagnostics.push(Diagnostic::error(message).at(section.name.span));
        }
    }
    for section in document.sections_of(SectionKind::MultilineParser) {
        let warning = Diagnostic::warning("multiline parsers are not supported yet");
        diagnostics.push(warning.at(section.name.span).label("has no effect"));
    }
    for name in builtin.names() {
        if let Some(parser) = builtin.find(name) {
            parsers.insert(name, Arc::clone(parser));
        }
    }
    parsers
}

fn build_parser(
    section: &Section,
    registry: &Registry,
    service: &Service,
    variables: &Variables,
    diagnostics: &mut Diagnostics,
) -> Option<(String, Arc<dyn Parser>)> {
    let name = required(section, "name", variables, diagnostics)?;
    let format = required(section, "format", variables, diagnostics)?;
    let Some(spec) = find_spec(registry.parsers, &format) else {
        diagnostics.push(unknown_format(section, &format, registry.parsers));
        return None;
    };
    let mut found = Diagnostics::default();
    let options = Options::read(spec.name, spec.options, section, &RESERVED, variables, &mut found);
    let refused = found.has_errors();
    diagnostics.extend(found);
    if refused {
        return None;
    }
    // No text this short is too long for a tag.
    let tag = Tag::new("").ok()?;
    let parsers = Parsers::default();
    let build = Build { instance: &name, tag: &tag, parsers: &parsers, service };
    match (spec.build)(&options, &build) {
        Ok(parser) => Some((name, parser.into())),
        Err(error) => {
            let message = format!("[parser:{name}] {}", error.message);
            let diagnostic = Diagnostic::error(message).at(section.name.span);
            diagnostics.push(match error.help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            None
        }
    }
}

fn required(
    section: &Section,
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
        let message = format!("[parser] a parser is missing the '{key}' property");
        diagnostics.push(Diagnostic::error(message).at(section.name.span));
    }
    text
}

fn unknown_format(
    section: &Section,
    format: &str,
    specs: &'static [Spec<dyn Parser>],
) -> Diagnostic {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
    let help = match did_you_mean(format, names.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("use one of {}", names.join(", ")),
    };
    let span = section.property("format").map_or(section.name.span, |property| property.value.span);
    Diagnostic::error(format!("[parser] unknown format '{format}'")).at(span).help(help)
}

/// The row with this name, in any case.
pub(crate) fn find_spec<T: ?Sized>(
    specs: &'static [Spec<T>],
    name: &str,
) -> Option<&'static Spec<T>> {
    specs.iter().find(|spec| spec.name.eq_ignore_ascii_case(name))
}
