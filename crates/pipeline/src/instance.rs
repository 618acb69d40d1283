//! What a plugin's instance is called, in logs and in reports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flb_config::Role;
use tracing::Span;

use crate::log_level::LogLevel;

/// One plugin at work. Displayed as `filter:wasm:wasm.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// What it is there for.
    pub role: Role,
    /// The plugin's name.
    pub plugin: &'static str,
    /// The alias, or the plugin's name and the instance's number among all of its kind: `wasm.0`.
    pub name: Arc<str>,
    /// The place of its section among those of its role, or of its owner's processors; from 0.
    pub number: usize,
    /// Whose processor it is.
    pub owner: Option<Box<Instance>>,
    /// How much it logs, if not as much as the rest.
    pub log_level: Option<LogLevel>,
    /// How long a line like the last one is not logged again, if that is wanted.
    pub log_suppress_interval: Option<Duration>,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.role, self.plugin, self.name)
    }
}

impl Instance {
    /// One that logs as the rest does.
    pub(crate) fn new(role: Role, plugin: &'static str, name: Arc<str>) -> Self {
        Self {
            role,
            plugin,
            name,
            number: 0,
            owner: None,
            log_level: None,
            log_suppress_interval: None,
        }
    }

    /// Whether the other one, of another pipeline, is this one again.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.role, self.plugin, &self.name) == (other.role, other.plugin, &other.name)
    }

    /// `text` as this instance says it: behind its name, unless the text begins with a name already.
    pub(crate) fn say(&self, text: &str) -> String {
        if text.starts_with('[') { text.to_owned() } else { format!("[{self}] {text}") }
    }

    /// The span that all log lines of this instance are in. Its field `instance` is the prefix of those that have none;
    /// `level`, if there, is the least important level that is logged; `suppress_interval` is in seconds.
    pub(crate) fn span(&self) -> Span {
        let level = self.log_level.map(LogLevel::name);
        let suppress_interval = self.log_suppress_interval.map(|interval| interval.as_secs());
        tracing::error_span!("plugin", instance = %self, level, suppress_interval)
    }
}
