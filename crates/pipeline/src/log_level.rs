//! How much is logged.

use flb_config::value::{self, ValueError};

/// How much is logged: this level and all more important ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong.
    Error,
    /// What may go wrong.
    Warn,
    /// What happens.
    Info,
    /// What happens inside.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const NAMES: [(&str, Self); 7] = [
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("warning", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// The level that a text names, in any case.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let word = value::parse_choice(text, &Self::NAMES.map(|(name, _)| name))?;
        let named = Self::NAMES.iter().find(|(name, _)| *name == word);
        Ok(named.map_or(Self::Info, |(_, level)| *level))
    }

    /// The level's name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, level)| *level == self).map_or("info", |(name, _)| *name)
    }
}
