//! Every `tests/conf/*.conf`, and every `main.conf` in a folder there, is read; what comes out must
//! be as in the `.expected` file beside it: the diagnostics, and without errors the sections.
//! `BLESS=1` writes those files anew. Files whose name begins with `parsers` are read as parsers
//! files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flb_config::{Document, FileKind, Memory, Span, read_classic};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conf");
    let mut files = Memory::default();
    collect(&folder, Path::new(""), &mut files.0);
    let trials = files.0.keys().filter(|path| is_case(path)).map(|path| {
        let (folder, path, files) = (folder.clone(), path.clone(), files.clone());
        Trial::test(path.display().to_string(), move || check(&folder, &path, &files))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// Puts the `.conf` files below `folder` into `files`, by their path from the top.
fn collect(folder: &Path, prefix: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = prefix.join(path.file_name().unwrap());
        if path.is_dir() {
            collect(&path, &name, files);
        } else if path.extension().is_some_and(|extension| extension == "conf") {
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

fn is_case(path: &Path) -> bool {
    path.parent() == Some(Path::new("")) || path.file_name() == Some("main.conf".as_ref())
}

fn check(folder: &Path, path: &Path, files: &Memory) -> Result<(), Failed> {
    let actual = read(path, files);
    let expected_path = folder.join(path).with_extension("expected");
    if env::var_os("BLESS").is_some() {
        return Ok(fs::write(expected_path, actual)?);
    }
    let expected = fs::read_to_string(&expected_path)
        .map_err(|error| format!("{}: {error}; BLESS=1 writes it", expected_path.display()))?;
    if actual == expected {
        return Ok(());
    }
    Err(format!("--- expected\n{expected}\n--- actual\n{actual}").into())
}

fn read(path: &Path, files: &Memory) -> String {
    let is_parsers = path.file_name().unwrap().to_str().unwrap().starts_with("parsers");
    let kind = if is_parsers { FileKind::Parsers } else { FileKind::Main };
    let mut document = Document::default();
    let diagnostics = read_classic(&mut document, path, kind, files);
    let shown = diagnostics.render(document.sources());
    if diagnostics.has_errors() {
        return shown;
    }
    let gap = if shown.is_empty() { "" } else { "\n" };
    shown + gap + &dump(&document)
}

fn dump(document: &Document) -> String {
    let mut out = String::new();
    for (name, value) in &document.variables {
        writeln!(out, "@SET {name:?} = {value:?}").unwrap();
    }
    for section in &document.sections {
        let place = place(document, section.name.span, &section.name.text);
        writeln!(out, "{place}: [{}] {:?}", section.name.text, section.kind).unwrap();
        for property in &section.properties {
            let place = self::place(document, property.key.span, &property.key.text);
            self::place(document, property.value.span, &property.value.text);
            writeln!(out, "{place}:   {} = {:?}", property.key.text, property.value.text).unwrap();
        }
    }
    out
}

/// `file:line`; the span must hold the text, in whatever case.
fn place(document: &Document, span: Span, text: &str) -> String {
    let source = document.source(span).unwrap();
    assert!(source.text[span.range()].eq_ignore_ascii_case(text), "span of {text:?}");
    format!("{}:{}", source.name, source.line(span.range().start))
}
