//! The check of configuration files.

use std::path::Path;

use flb_config::{
    Diagnostics, Document, FileKind, Memory, Spanned, Variables, read_classic, value,
};

const MAIN: &str = "main.conf";

/// Any bytes taken as files with zero bytes between them: `main.conf`, `conf.d/1.conf`,
/// `conf.d/2.conf` and so on.
pub fn config(data: &[u8]) {
    let texts =
        data.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    let files = texts.enumerate().map(|(number, text)| match number {
        0 => (MAIN.into(), text),
        _ => (format!("conf.d/{number}.conf").into(), text),
    });
    let files = Memory(files.collect());
    for kind in [FileKind::Main, FileKind::Parsers] {
        let mut document = Document::default();
        let diagnostics = read_classic(&mut document, Path::new(MAIN), kind, &files);
        check_shown(&diagnostics, &document);
        check_spans(&document);
        check_values(&document);
    }
}

fn check_shown(diagnostics: &Diagnostics, document: &Document) {
    let plain = diagnostics.render(document.sources());
    let coloured = diagnostics.render_coloured(document.sources());
    assert_eq!(plain.is_empty(), diagnostics.is_empty());
    assert_eq!(coloured.is_empty(), diagnostics.is_empty());
    // Those from U+0080 on get through: annotate-snippets knows only the ASCII ones.
    assert!(!plain.contains(|c: char| c.is_ascii_control() && c != '\n'), "{plain:?}");
}

/// Every text stands where its span says.
fn check_spans(document: &Document) {
    let written = |spanned: &Spanned| {
        let source = document.source(spanned.span).expect("a span is in one of the sources");
        source.text.get(spanned.span.range()).expect("a span is within its source").to_owned()
    };
    for section in &document.sections {
        assert_eq!(written(&section.name), section.name.text);
        for property in &section.properties {
            assert_eq!(written(&property.key).to_ascii_lowercase(), property.key.text);
            assert_eq!(written(&property.value), property.value.text);
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
    for property in document.sections.iter().flat_map(|section| &section.properties) {
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
