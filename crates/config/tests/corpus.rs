//! Replays inputs that are hard to read: whatever they are, reading and showing the mistakes must
//! not panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use flb_config::{
    Diagnostic, Diagnostics, Disk, Document, FileKind, Files, MASK, Property, Secrecy, Section,
    Variables, masked, read_classic, read_yaml, value,
};

type Read = fn(&mut Document, &Path, FileKind, &dyn Files) -> Diagnostics;

#[test]
fn nothing_in_the_classic_corpus_panics() {
    replay_all("classic", read_classic);
}

#[test]
fn nothing_in_the_yaml_corpus_panics() {
    replay_all("yaml", read_yaml);
}

fn replay_all(corpus: &str, read: Read) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(corpus);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        replay(&entry.unwrap().path(), read);
        count += 1;
    }
    assert!(count > 0);
}

fn replay(path: &Path, read: Read) {
    for kind in [FileKind::Main, FileKind::Parsers] {
        let mut document = Document::default();
        let diagnostics = read(&mut document, path, kind, &Disk);
        let plain = diagnostics.render(document.sources());
        let coloured = diagnostics.render_coloured(document.sources());
        assert_eq!(plain.is_empty(), diagnostics.is_empty());
        assert_eq!(coloured.is_empty(), diagnostics.is_empty());
        let wild = |char: char| flb_text::is_wild(char) && char != '\n';
        assert!(!plain.contains(wild), "{} gets an escape through", path.display());
        document.sections.iter().for_each(read_section);
        show_hidden(&mut document);
    }
}

/// Shows the place of each value with all values hidden.
fn show_hidden(document: &mut Document) {
    let properties: Vec<Property> =
        document.sections.iter().flat_map(|section| section.properties.clone()).collect();
    properties.iter().for_each(|property| document.hide(property.value.span));
    for Property { key, value } in &properties {
        for span in [key.span, value.span] {
            let shown = Diagnostics::from(Diagnostic::error("x").at(span).hiding(value.span));
            let shown = shown.render(document.sources());
            assert!(value.text.is_empty() || shown.contains(MASK), "{} {shown}", key.text);
        }
    }
}

fn read_section(section: &Section) {
    section.properties.iter().for_each(|property| read_value(&property.value.text));
    section.children.iter().for_each(read_section);
}

/// Reads a value as everything it could be.
fn read_value(text: &str) {
    for secrecy in [Secrecy::Open, Secrecy::Named, Secrecy::Address, Secrecy::Command] {
        masked("key", secrecy, text, text, false);
        masked("config.key", secrecy, text, text, false);
    }
    let text = Variables::default().expand(text).text;
    let _ = value::parse_bool(&text);
    let _ = value::parse_int(&text);
    let _ = value::parse_double(&text);
    let _ = value::parse_size(&text);
    let _ = value::parse_time(&text);
    value::parse_clist(&text);
    let _ = value::parse_slist(&text, None);
    let _ = value::parse_slist(&text, Some(2));
}
