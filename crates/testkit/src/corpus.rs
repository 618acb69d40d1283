//! Inputs kept in files: what a fuzzer found, and what it should begin with.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of a folder and what is in them, by name. There is at least one.
///
/// # Panics
///
/// When the folder or one of the files cannot be read, or there is none.
#[must_use]
pub fn corpus(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|file| (file.clone(), fs::read(&file).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    files
}

/// Does to each file of a folder what `check` does, and says which one it is at: a panic is of the last one named.
///
/// # Panics
///
/// As [`corpus`], and as `check`.
pub fn replay(folder: &Path, mut check: impl FnMut(&[u8])) {
    for (file, bytes) in corpus(folder) {
        eprintln!("{}", file.display());
        check(&bytes);
    }
}
