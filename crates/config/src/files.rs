//! How configuration reaches files: through a trait, so that tests and fuzzers need no disk.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use glob::MatchOptions;

use crate::limits::MAX_FILE_SIZE;

/// As a shell does it: `*` stays within a folder and passes over hidden files.
const GLOB: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Reads configuration files.
pub trait Files {
    /// The whole text of a file. Bytes that are not UTF-8, and too many bytes, are an error of kind
    /// `InvalidData`.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// The files that a `*` pattern names, sorted.
    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
    /// A path that all names of the same file have in common. As it is given, where a file has one
    /// name only.
    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// The folders where a file is, and so what it names by relative paths: that of its name, and that of what the name leads to, if
/// it is a link into another folder.
pub fn folders_of(path: &Path, files: &dyn Files) -> Vec<PathBuf> {
    let named = path.parent().unwrap_or(Path::new(""));
    let here = if named.as_os_str().is_empty() { Path::new(".") } else { named };
    let mut folders = vec![named.to_owned()];
    if let Some(target) = files.identity(path).parent()
        && target != named
        && target != files.identity(here)
    {
        folders.push(target.to_owned());
    }
    folders
}

/// The files that a `*` pattern names in the first of the folders where there are any, sorted.
pub(crate) fn glob_in(
    folders: &[PathBuf],
    pattern: &str,
    files: &dyn Files,
) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        let folder = glob::Pattern::escape(&folder.to_string_lossy());
        found = files.glob(&Path::new(&folder).join(pattern))?;
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        let read = file.take(MAX_FILE_SIZE + 1).read_to_string(&mut text)?;
        if read as u64 > MAX_FILE_SIZE {
            let message = format!("it is larger than {} MiB", MAX_FILE_SIZE >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(text)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = pattern
            .to_str()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path is not UTF-8"))?;
        let paths = glob::glob_with(pattern, GLOB)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        paths.map(|path| path.map_err(io::Error::from)).collect()
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// Files in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory(pub BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = glob::Pattern::new(&pattern.to_string_lossy())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let matching = self.0.keys().filter(|path| pattern.matches_path_with(path, GLOB));
        Ok(matching.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &dyn Files, pattern: &str, expected: &[&str]) {
        let paths: Vec<_> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(files.glob(Path::new(pattern)).unwrap(), paths);
    }

    /// Tests run in the crate's folder.
    #[test]
    fn the_disk_has_files_with_several_names() {
        check(&Disk, "src/d*.rs", &["src/diagnostic.rs", "src/document.rs"]);
        check(&Disk, "s*c/l*b.rs", &["src/lib.rs"]);
        check(&Disk, "src/none*", &[]);
        assert!(Disk.read(Path::new("src/files.rs")).unwrap().contains("fn read"));
        let identity = Disk.identity(Path::new("tests/../src/lib.rs"));
        assert_eq!(identity, Disk.identity(Path::new("src/lib.rs")));
        let missing = Path::new("missing");
        assert_eq!(Disk.identity(missing), missing);
    }

    #[test]
    fn a_link_is_in_two_folders() {
        let folder = tempfile::tempdir().unwrap();
        // A folder for temporary files may be named by a link itself.
        let folder = folder.path().canonicalize().unwrap();
        let path = |name: &str| folder.join(name);
        for name in ["real", "link"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("real/main"), "").unwrap();
        std::os::unix::fs::symlink(path("real/main"), path("link/main")).unwrap();
        std::os::unix::fs::symlink("main", path("real/again")).unwrap();
        assert_eq!(folders_of(&path("link/main"), &Disk), [path("link"), path("real")]);
        assert_eq!(folders_of(&path("real/again"), &Disk), [path("real")]);
        assert_eq!(folders_of(&path("real/main"), &Disk), [path("real")]);
        assert_eq!(folders_of(Path::new("Cargo.toml"), &Disk), [Path::new("")]);
        assert_eq!(folders_of(Path::new("missing/main"), &Disk), [Path::new("missing")]);
        assert_eq!(folders_of(Path::new("main"), &Memory::default()), [Path::new("")]);
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let error = Disk.read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 32 MiB");
    }

    #[test]
    fn memory_finds_files_as_the_disk_does() {
        let names = ["a/.hidden", "a/b/c", "a/x", "a/y", "b"];
        let files = Memory(names.map(|name| (name.into(), String::new())).into());
        check(&files, "a/*", &["a/x", "a/y"]);
        check(&files, "*", &["b"]);
        check(&files, "*/*/c", &["a/b/c"]);
    }

    #[test]
    fn a_pattern_can_be_wrong() {
        for files in [&Disk as &dyn Files, &Memory::default()] {
            let error = files.glob(Path::new("a**")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
