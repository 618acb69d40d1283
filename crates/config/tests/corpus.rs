//! Replays inputs that are hard to read: whatever they are, reading and showing the mistakes must
//! not panic.

use std::fs;
use std::path::Path;

use flb_config::{Disk, Document, FileKind, Variables, read_classic, value};

#[test]
fn nothing_in_the_corpus_panics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/classic");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        replay(&entry.unwrap().path());
        count += 1;
    }
    assert!(count > 0);
}

fn replay(path: &Path) {
    for kind in [FileKind::Main, FileKind::Parsers] {
        let mut document = Document::default();
        let diagnostics = read_classic(&mut document, path, kind, &Disk);
        let plain = diagnostics.render(document.sources());
        let coloured = diagnostics.render_coloured(document.sources());
        assert_eq!(plain.is_empty(), diagnostics.is_empty());
        assert_eq!(coloured.is_empty(), diagnostics.is_empty());
        assert!(!plain.contains('\u{1b}'), "{} gets an escape through", path.display());
        for property in document.sections.iter().flat_map(|section| &section.properties) {
            read_value(&property.value.text);
        }
    }
}

/// Reads a value as everything it could be.
fn read_value(text: &str) {
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
