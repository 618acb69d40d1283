//! Which crate depends on which: the block in docs/architecture.md against the manifests.
//!
//! A row of the block is `name -> a b (c)`, and after two blanks a remark. What is in brackets may
//! be there, everything else must be; whatever is not written must not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::tree::Tree;

const DOCUMENT: &str = "docs/architecture.md";
const HEADING: &str = "Who may depend on whom";

/// A crate of ours, by its short name, and those it depends on.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) needs: BTreeSet<String>,
    /// Crates of others that it depends on.
    pub(super) outside: BTreeSet<String>,
}

impl Package {
    /// The crates of the workspace, from what `cargo metadata` says.
    ///
    /// What only tests need makes no edge: it is not in the programs.
    pub(super) fn all(metadata: &Value) -> Vec<Package> {
        let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let named = |value: &Value| short(value["name"].as_str().unwrap_or_default()).to_owned();
        let needs = |package: &Value, is_ours: bool| {
            array(&package["dependencies"])
                .iter()
                .filter(|needed| needed["path"].is_string() == is_ours && needed["kind"] != "dev")
                .map(named)
                .collect()
        };
        array(&metadata["packages"])
            .iter()
            .filter(|package| package["source"].is_null())
            .map(|package| Package {
                name: named(package),
                needs: needs(package, true),
                outside: needs(package, false),
            })
            .collect()
    }
}

/// The name without the prefix that all our packages carry: also the name of its folder.
fn short(name: &str) -> &str {
    name.strip_prefix("flb-").unwrap_or(name)
}

/// A row of the block.
#[derive(Debug, PartialEq)]
struct Row<'a> {
    name: &'a str,
    must: Vec<&'a str>,
    may: Vec<&'a str>,
}

/// Where the picture and the manifests differ.
pub(super) fn misdrawn(tree: &Tree, packages: &[Package]) -> Vec<String> {
    let Some(block) = tree.text(DOCUMENT).and_then(|text| fenced(text, HEADING)) else {
        return vec![format!("{DOCUMENT}: no fenced block under the heading '{HEADING}'")];
    };
    let rows = rows(block);
    let mut found = Vec::new();
    for package in packages {
        let name = &package.name;
        let Some(row) = rows.iter().find(|row| row.name == name) else {
            found.push(format!("{DOCUMENT}: no row '{name} ->'"));
            continue;
        };
        for needed in &package.needs {
            if !row.must.iter().chain(&row.may).any(|written| written == needed) {
                found.push(format!("{name} depends on {needed}, which {DOCUMENT} does not allow"));
            }
        }
        for written in &row.must {
            if !package.needs.contains(*written) {
                found.push(format!("{DOCUMENT}: {name} -> {written} is written, but it is not so"));
            }
        }
    }
    for row in &rows {
        if !packages.iter().any(|package| package.name == row.name) {
            found.push(format!("{DOCUMENT}: a row for {}, but no such crate", row.name));
        }
    }
    found
}

/// Who needs whom, as it is written, brackets or not.
pub(super) fn drawn(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    let block = tree.text(DOCUMENT).and_then(|text| fenced(text, HEADING)).unwrap_or_default();
    let needed = |row: &Row<'_>| row.must.iter().chain(&row.may).map(|&to| to.to_owned()).collect();
    rows(block).iter().map(|row| (row.name.to_owned(), needed(row))).collect()
}

/// The first fenced block below the heading.
fn fenced<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let section = super::section::section(text, heading)?;
    let (_, opened) = section.split_once("```")?;
    let (_, body) = opened.split_once('\n')?;
    Some(body.split_once("```")?.0)
}

fn rows(block: &str) -> Vec<Row<'_>> {
    block.lines().flat_map(rows_of_line).collect()
}

/// A row's remark may hold another row.
fn rows_of_line(line: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("->") {
        let Some(name) = before.split_whitespace().last() else { break };
        let after = after.strip_prefix(' ').unwrap_or(after);
        let (list, remark) = after.split_once("  ").unwrap_or((after, ""));
        rows.push(row(name, list));
        rest = remark;
    }
    rows
}

