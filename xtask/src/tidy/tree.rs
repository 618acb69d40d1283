//! The project's files, read once into memory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// All files but those that are built.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

pub(super) struct File {
    /// From the project's root, with `/` between the parts.
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

impl Tree {
    /// Reads the folder without asking git, which a machine that only builds need not have.
    pub(super) fn read(root: &Path) -> Result<Tree> {
        let mut files = Vec::new();
        read_folder(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { files })
    }

    /// The text of one file, if there is such a file and it is text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path)?.text()
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(|file| file.path.ends_with(".rs"))
            .map(|file| (file.path.as_str(), file.text().unwrap_or_default()))
    }
}

impl File {
    pub(super) fn text(&self) -> Option<&str> {
        str::from_utf8(&self.bytes).ok()
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    let cannot = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().with_context(cannot)?;
        if name == ".git" {
            continue; // a folder, or in a second worktree a file
        }
        if kind.is_dir() && name != "target" {
            read_folder(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && !name.ends_with(".aot") {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            files.push(File { path, bytes });
        }
    }
    Ok(())
}

#[cfg(test)]
impl Tree {
    /// A tree of these files: path and text.
    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        let file =
            |(path, text): &(&str, &str)| File { path: (*path).into(), bytes: (*text).into() };
        Tree { files: files.iter().map(file).collect() }
    }
}
