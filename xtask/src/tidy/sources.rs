//! Rules about Rust files: what they open with, how long they are, where `unsafe` lives.

use std::collections::BTreeSet;

use super::section::section;
use super::tree::Tree;

/// Past this many lines, ask which noun wants to leave.
const LONGEST: usize = 800;

/// The files that may be longer, because they are tables.
const TABLES: &[&str] = &[];

const DOCUMENT: &str = "docs/architecture.md";
const HEADING: &str = "Where unsafe lives";

/// Code for guests: a filter takes raw pointers by contract, and it is the sandbox that fences it.
const GUESTS: [&str; 3] = ["examples/", "sdk/", "tests/allocators/"];

/// Files that do not open with `//!`.
pub(super) fn undocumented(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| format!("{path}:1: say in a '//!' line what this file is for"))
        .collect()
}

/// Files of too many lines that are not tables.
pub(super) fn too_long(tree: &Tree) -> Vec<String> {
    tree.rust()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(path, lines)| *lines > LONGEST && !TABLES.contains(path))
        .map(|(path, lines)| format!("{path}: {lines} lines, and {LONGEST} are the limit"))
        .collect()
}

fn is_guest(path: &str) -> bool {
    GUESTS.iter().any(|folder| path.starts_with(folder))
}

/// `unsafe` outside the files that the document lists, and listed files without any.
pub(super) fn unsafe_away_from_home(tree: &Tree) -> Vec<String> {
    let Some(list) = tree.text(DOCUMENT).and_then(|text| section(text, HEADING)) else {
        return vec![format!("{DOCUMENT}: no heading '{HEADING}'")];
    };
    let homes = homes(list);
    let mut lived_in = BTreeSet::new();
    let mut found = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| !is_guest(path)) {
        let Some(line) = first_unsafe(text) else { continue };
        if homes.contains(path) {
            lived_in.insert(path);
        } else {
            found.push(format!("{path}:{line}: unsafe, but {DOCUMENT} does not list this file"));
        }
    }
    for home in homes.difference(&lived_in) {
        found.push(format!("{DOCUMENT}: lists {home}, where nothing is unsafe"));
    }
    found
}

/// The paths of Rust files that the section names.
fn homes(section: &str) -> BTreeSet<&str> {
    section
        .split(|c: char| c.is_whitespace() || "`|()<>,;:".contains(c))
        .filter(|word| word.contains('/') && word.ends_with(".rs"))
        .collect()
}

/// The line, counted from 1, of the first word `unsafe` in the code.
fn first_unsafe(source: &str) -> Option<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let is_unsafe = |line: &str| line.split(|c| !word(c)).any(|word| word == "unsafe");
    code(source).lines().position(is_unsafe).map(|index| index + 1)
}

/// The source without comments and without the insides of strings; lines stay where they are.
pub(super) fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let inert = comment(rest).or_else(|| raw_string(rest)).or_else(|| quoted(rest));
        let (taken, kept) = match inert {
            Some(len) => (len, None),
            // A word is taken whole, so that the `r` of `for` begins no raw string.
            None if first.is_alphanumeric() || first == '_' => {
                let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                (len.unwrap_or(rest.len()), Some(()))
            }
            None => (first.len_utf8(), Some(())),
        };
        let (part, after) = rest.split_at(taken);
        match kept {
            Some(()) => code.push_str(part),
            None => {
                code.push(' ');
                code.extend(part.chars().filter(|&c| c == '\n'));
            }
        }
        rest = after;
    }
    code
}

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inside = text.strip_prefix("/*")?;
    let (mut depth, mut at) = (1, 0);
    while depth > 0 {
        let rest = &inside[at..];
        let (step, change) = match (rest.find("/*"), rest.find("*/")) {
            (Some(open), Some(close)) if open < close => (open, 1),
            (_, Some(close)) => (close, -1),
            (_, None) => return Some(text.len()),
        };
        at += step + 2;
        depth += change;
    }
    Some(2 + at)
}

