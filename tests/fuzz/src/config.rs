//! The check of configuration files.

use std::path::Path;

use flb_config::{
    Diagnostic, Diagnostics, Document, FileKind, Memory, Property, Secrecy, Section, Spanned,
    Variables, masked, read_file, value,
};

/// Any bytes taken as classic files with zero bytes between them: `main.conf`, `conf.d/1.conf`, `conf.d/2.conf` and so on.
pub fn classic(data: &[u8]) {
    config(data, "conf");
}

/// The same as YAML files: `main.yaml`, `conf.d/1.yaml` and so on.
pub fn yaml(data: &[u8]) {
    config(data, "yaml");
}

fn config(data: &[u8], extension: &str) {
    let main = format!("main.{extension}");
    let texts =
        data.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    let files = texts.enumerate().map(|(number, text)| match number {
        0 => (main.clone().into(), text),
        _ => (format!("conf.d/{number}.{extension}").into(), text),
    });
    let files = Memory(files.collect());
    for kind in [FileKind::Main, FileKind::Parsers] {
        let mut document = Document::default();
        let diagnostics = read_file(&mut document, Path::new(&main), kind, &files);
        check_shown(&diagnostics, &document);
        check_spans(&document, extension == "conf");
        check_values(&document);
        check_hidden(&mut document);
    }
}

/// With all values hidden, each place can be shown.
fn check_hidden(document: &mut Document) {
    let properties: Vec<Property> =
        sections(document).into_iter().flat_map(|section| section.properties.clone()).collect();
    properties.iter().for_each(|property| document.hide(property.value.span));
    for Property { key, value } in &properties {
        for span in [key.span, value.span] {
            let one = Diagnostic::error("x").at(span).hiding(value.span);
            Diagnostics::from(one).render(document.sources());
        }
        for secrecy in [Secrecy::Open, Secrecy::Named, Secrecy::Address, Secrecy::Command] {
            masked(&key.text, secrecy, &value.text, &value.text, false);
        }
    }
}

fn check_shown(diagnostics: &Diagnostics, document: &Document) {
    let plain = diagnostics.render(document.sources());
    let coloured = diagnostics.render_coloured(document.sources());
    assert_eq!(plain.is_empty(), diagnostics.is_empty());
    assert_eq!(coloured.is_empty(), diagnostics.is_empty());
    assert!(!plain.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')), "{plain:?}");
}

/// Every section, those inside others included.
fn sections(document: &Document) -> Vec<&Section> {
    let mut all: Vec<&Section> = document.sections.iter().collect();
    let mut at = 0;
    while let Some(section) = all.get(at) {
        all.extend(&section.children);
        at += 1;
    }
    all
}

/// Every text stands where its span says; in YAML it need not stand there as it is.
fn check_spans(document: &Document, literally: bool) {
    let written = |spanned: &Spanned| {
        let source = document.source(spanned.span).expect("a span is in one of the sources");
        source.text.get(spanned.span.range()).expect("a span is within its source").to_owned()
    };
    for section in sections(document) {
        let name = written(&section.name);
        assert!(!literally || name == section.name.text);
        for property in &section.properties {
            let (key, value) = (written(&property.key), written(&property.value));
            assert!(!literally || key.to_ascii_lowercase() == property.key.text);
            assert!(!literally || value == property.value.text);
        }
    }
}

/// Fills in the variables and reads each value as everything it could be.
fn check_values(document: &Document) {
    let mut variables = Variables::default();
    for (name, value) in &document.variables {
        variables.set(name, value);
    }
    let mut diagnostics = Diagnostics::default();
    for property in sections(document).iter().flat_map(|section| &section.properties) {
        let expanded = variables.expand(&property.value.text);
        expanded.report(property.value.span, &mut diagnostics);
        let text = &expanded.text;
        let _ = value::parse_bool(text);
        let _ = value::parse_int(text);
        let _ = value::parse_double(text);
        let _ = value::parse_size(text);
        let _ = value::parse_time(text);
        value::parse_clist(text);
        let _ = value::parse_slist(text, None);
        let _ = value::parse_slist(text, Some(2));
    }
    check_shown(&diagnostics, document);
}
