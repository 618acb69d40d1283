//! `cargo xtask book`: a book of the project's pages, in `target/book/html`, by mdBook, which it brings.
//!
//! Pages link to one another and to sources where these lie, so the book is made of a copy of whatever is listed or linked to, each at its place.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{root, run as run_command, target_dir};
use crate::tidy::links::{SUMMARY, files};
use crate::toolchains;

pub(crate) fn run() -> Result<()> {
    let book = target_dir()?.join("book");
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| format!("cannot remove {}", book.display()))?;
    }
    let pages = book.join("pages");
    let summary = read(SUMMARY)?;
    for file in wanted(&summary, read)? {
        copy(&root().join(&file), &pages.join(&file))?;
    }
    write(&pages.join("SUMMARY.md"), from_the_root(&summary))?;
    copy(&root().join("docs/book.toml"), &book.join("book.toml"))?;
    run_command(toolchains::mdbook()?.arg("build").arg(&book))?;
    println!("{}", book.join("html/index.html").display());
    Ok(())
}

/// The pages that are listed, and all files that these lead to.
fn wanted(summary: &str, read: fn(&str) -> Result<String>) -> Result<BTreeSet<String>> {
    let listed: BTreeSet<String> = files(SUMMARY, summary).collect();
    let mut wanted = listed.clone();
    for page in &listed {
        wanted.extend(files(page, &read(page)?).filter(|file| root().join(file).is_file()));
    }
    Ok(wanted)
}

/// The list as it is read from the folder that all pages are in.
fn from_the_root(summary: &str) -> String {
    let line = |line: &str| match line.split_once("](") {
        Some((name, target)) if !target.starts_with(')') => match target.strip_prefix("../") {
            Some(target) => format!("{name}]({target}\n"),
            None => format!("{name}](docs/{target}\n"),
        },
        _ => format!("{line}\n"),
    };
    summary.lines().map(line).collect()
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, bytes)
}

fn write(to: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let cannot = || format!("cannot write {}", to.display());
    fs::create_dir_all(to.parent().expect("it is in a folder")).with_context(cannot)?;
    fs::write(to, bytes).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_told_from_the_root() {
        let summary = "# Summary\n\n- [a](a.md)\n  - [r](../README.md)\n- [inputs]()\n";
        let expected = "# Summary\n\n- [a](docs/a.md)\n  - [r](README.md)\n- [inputs]()\n";
        assert_eq!(from_the_root(summary), expected);
    }

    #[test]
    fn what_pages_lead_to_is_in_the_book() {
        let wanted = wanted("- [a](architecture.md)", read).unwrap();
        assert!(wanted.contains("docs/architecture.svg"), "{wanted:?}");
        assert!(wanted.contains("docs/write-a-plugin.md"), "{wanted:?}");
    }
}
