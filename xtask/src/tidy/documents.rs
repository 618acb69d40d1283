//! Rules about everything that is read rather than run: documents, the lock file, names of places.

use std::collections::HashSet;
use std::path::Path;

use super::sources::code;
use super::tree::Tree;

/// What a clone of the project elsewhere cannot have, cut in two so that this file is clean itself.
const PLACES: &[(&str, &str)] =
    &[("../", "shared"), ("/wo", "rk/"), ("/ro", "ot/"), ("/tmp/", "target")];

/// The most packages that Cargo.lock may hold, ours included: some twenty, so that a plugin builds without all others; fourteen are Kafka's.
const LOCK_BUDGET: usize = 460;

/// What a visitor looks for first, and what the other rules read.
const WANTED: &[&str] =
    &["README.md", "CHANGELOG.md", "LICENSE", "docs/architecture.md", "docs/compat.md"];

const COMPAT: &str = "docs/compat.md";

/// Files, binary ones too, that name a place on the machine where they were made.
pub(super) fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in &tree.files {
        for place in PLACES.iter().map(|(head, tail)| format!("{head}{tail}")) {
            if let Some(at) = position(&file.bytes, place.as_bytes()) {
                let line = 1 + file.bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
                found.push(format!("{}:{line}: names {place}", file.path));
            }
        }
    }
    found
}

/// Where the place is named; a relative path that only ends like it does not name it.
fn position(bytes: &[u8], place: &[u8]) -> Option<usize> {
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    bytes
        .windows(place.len())
        .enumerate()
        .find(|(at, window)| *window == place && !(*at > 0 && within(&bytes[at - 1])))
        .map(|(at, _)| at)
}

/// A lock file with more packages than we want to answer for.
pub(super) fn lock_over_budget(tree: &Tree) -> Vec<String> {
    let Some(lock) = tree.text("Cargo.lock") else {
        return vec!["Cargo.lock: missing".into()];
    };
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    if packages <= LOCK_BUDGET {
        return Vec::new();
    }
    vec![format!("Cargo.lock: {packages} packages, and {LOCK_BUDGET} are the budget")]
}

/// Documents that ought to be there.
pub(super) fn missing(tree: &Tree) -> Vec<String> {
    let there = |path: &&&str| tree.files.iter().any(|file| file.path == **path);
    WANTED.iter().filter(|path| !there(path)).map(|path| format!("{path}: missing")).collect()
}

/// Pages of docs/ whose title is not followed by prose: a reader wants to know first what they are for.
pub(super) fn without_opening(tree: &Tree) -> Vec<String> {
    let pages = tree
        .files
        .iter()
        .filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md"));
    let is_open = |text: &str| {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let title = lines.next().unwrap_or_default();
        let first = lines.next().unwrap_or_default();
        let is_prose = !first.starts_with(['#', '|', '-', '<', '!']) && !first.starts_with("```");
        title.starts_with("# ") && !first.is_empty() && is_prose
    };
    pages
        .filter(|file| !is_open(file.text().unwrap_or_default()))
        .map(|file| format!("{}: does not say what it is for, under its title", file.path))
        .collect()
}

/// Rows of docs/compat.md whose test is not in the tree.
///
/// Judged is every table whose last column is headed `Test`: its cell names, in backticks, a test
/// function, or a case by its file's or folder's name. Only what is 'not yet' needs none.
pub(super) fn compat_without_test(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text(COMPAT) else {
        return vec![format!("{COMPAT}: missing")];
    };
    let rows = rows_with_test(text);
    if rows.is_empty() {
        return vec![format!("{COMPAT}: no table whose last column is headed 'Test'")];
    }
    let known = names_of_tests(tree);
    let mut found = Vec::new();
    for Row { line, cells, test } in rows {
        let names: Vec<_> = test.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !cells.to_lowercase().contains("not yet") {
            found.push(format!("{COMPAT}:{line}: names no test, nor says 'not yet'"));
        }
        for name in names {
            let last = name.rsplit("::").next().unwrap_or(name);
            if !known.contains(last) {
                found.push(format!("{COMPAT}:{line}: no test or case is called {name}"));
            }
        }
    }
    found
}

/// A row of a table: its line, its last cell and the others.
struct Row<'a> {
    line: usize,
    cells: &'a str,
    test: &'a str,
}

