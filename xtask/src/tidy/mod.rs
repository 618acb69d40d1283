//! `cargo xtask tidy`: what no compiler checks. A rule reads the project's files and says what it
//! does not like, a line each; the pictures in docs/ cannot lie, for they are compared with code.

mod circles;
mod documents;
mod edges;
pub(crate) mod links;
mod outside;
mod picture;
mod section;
mod sources;
mod tree;
mod uses;

use std::fs;

use anyhow::{Context, Result, ensure};

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
    ("the book lists every page", links::unlisted),
    ("docs/architecture.svg is drawn from docs/architecture.md", picture::outdated),
    ("a page opens with what it is for", documents::without_opening),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Draw docs/architecture.svg anew, and check nothing
    #[arg(long)]
    draw: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.draw { draw() } else { check() }
}

fn draw() -> Result<()> {
    let path = root().join(picture::PICTURE);
    let svg = picture::svg(&Tree::read(root())?);
    fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn check() -> Result<()> {
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
