//! Which files to follow: paths with wildcards, less those excluded.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use flb_plugin::BuildError;
use glob::{MatchOptions, Pattern};

/// What makes a file itself, under whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The identity of the file that has this metadata.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// The identity of these numbers.
    pub(super) fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    /// Inode and device.
    pub(super) fn numbers(self) -> (u64, u64) {
        (self.inode, self.device)
    }

    /// The file's number within its device.
    pub(super) fn inode(self) -> u64 {
        self.inode
    }
}

/// How wildcards match. That none stands for a leading dot is seen to here: the crate would panic at names that are not
/// UTF-8, and leave out what `.*` names.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A file that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// When it was made, in seconds since 1970; when it was written to last, where the file system does not know.
    pub(super) made: u64,
}

/// Whether there is no such file, for sure.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// When the file was made.
fn made(metadata: &Metadata) -> u64 {
    let made = metadata.created().or_else(|_| metadata.modified()).ok();
    let age = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    age.map_or(0, |age| age.as_secs())
}

/// The files to follow.
#[derive(Debug)]
pub(super) struct Patterns {
    paths: Vec<String>,
    excluded: Vec<Pattern>,
}

impl Patterns {
    /// All files that one of `paths` names and none of `excluded` matches. A leading `~` stands for the home directory.
    pub(super) fn new(paths: &[String], excluded: &[String]) -> Result<Self, BuildError> {
        let paths: Vec<String> = paths.iter().map(|path| plain(path)).collect();
        for path in &paths {
            compile(path)?;
        }
        let excluded = excluded.iter().map(|path| compile(&plain(path)));
        Ok(Self { paths, excluded: excluded.collect::<Result<_, _>>()? })
    }

    /// The regular files there are now, in the order of the patterns, each pattern's sorted. A file that can't be looked at
    /// is given to `failed`.
    pub(super) fn find(&self, mut failed: impl FnMut(&Path, io::Error)) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for pattern in &self.paths {
            // A pattern that does not compile was refused at the start.
            let Ok(paths) = glob::glob_with(pattern, MATCHING) else { continue };
            for path in paths {
                let path = match path {
                    Ok(path) => path,
                    Err(error) => {
                        let path = error.path().to_owned();
                        failed(&path, error.into());
                        continue;
                    }
                };
                if is_hidden(&path, pattern) || self.is_excluded(&path) {
                    continue;
                }
                match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => {
                        let identity = Identity::of(&metadata);
                        let (modified, made) = (metadata.mtime(), made(&metadata));
                        found.push(Found { path, identity, modified, made });
                    }
                    Ok(_) => {}
                    Err(error) => failed(&path, error),
                }
            }
        }
        found
    }

    /// The folders where new files may turn up that the patterns name.
    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        self.paths.iter().filter_map(|pattern| {
            let is_plain = |part: &Component<'_>| {
                !part.as_os_str().as_bytes().iter().any(|byte| b"*?[".contains(byte))
            };
            let parts = Path::new(pattern).parent()?.components();
            let folder: PathBuf = parts.take_while(is_plain).collect();
            Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder })
        })
    }

    fn is_excluded(&self, path: &Path) -> bool {
        self.excluded.iter().any(|pattern| pattern.matches_path(path))
    }
}

/// Whether a name in the path begins with a dot that the pattern does not have.
fn is_hidden(path: &Path, pattern: &str) -> bool {
    let begins_with_dot = |part: Component<'_>| part.as_os_str().as_bytes().starts_with(b".");
    let mut parts = Path::new(pattern).components().zip(path.components());
    parts.any(|(wanted, name)| begins_with_dot(name) && !begins_with_dot(wanted))
}

fn compile(pattern: &str) -> Result<Pattern, BuildError> {
    Pattern::new(pattern)
        .map_err(|error| BuildError::new(format!("'{pattern}' is no pattern of paths: {error}")))
}

/// A pattern with its home directory, and without the `**` that means `*` to glob(3), but more to the crate.
fn plain(path: &str) -> String {
    let mut pattern = expand_home(path);
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    pattern
}

/// Whose home it is, only the environment knows; glob(3), which Fluent Bit uses, asks it just so.
fn expand_home(path: &str) -> String {
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", home.display())
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], excluded: &[&str], expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.log", "b.log", ".c.log", "d.txt", "sub/e.log", ".sub/f.log"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let inside = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| folder.path().join(name).display().to_string()).collect()
        };
        let patterns = Patterns::new(&inside(paths), &inside(excluded)).unwrap();
        let found = patterns.find(|path, error| panic!("{}: {error}", path.display()));
        let found: Vec<String> =
            found.iter().map(|found| found.path.display().to_string()).collect();
        assert_eq!(found, inside(expected));
    }

    #[test]
    fn a_star_stands_for_names_but_not_for_folders_or_leading_dots() {
        check(&["*.log"], &[], &["a.log", "b.log"]);
        check(&["*/*.log"], &[], &["sub/e.log"]);
        check(&[".*.log"], &[], &[".c.log"]);
        check(&[".sub/*"], &[], &[".sub/f.log"]);
        check(&["**/*.log", "**.txt"], &[], &["sub/e.log", "d.txt"]);
    }

    #[test]
    fn a_name_that_is_not_utf8_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff.log")), "").unwrap();
        fs::write(folder.path().join("a.log"), "").unwrap();
        let pattern = folder.path().join("*.log").display().to_string();
        let found = Patterns::new(&[pattern], &[]).unwrap().find(|_, error| panic!("{error}"));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn several_patterns_keep_their_order_and_folders_are_left_out() {
        check(&["d.txt", "[ab].log", "sub", "missing"], &[], &["d.txt", "a.log", "b.log"]);
    }

    #[test]
    fn an_excluded_path_is_left_out_and_its_star_stands_for_folders_too() {
        check(&["*.log", "sub/*"], &["*/a.log", "*e.log"], &["a.log", "b.log"]);
        check(&["*.log", "sub/*"], &["*.log"], &[]);
    }

    #[test]
    fn a_tilde_stands_for_the_home_directory() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(expand_home("~/x"), format!("{}/x", home.display()));
        assert_eq!(expand_home("~other/x"), "~other/x");
        assert_eq!(expand_home("/a~"), "/a~");
    }

    #[test]
    fn a_bad_pattern_is_refused() {
        assert!(Patterns::new(&["/a/[".to_owned()], &[]).is_err());
    }
}