fn rows_with_test(text: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut judged = None; // outside of tables, whether the next one is not known
    for (index, line) in text.lines().enumerate() {
        let Some(inside) = line.trim().strip_prefix('|') else {
            judged = None;
            continue;
        };
        let inside = inside.trim_end_matches('|');
        let (cells, test) = inside.rsplit_once('|').unwrap_or(("", inside));
        match judged {
            None => judged = Some(test.trim().to_lowercase().starts_with("test")),
            Some(true) if !inside.chars().all(|c| "-:| ".contains(c)) => {
                rows.push(Row { line: index + 1, cells, test });
            }
            Some(_) => {}
        }
    }
    rows
}

/// The names of all functions, and of all files and folders below `tests` folders: with and without
/// what follows the dot, and as a whole path.
fn names_of_tests(tree: &Tree) -> HashSet<String> {
    let mut names = HashSet::new();
    for (_, text) in tree.rust() {
        let code = code(text);
        let words: Vec<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let functions =
            words.windows(2).filter(|pair| pair[0] == "fn").map(|pair| pair[1].to_owned());
        names.extend(functions);
    }
    for file in tree.files.iter().filter(|file| format!("/{}", file.path).contains("/tests/")) {
        let path = Path::new(&file.path);
        names.extend(path.ancestors().map(|path| path.to_string_lossy().into_owned()));
        names.extend(path.iter().map(|part| part.to_string_lossy().into_owned()));
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_on_a_machine_are_found_in_binaries_too() {
        let place = PLACES[1].0.to_owned() + PLACES[1].1;
        let tree = Tree::of(&[
            ("a.wasm", &format!("\0asm\n\n({place}x.rs)")),
            ("b.md", &format!("see net{place}x and framework/y")),
        ]);
        assert_eq!(machine_paths(&tree), [format!("a.wasm:3: names {place}")]);
    }

    #[test]
    fn the_lock_file_has_a_budget() {
        let lock = |count| Tree::of(&[("Cargo.lock", &"[[package]]\nname\n".repeat(count))]);
        assert!(lock_over_budget(&lock(LOCK_BUDGET)).is_empty());
        assert_eq!(lock_over_budget(&lock(LOCK_BUDGET + 1)).len(), 1);
        assert_eq!(lock_over_budget(&Tree::of(&[])).len(), 1);
    }

    #[test]
    fn documents_that_are_missing_are_named() {
        let tree = Tree::of(&[("README.md", ""), ("LICENSE", ""), ("docs/compat.md", "")]);
        assert_eq!(missing(&tree), ["CHANGELOG.md: missing", "docs/architecture.md: missing"]);
    }

    #[test]
    fn a_page_says_what_it_is_for() {
        let tree = Tree::of(&[
            ("docs/a.md", "# A\n\nWhat to do when.\n"),
            ("docs/b.md", "# B\n\n| a | table |\n"),
            ("docs/c.md", "No title\n"),
            ("README.md", ""),
        ]);
        let fault = |page| format!("{page}: does not say what it is for, under its title");
        assert_eq!(without_opening(&tree), [fault("docs/b.md"), fault("docs/c.md")]);
    }

    #[test]
    fn every_promise_names_a_test_that_exists() {
        let compat = "# Compat\n\
            | option | state | Test |\n|---|:---|---|\n\
            | a | same | `a_function` |\n\
            | b | same | `conf::a_case`, `a_case.conf` `folder` |\n\
            | c | not yet | |\n\
            | d | not yet | - |\n\
            | e | same | - |\n\
            | f | differs | `gone` |\n\
            | g | same | `in_a_comment` |\n\
            \n\
            | word | meaning |\n|---|---|\n| h | `gone` |\n";
        let found = compat_without_test(&Tree::of(&[
            (COMPAT, compat),
            ("crates/x/src/lib.rs", "fn a_function() {} // fn in_a_comment"),
            ("tests/conf/a_case.conf", ""),
            ("tests/pipeline/folder/input.jsonl", ""),
        ]));
        assert_eq!(
            found,
            [
                "docs/compat.md:8: names no test, nor says 'not yet'",
                "docs/compat.md:9: no test or case is called gone",
                "docs/compat.md:10: no test or case is called in_a_comment",
            ]
        );
    }

    #[test]
    fn a_compat_page_without_promises_is_no_page() {
        assert_eq!(compat_without_test(&Tree::of(&[(COMPAT, "| a | b |\n|--|--|\n")])).len(), 1);
        assert_eq!(compat_without_test(&Tree::of(&[])).len(), 1);
    }
}