fn row<'a>(name: &'a str, list: &'a str) -> Row<'a> {
    let (must, rest) = list.split_once('(').unwrap_or((list, ""));
    let may = rest.split_once(')').map_or(rest, |(inside, _)| inside);
    Row { name, must: must.split_whitespace().collect(), may: may.split_whitespace().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(block: &str, edges: &[(&str, &[&str])], expected: &[&str]) {
        let text = format!("# A\n## Who may depend on whom\n\nSo:\n```text\n{block}\n```\nrest");
        let package = |(name, needs): &(&str, &[&str])| Package {
            name: (*name).into(),
            needs: needs.iter().map(|&name| name.into()).collect(),
            outside: BTreeSet::new(),
        };
        let packages: Vec<_> = edges.iter().map(package).collect();
        assert_eq!(misdrawn(&Tree::of(&[(DOCUMENT, &text)]), &packages), expected);
    }

    #[test]
    fn rows_are_read_with_brackets_and_remarks() {
        let check = |line, expected: &[(&str, &[&str], &[&str])]| {
            let row = |&(name, must, may): &(_, &[_], &[_])| Row {
                name,
                must: must.to_vec(),
                may: may.to_vec(),
            };
            assert_eq!(rows_of_line(line), expected.iter().map(row).collect::<Vec<_>>());
        };
        check("artifact  ->                  bottom: nothing", &[("artifact", &[], &[])]);
        check(
            "runtime   -> artifact event (compiler)    bracket: a -  feature",
            &[("runtime", &["artifact", "event"], &["compiler"])],
        );
        check(
            "testkit   -> (dev only)      xtask -> (none)",
            &[("testkit", &[], &["dev", "only"]), ("xtask", &[], &["none"])],
        );
        check("no arrow here", &[]);
    }

    #[test]
    fn a_true_picture_is_silent() {
        let edges: &[(&str, &[&str])] =
            &[("event", &[]), ("jit", &[]), ("runtime", &["event"]), ("agent", &["jit"])];
        check("event ->\nruntime -> event (jit)\njit ->   none\nagent -> (jit)", edges, &[]);
    }

    #[test]
    fn an_edge_that_is_not_drawn_is_found() {
        check(
            "a ->\nb ->",
            &[("a", &["b"]), ("b", &[])],
            &["a depends on b, which docs/architecture.md does not allow"],
        );
    }

    #[test]
    fn a_drawn_edge_that_is_none_is_found() {
        check(
            "a -> b\nb -> (a)",
            &[("a", &[]), ("b", &[])],
            &["docs/architecture.md: a -> b is written, but it is not so"],
        );
    }

    #[test]
    fn crates_and_rows_belong_together() {
        check(
            "a ->\nold ->",
            &[("a", &[]), ("new", &[])],
            &[
                "docs/architecture.md: no row 'new ->'",
                "docs/architecture.md: a row for old, but no such crate",
            ],
        );
    }

    #[test]
    fn a_page_without_the_block_is_found() {
        let tree = Tree::of(&[(DOCUMENT, "## Who may depend on whom\n## Next\n```\na ->\n```")]);
        assert_eq!(misdrawn(&tree, &[]).len(), 1);
    }

    #[test]
    fn edges_are_read_from_cargo_metadata() {
        let path = "/somewhere";
        let packages = Package::all(&json!({ "packages": [{
            "name": "flb-runtime",
            "dependencies": [
                { "name": "flb-event", "path": path, "kind": null },
                { "name": "flb-compiler", "path": path, "kind": null, "optional": true },
                { "name": "flb-build", "path": path, "kind": "build" },
                { "name": "flb-testkit", "path": path, "kind": "dev" },
                { "name": "wasmtime", "kind": null },
            ],
        }]}));
        assert_eq!(packages.len(), 1);
        assert_eq!(packages[0].name, "runtime");
        assert!(packages[0].needs.iter().eq(["build", "compiler", "event"]));
    }
}
