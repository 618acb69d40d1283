//! Why a plugin could not be built, or stopped, and what is nobody's fault.

use std::io;

use flb_config::keys::Missing;

/// Whether an error says that this process or machine has no descriptor or memory left. That passes, so nothing is given up
/// because of it.
pub fn is_exhausted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
        || matches!(
            error.raw_os_error(),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
        )
}

/// Why a plugin cannot start. The agent prints it with the plugin's instance name and exits with 255.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    /// What is wrong and where.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl BuildError {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<Missing> for BuildError {
    fn from(missing: Missing) -> Self {
        Self::new(missing.message).help(missing.help)
    }
}

/// Why an input ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// Why an output refused a chunk for good.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutputError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_descriptors_and_memory_is_told_from_other_errors() {
        for (code, expected) in [
            (libc::EMFILE, true),
            (libc::ENFILE, true),
            (libc::ENOMEM, true),
            (libc::ENOSPC, false),
            (libc::ENOENT, false),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(is_exhausted(&error), expected, "{error}");
        }
        assert!(!is_exhausted(&io::Error::other("anything")));
    }
}
