//! What building a pipeline found wrong, sorted by what it means for the agent's exit code.

use flb_config::Diagnostics;

use crate::instance::Instance;

/// Everything there is to say about a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// About the configuration as such. An error here means that nothing was built.
    pub config: Diagnostics,
    /// About plugins that cannot start with what they are given.
    pub start: Diagnostics,
    /// The instances that cannot start, for the last lines before the agent gives up.
    pub failed: Vec<Instance>,
}

impl Findings {
    /// Whether anything found forbids to run.
    pub fn has_errors(&self) -> bool {
        self.config.has_errors() || self.start.has_errors()
    }
}
