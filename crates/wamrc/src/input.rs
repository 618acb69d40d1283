//! What comes in: files with clear words about what they are not.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use flb_artifact::{Artifact, ArtifactError, Foreign};

use crate::usage::UsageError;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("Read file to buffer failed: open file {} failed", path.display());
    anyhow::ensure!(!path.is_dir(), "{}: it is a directory; help: give a file", failed());
    std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("{error}; help: {}", to_have(path)).context(failed()),
        _ => anyhow!(error).context(failed()),
    })
}

/// Reads a file of text.
#[cfg(feature = "run")]
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| unread(path, error))
}

/// Why a file that is no module cannot be read.
#[cfg(feature = "run")]
pub(crate) fn unread(path: &Path, error: std::io::Error) -> anyhow::Error {
    let help = match error.kind() {
        ErrorKind::NotFound => "look at the path, and at the folder that you are in",
        ErrorKind::IsADirectory => "give a file",
        ErrorKind::InvalidData => "write it in UTF-8",
        _ => "see that you may read it",
    };
    anyhow!("{}: {error}; help: {help}", path.display())
}

/// How to come by a file that is not there.
fn to_have(path: &Path) -> String {
    match path.extension().and_then(|end| end.to_str()) {
        Some("wasm") => "build it first (make), or look at the path".to_owned(),
        Some("aot") => {
            let module = path.with_extension("wasm");
            format!(
                "compile it first: flb-wamrc -o {} {}; or look at the path",
                path.display(),
                module.display()
            )
        }
        _ => "look at the path".to_owned(),
    }
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
            found if !Artifact::is_artifact(&bytes) => Err(ArtifactError::NoFilter { found }),
            _ => Artifact::parse(bytes).map(|artifact| Self::Aot(Box::new(artifact))),
        }
        .with_context(|| path.display().to_string())
    }
}
