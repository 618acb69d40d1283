//! What a guest may see and use of the host: directories, environment, arguments, and a place for its output. By default
//! nothing at all.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{GuestLog, GuestOutput, Meters};

/// What a guest may see and use of the host.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// The directories that it may use.
    pub directories: Vec<Directory>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Its arguments, the program's name included.
    pub arguments: Vec<String>,
    /// Where its stdout and stderr go.
    pub output: GuestOutput,
    /// Where what it says to the log goes, if anywhere.
    pub log: Option<GuestLog>,
    /// Where it counts, if anywhere.
    pub meters: Option<Arc<dyn Meters>>,
}

/// A directory that a guest may use, under its name as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The directory.
    pub path: PathBuf,
    /// Whether nothing in it may be changed.
    pub read_only: bool,
}

impl From<&str> for Directory {
    /// `path`, or `path:ro` for one that may only be read.
    fn from(text: &str) -> Self {
        match text.strip_suffix(":ro") {
            Some(path) => Self { path: path.into(), read_only: true },
            None => Self { path: text.into(), read_only: false },
        }
    }
}

/// A text that is no variable of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a variable is KEY=VALUE")]
pub struct NoVariable;

/// Splits `KEY=VALUE`.
pub fn variable(text: &str) -> Result<(String, String), NoVariable> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !text.contains('\0') => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(NoVariable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_may_be_read_only() {
        let check = |text: &str, path: &str, read_only| {
            assert_eq!(Directory::from(text), Directory { path: path.into(), read_only });
        };
        check("/var/log", "/var/log", false);
        check("data:ro", "data", true);
        check("a:rw", "a:rw", false);
    }

    #[test]
    fn a_variable_has_a_key_and_perhaps_a_value() {
        let owned = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(variable("A=b=c"), owned("A", "b=c"));
        assert_eq!(variable("A="), owned("A", ""));
        for text in ["A", "=b", "", "A=\0"] {
            assert_eq!(variable(text), Err(NoVariable), "{text}");
        }
    }
}
