//! `cargo xtask tidy`: what no compiler checks. A rule reads the project's files and says what it
//! does not like, a line each; the pictures in docs/ cannot lie, for they are compared with code.

mod circles;
mod documents;
mod edges;
mod links;
mod outside;
mod section;
mod sources;
mod tree;
mod uses;

use anyhow::{Result, ensure};

use crate::run::{metadata, root};
use edges::Package;
use tree::Tree;

/// A rule: its name, and what it finds wrong.
type Rule = (&'static str, fn(&Tree) -> Vec<String>);

/// The rules that need nothing but the files; the one of the edges asks cargo as well.
const RULES: &[Rule] = &[
    ("every Rust file begins by saying what it is for", sources::undocumented),
    ("unsafe has the homes that docs/architecture.md gives it", sources::unsafe_away_from_home),
    ("a file is a room, not a hall", sources::too_long),
    ("no files of a crate name each other in a circle", circles::circles),
    ("no file names a place on somebody's machine", documents::machine_paths),
    ("Cargo.lock keeps its budget", documents::lock_over_budget),
    ("the documents are there", documents::missing),
    ("docs/compat.md names tests that exist", documents::compat_without_test),
    ("links lead somewhere", links::dead),
    ("a page opens with what it is for", documents::without_opening),
];

pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(root())?;
    let metadata = metadata("--locked --filter-platform x86_64-unknown-linux-gnu")?;
    let packages = Package::all(&metadata);

    let mut findings = 0;
    let mut report = |rule: &str, found: Vec<String>| {
        println!("{} {rule}", if found.is_empty() { "ok  " } else { "FAIL" });
        for finding in &found {
            println!("       {finding}");
        }
        findings += found.len();
    };
    report("crates depend on each other as drawn", edges::misdrawn(&tree, &packages));
    report("crates of others are where they may be", outside::misplaced(&tree, &packages));
    report("programs have as many packages as is written", outside::miscounted(&tree, &metadata));
    for (rule, check) in RULES {
        report(rule, check(&tree));
    }
    ensure!(findings == 0, "{findings} finding{}", if findings == 1 { "" } else { "s" });
    Ok(())
}
