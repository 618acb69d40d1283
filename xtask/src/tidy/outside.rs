//! Crates of others: where the table in docs/architecture.md keeps them out, and how many each program has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::edges::Package;
use super::section::section;
use super::tree::Tree;

const ARCHITECTURE: &str = "docs/architecture.md";
const TOUCH: &str = "What each room may touch";
const DEPENDENCIES: &str = "docs/dependencies.md";
const PROGRAMS: &str = "Packages in each program";

/// A column of the table, and the crates that a room must not depend on where the column keeps it out.
const FENCED: &[(&str, &[&str])] = &[
    ("threads, async", &["tokio", "futures-util"]),
    ("engine", &["wasmtime", "wasmtime-wasi", "wasmtime-environ", "cranelift-codegen"]),
];

/// Crates that depend on what their row of the table keeps out.
pub(super) fn misplaced(tree: &Tree, packages: &[Package]) -> Vec<String> {
    let Some(text) = tree.text(ARCHITECTURE).and_then(|text| section(text, TOUCH)) else {
        return vec![format!("{ARCHITECTURE}: no heading '{TOUCH}'")];
    };
    let rows = table(text);
    let Some((head, rows)) = rows.split_first() else {
        return vec![format!("{ARCHITECTURE}: no table under the heading '{TOUCH}'")];
    };
    let mut found = Vec::new();
    for (column, crates) in FENCED {
        let Some(at) = head.iter().position(|cell| cell == column) else {
            found.push(format!("{ARCHITECTURE}: no column '{column}' under the heading '{TOUCH}'"));
            continue;
        };
        for row in rows {
            let is_out =
                row.get(at).is_some_and(|cell| *cell == "-" || cell.starts_with("through"));
            for name in row.first().map_or("", |cell| cell).split(", ").filter(|_| is_out) {
                let outside = packages.iter().filter(|package| package.name == name);
                for needed in outside.flat_map(|package| &package.outside) {
                    if crates.contains(&needed.as_str()) {
                        found.push(format!(
                            "{name} depends on {needed}, which {ARCHITECTURE} keeps out"
                        ));
                    }
                }
            }
        }
    }
    found
}

/// Programs with another number of packages than is written.
pub(super) fn miscounted(tree: &Tree, metadata: &Value) -> Vec<String> {
    let Some(text) = tree.text(DEPENDENCIES).and_then(|text| section(text, PROGRAMS)) else {
        return vec![format!("{DEPENDENCIES}: no heading '{PROGRAMS}'")];
    };
    let graph = graph(metadata);
    let mut found = Vec::new();
    for row in table(text).iter().skip(1) {
        let [program, written] = row[..] else { continue };
        let count = size(metadata, &graph, program.trim_matches('`'));
        if written != count.to_string() {
            found.push(format!("{DEPENDENCIES}: {program} has {count} packages, not {written}"));
        }
    }
    found
}

/// The rows of all tables in a text, the lines under their heads left out.
fn table(text: &str) -> Vec<Vec<&str>> {
    let is_rule = |line: &&str| line.chars().all(|letter| "-:| ".contains(letter));
    let split = |line| -> Vec<_> { str::split(line, '|').map(str::trim).collect() };
    text.lines().filter_map(cells).filter(|line| !is_rule(line)).map(split).collect()
}

/// What stands between the first and the last stroke of a table's row.
fn cells(line: &str) -> Option<&str> {
    line.trim().strip_prefix('|')?.strip_suffix('|')
}

/// What each package, by its id, needs to be linked with.
fn graph(metadata: &Value) -> BTreeMap<&str, Vec<&str>> {
    let nodes = metadata["resolve"]["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    nodes.iter().filter_map(linked).collect()
}

/// A package's id, and those of the packages that it is linked with.
fn linked(node: &Value) -> Option<(&str, Vec<&str>)> {
    let is_linked = |needed: &&Value| {
        let kinds = needed["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let needed = node["deps"].as_array()?.iter().filter(is_linked);
    Some((node["id"].as_str()?, needed.filter_map(|needed| needed["pkg"].as_str()).collect()))
}

/// How many packages a program is made of, with itself.
fn size(metadata: &Value, graph: &BTreeMap<&str, Vec<&str>>, program: &str) -> usize {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let is_program = |package: &&Value| package["name"] == program;
    let mut waiting: Vec<&str> =
        packages.iter().filter(is_program).filter_map(|package| package["id"].as_str()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            waiting.extend(graph.get(id).into_iter().flatten());
        }
    }
    seen.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(cell: &str, outside: &[&str], expected: &[&str]) {
        let text = format!(
            "## What each room may touch\n\n| room | threads, async | engine |\n|---|---|---|\n\
             | a, b | {cell} | {cell} |\n"
        );
        let package = Package {
            name: "b".to_owned(),
            needs: BTreeSet::new(),
            outside: outside.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(misplaced(&Tree::of(&[(ARCHITECTURE, &text)]), &[package]), expected);
    }

    #[test]
    fn what_a_row_keeps_out_is_found() {
        let found = [
            "b depends on tokio, which docs/architecture.md keeps out",
            "b depends on wasmtime, which docs/architecture.md keeps out",
        ];
        check("-", &["tokio", "wasmtime", "memchr"], &found);
        check("through runtime", &["tokio", "wasmtime"], &found);
        check("loader", &["tokio", "wasmtime"], &[]);
        check("-", &["memchr"], &[]);
    }

    #[test]
    fn a_program_is_made_of_what_it_is_linked_with() {
        let node = |id: &str, needs: &[(&str, Value)]| {
            let needs: Vec<_> = needs
                .iter()
                .map(|(id, kind)| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] }))
                .collect();
            json!({ "id": id, "deps": needs })
        };
        let metadata = json!({
            "packages": [{ "name": "p", "id": "1" }, { "name": "x", "id": "2" }],
            "resolve": { "nodes": [
                node("1", &[("2", Value::Null), ("3", json!("build")), ("4", json!("dev"))]),
                node("2", &[("5", Value::Null), ("1", Value::Null)]),
                node("5", &[]),
            ] },
        });
        let check = |written: &str, expected: &[&str]| {
            let text = format!(
                "## Packages in each program\n\n| program | packages |\n|---|---|\n| `p` | {written} |\n"
            );
            let tree = Tree::of(&[(DEPENDENCIES, &text)]);
            assert_eq!(miscounted(&tree, &metadata), expected);
        };
        check("3", &[]);
        check("4", &["docs/dependencies.md: `p` has 3 packages, not 4"]);
    }
}
