//! What comes in: files with clear words about what they are not.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flb_artifact::{Artifact, Foreign};

use crate::usage::UsageError;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("Read file to buffer failed: open file {} failed", path.display());
    anyhow::ensure!(!path.is_dir(), "{}: it is a directory; help: give a file", failed());
    std::fs::read(path).with_context(failed)
}

/// The one file that a command is for.
pub(crate) fn only_file(files: &[PathBuf]) -> Result<&Path, UsageError> {
    match files {
        [file] => Ok(file),
        [] => Err(UsageError::new("no file was given", "name one behind the command")),
        [_, extra, ..] => Err(UsageError::new(
            format!("a second file '{}'", extra.display()),
            "give one file at a time",
        )),
    }
}

/// Reads an artifact, every checksum checked.
pub(crate) fn artifact(path: &Path) -> anyhow::Result<Artifact> {
    Artifact::parse(read(path)?).with_context(|| path.display().to_string())
}

/// A file that is a module or an artifact.
pub(crate) enum Filter {
    /// WebAssembly.
    Wasm(Vec<u8>),
    /// An artifact.
    Aot(Box<Artifact>),
}

impl Filter {
    /// Reads it and tells by its content which it is.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        match Foreign::of(&bytes) {
            Foreign::Wasm => Ok(Self::Wasm(bytes)),
            _ => Artifact::parse(bytes)
                .map(|artifact| Self::Aot(Box::new(artifact)))
                .with_context(|| path.display().to_string()),
        }
    }
}