/// The length of the raw string that the text begins with: `r"…"`, `br#"…"#` and so on.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let inside = after.trim_start_matches('#');
    let hashes = after.len() - inside.len();
    let inside = inside.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(text.len() - inside.len() + len)
}

/// The length of the string or the character that the text begins with.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = &text[1..];
    // `'a` is a lifetime unless a quote follows the one character.
    if quote == '\'' && !inside.starts_with('\\') && inside.chars().nth(1) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    let end = inside.find(|c| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    Some(end.map_or(text.len(), |at| at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_opening_sentence_is_found() {
        let tree = Tree::of(&[("a.rs", "//! What for.\n"), ("b.rs", "use x;\n"), ("c.txt", "")]);
        assert_eq!(undocumented(&tree), ["b.rs:1: say in a '//!' line what this file is for"]);
    }

    #[test]
    fn a_long_file_is_found() {
        let (longest, longer) = ("\n".repeat(LONGEST), "\n".repeat(LONGEST + 1));
        let tree = Tree::of(&[("a.rs", &longest), ("b.rs", &longer), ("c.md", &longer)]);
        assert_eq!(too_long(&tree), ["b.rs: 801 lines, and 800 are the limit"]);
    }

    fn check_unsafe(list: &str, files: &[(&str, &str)], expected: &[&str]) {
        let text = format!("## Where unsafe lives\n{list}\n## Next\n`crates/other.rs`");
        let mut files = files.to_vec();
        files.push((DOCUMENT, &text));
        assert_eq!(unsafe_away_from_home(&Tree::of(&files)), expected);
    }

    #[test]
    fn unsafe_is_found_away_from_home_only() {
        let list = "Two files:\n- `crates/a/map.rs`: maps.\n| crates/b/flags.rs | sets |";
        let homes = [("crates/a/map.rs", "unsafe {}"), ("crates/b/flags.rs", "unsafe fn f() {}")];
        check_unsafe(list, &homes, &[]);
        let stranger = ("crates/a/lib.rs", "//! No\n#[unsafe(no_mangle)]\nfn f() {}");
        check_unsafe(
            list,
            &[homes[0], homes[1], stranger],
            &["crates/a/lib.rs:2: unsafe, but docs/architecture.md does not list this file"],
        );
        check_unsafe(
            list,
            &homes[..1],
            &["docs/architecture.md: lists crates/b/flags.rs, where nothing is unsafe"],
        );
        check_unsafe("None.", &[("examples/filters/x/lib.rs", "unsafe {}")], &[]);
    }

    #[test]
    fn the_word_unsafe_counts_in_code_only() {
        for silent in [
            "// unsafe\n/* unsafe /* unsafe */ unsafe */ fn f() {}",
            r#"let a = "unsafe \" unsafe"; let b = 'x';"#,
            r###"let a = r#"unsafe " unsafe"#; let b = br"unsafe\"; let c = c"unsafe";"###,
            "#![deny(unsafe_code)] fn f<'a>(x: &'a str) -> &'a str { x } // unsafe",
            r"let quote = '\''; let other = '\u{1F980}'; // unsafe",
            "let open = \"unsafe\nunsafe",
            "/* unsafe",
        ] {
            assert_eq!(first_unsafe(silent), None, "{silent}");
        }
        for (line, loud) in [
            (1, "fn f() { unsafe { g() } }"),
            (2, "/* one\n*/ unsafe fn f() {}"),
            (1, "let a = '\"'; unsafe { b('\"') }"),
            (3, "let a = \"one\ntwo\";\nunsafe {}"),
            (1, "for\"x\" in unsafe{}"),
            (1, "impl<'a> X<'a> { unsafe fn f() {} }"),
        ] {
            assert_eq!(first_unsafe(loud), Some(line), "{loud}");
        }
    }
}
