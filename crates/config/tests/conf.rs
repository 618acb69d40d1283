//! Every `.conf` and `.yaml` file in `tests/conf`, and every `main` of that kind in a folder there, is read; what comes out
//! must be as in the `.expected` file beside it (of a YAML file: `.yaml.expected`): the diagnostics, and without errors the
//! sections. `BLESS=1` writes those files anew. Files whose name begins with `parsers` are read as parsers files. Where the
//! same name stands for a classic and a YAML file, both must say the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flb_config::{Document, FileKind, Memory, Section, SectionKind, Span, is_yaml, read_file};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conf");
    let mut files = Memory::default();
    collect(&folder, Path::new(""), &mut files.0);
    let mut trials = Vec::new();
    for path in files.0.keys().filter(|path| is_case(path)) {
        let (folder, case, all) = (folder.clone(), path.clone(), files.clone());
        trials.push(Trial::test(path.display().to_string(), move || check(&folder, &case, &all)));
        let twin = path.with_extension("conf");
        if is_yaml(path) && files.0.contains_key(&twin) {
            let (case, all) = (path.clone(), files.clone());
            let name = format!("{} as {}", path.display(), twin.display());
            trials.push(Trial::test(name, move || compare(&case, &twin, &all)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Puts the configuration files below `folder` into `files`, by their path from the top.
fn collect(folder: &Path, prefix: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = prefix.join(path.file_name().unwrap());
        if path.is_dir() {
            collect(&path, &name, files);
        } else if is_yaml(&path) || path.extension().is_some_and(|extension| extension == "conf") {
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

fn is_case(path: &Path) -> bool {
    path.parent() == Some(Path::new("")) || path.file_stem() == Some("main".as_ref())
}

fn check(folder: &Path, path: &Path, files: &Memory) -> Result<(), Failed> {
    let (document, shown, is_wrong) = read(path, files);
    let gap = if shown.is_empty() { "" } else { "\n" };
    let actual = if is_wrong { shown } else { shown + gap + &dump(&document, true) };
    let extension = if is_yaml(path) { "yaml.expected" } else { "expected" };
    let expected_path = folder.join(path).with_extension(extension);
    if env::var_os("BLESS").is_some() {
        return Ok(fs::write(expected_path, actual)?);
    }
    let expected = fs::read_to_string(&expected_path)
        .map_err(|error| format!("{}: {error}; BLESS=1 writes it", expected_path.display()))?;
    same(&expected, &actual)
}

/// Both syntaxes of one configuration give the same sections.
fn compare(yaml: &Path, classic: &Path, files: &Memory) -> Result<(), Failed> {
    let [yaml, classic] = [yaml, classic].map(|path| {
        let mut document = read(path, files).0;
        document.sections.sort_by_key(|section| section.kind.name());
        dump(&document, false)
    });
    same(&classic, &yaml)
}

fn same(expected: &str, actual: &str) -> Result<(), Failed> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("--- expected\n{expected}\n--- actual\n{actual}").into())
}

/// The document, what there is to say about it, and whether it has errors.
fn read(path: &Path, files: &Memory) -> (Document, String, bool) {
    let is_parsers = path.file_name().unwrap().to_str().unwrap().starts_with("parsers");
    let kind = if is_parsers { FileKind::Parsers } else { FileKind::Main };
    let mut document = Document::default();
    let diagnostics = read_file(&mut document, path, kind, files);
    let shown = diagnostics.render(document.sources());
    (document, shown, diagnostics.has_errors())
}

fn dump(document: &Document, with_places: bool) -> String {
    let mut out = String::new();
    for (name, value) in &document.variables {
        writeln!(out, "@SET {name:?} = {value:?}").unwrap();
    }
    for section in &document.sections {
        dump_section(document, section, "", with_places, &mut out);
    }
    out
}

fn dump_section(
    document: &Document,
    section: &Section,
    indent: &str,
    with_places: bool,
    out: &mut String,
) {
    let place = |span, text: &str| match with_places {
        true => place(document, span, text) + ": ",
        false => String::new(),
    };
    let name = &section.name;
    let shown = if with_places { name.text.as_str() } else { section.kind.name() };
    let at = place(name.span, &name.text);
    let kind = match section.kind {
        SectionKind::Plugin(role) => format!("{role:?}"),
        kind => format!("{kind:?}"),
    };
    writeln!(out, "{at}{indent}[{shown}] {kind}").unwrap();
    for property in &section.properties {
        let at = place(property.key.span, &property.key.text);
        place(property.value.span, &property.value.text);
        writeln!(out, "{at}{indent}  {} = {:?}", property.key.text, property.value.text).unwrap();
    }
    for child in &section.children {
        dump_section(document, child, &format!("{indent}  "), with_places, out);
    }
}

/// `file:line`. In a classic file the span must hold the text, in whatever case; in YAML it begins on its line.
fn place(document: &Document, span: Span, text: &str) -> String {
    let source = document.source(span).unwrap();
    let written = &source.text[span.range()];
    if is_yaml(Path::new(&source.name)) {
        assert!(!written.contains('\n'), "span of {text:?}");
    } else {
        assert!(written.eq_ignore_ascii_case(text), "span of {text:?}");
    }
    format!("{}:{}", source.name, source.line(span.range().start))
}
