//! Why a plugin could not be built, or stopped.

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

/// Why an input ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// Why an output refused a chunk for good.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutputError(pub String);
