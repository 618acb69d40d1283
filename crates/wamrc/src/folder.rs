//! The files of a filter's folder that somebody writes by hand, and when each was written.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;

/// Folders in which nobody writes by hand; so are those whose name begins with a dot.
const MADE: [&str; 3] = ["target", "node_modules", "zig-out"];
/// Ends of files that builds write.
const WRITTEN: [&str; 4] = ["wasm", "aot", "o", "lock"];

/// Folders of sources that a module is not built from.
const BESIDE: [&str; 3] = ["tests", "benches", "examples"];
/// Ends of files that a module is built from.
const SOURCES: [&str; 9] = ["rs", "c", "h", "cc", "cpp", "hpp", "go", "zig", "ts"];

/// When each file was written, and its size.
pub(crate) type Files = BTreeMap<PathBuf, (SystemTime, u64)>;

/// The files of this folder and of those below it.
pub(crate) fn files() -> anyhow::Result<Files> {
    let mut files = Files::new();
    look(Path::new(""), &mut files).context("cannot look at this folder")?;
    Ok(files)
}

/// The source that was written last, and when, if there is one.
pub(crate) fn newest_source() -> anyhow::Result<Option<(PathBuf, SystemTime)>> {
    let sources = files()?.into_iter().filter(|(path, _)| is_source(path));
    Ok(sources.map(|(path, (written, _))| (path, written)).max_by_key(|(_, written)| *written))
}

fn look(folder: &Path, files: &mut Files) -> std::io::Result<()> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in std::fs::read_dir(here)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
        // What is gone again since it was listed is left out.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() && !is_made(&name) {
            look(&path, files)?;
        } else if about.is_file() && !is_written(&path) {
            files.insert(path, (about.modified()?, about.len()));
        }
    }
    Ok(())
}

fn is_made(folder: &OsStr) -> bool {
    folder.to_string_lossy().starts_with('.') || MADE.iter().any(|made| *made == folder)
}

fn is_written(file: &Path) -> bool {
    let is_lock = file.file_name() == Some(OsStr::new("package-lock.json"));
    is_lock || ends(file, &WRITTEN)
}

fn is_source(file: &Path) -> bool {
    let is_beside = |part: &OsStr| BESIDE.iter().any(|beside| *beside == part);
    ends(file, &SOURCES) && !file.iter().any(is_beside)
}

fn ends(file: &Path, ends: &[&str]) -> bool {
    file.extension().is_some_and(|end| ends.iter().any(|known| *known == end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_built_from_sources_and_not_from_tests() {
        for path in ["src/lib.rs", "sdk/flb_filter.h", "filter.go"] {
            assert!(is_source(Path::new(path)), "{path}");
        }
        for path in ["tests/all.rs", "cases.yaml", "README.md", "Makefile", "hide.wasm"] {
            assert!(!is_source(Path::new(path)), "{path}");
        }
    }
}
