//! What the log lines of plugins have in common: the prefix, and a measure against floods.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Build;

/// The prefix of a plugin's log lines: `[input:tail:tail.0]`.
#[derive(Debug, Clone)]
pub struct Label(String);

impl Label {
    /// The label of an input called `plugin`.
    pub fn input(plugin: &str, build: &Build<'_>) -> Self {
        Self(format!("[input:{plugin}:{}]", build.instance))
    }

    /// The label of a filter called `plugin`.
    pub fn filter(plugin: &str, build: &Build<'_>) -> Self {
        Self(format!("[filter:{plugin}:{}]", build.instance))
    }

    /// The label of an output called `plugin`.
    pub fn output(plugin: &str, build: &Build<'_>) -> Self {
        Self(format!("[output:{plugin}:{}]", build.instance))
    }

    /// A label by its text.
    pub fn named(text: String) -> Self {
        Self(text)
    }

    /// The label of a parser.
    pub fn parser(build: &Build<'_>) -> Self {
        Self(format!("[parser:{}]", build.instance))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts mishaps of one kind and says which of them to log: the first, second, fourth, eighth and so on. A flood stays
/// a trickle, every line tells the total, and no clock is needed.
#[derive(Debug, Default)]
pub struct Mishaps(AtomicU64);

impl Mishaps {
    /// Counts one more; the total so far if this one shall be logged.
    pub fn another(&self) -> Option<u64> {
        let total = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        total.is_power_of_two().then_some(total)
    }

    /// Tells, now and then, of a record that an output leaves out of a chunk.
    pub fn left_out(&self, label: &Label, error: &dyn std::fmt::Display) {
        if let Some(total) = self.another() {
            tracing::error!("{label} a record is left out: {error} ({total} so far)");
        }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts mishaps that are of several kinds, and says which to log: as [`Mishaps`] does, and besides the first of each kind.
#[derive(Debug, Default)]
pub struct Kinds(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    total: u64,
    /// The total when the last one was logged.
    logged: u64,
    known: Vec<String>,
}

impl Kinds {
    /// Most kinds that are told apart; whatever makes more is one kind with all that follow.
    const MOST: usize = 16;

    /// Counts one more of this kind; how many there were if this one shall be logged.
    pub fn another(&self, kind: &str) -> Option<Times> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.total += 1;
        let is_new =
            counted.known.len() < Self::MOST && !counted.known.iter().any(|known| known == kind);
        if is_new {
            counted.known.push(kind.to_owned());
        }
        let total = counted.total;
        (is_new || total.is_power_of_two()).then(|| {
            let silent = total - std::mem::replace(&mut counted.logged, total) - 1;
            Times { total, silent }
        })
    }
}

/// The total of mishaps as the end of a log line: ` (failure 8, 3 not logged)`, those since the line before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    total: u64,
    silent: u64,
}

impl Times {
    /// Of mishaps of one kind, whose totals double from line to line.
    pub fn of(total: u64) -> Self {
        Self { total, silent: (total / 2).saturating_sub(1) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " (failure {}", self.total)?;
        match self.silent {
            0 => f.write_str(")"),
            silent => write!(f, ", {silent} not logged)"),
        }
    }
}

/// The name of `NAME value` or `NAME=value` behind a blank, or nothing: the value may be a secret, which no line shows.
pub fn name_only(text: &str) -> String {
    text.split_once([' ', '\t', '=', ':']).map_or_else(String::new, |(name, _)| format!(" {name}"))
}

/// The beginning of a text for a log line, on one line whatever bytes it holds.
pub fn excerpt(text: &[u8]) -> String {
    flb_text::excerpt(text.trim_ascii_end(), 80)
}

/// More of a text that tells what went wrong, on one line whatever bytes it holds.
pub fn sentence(text: &[u8]) -> String {
    flb_text::excerpt(text.trim_ascii_end(), 240)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ever_fewer_mishaps_are_logged() {
        let mishaps = Mishaps::default();
        let logged: Vec<u64> = (0..20).filter_map(|_| mishaps.another()).collect();
        assert_eq!(logged, [1, 2, 4, 8, 16]);
        assert_eq!(mishaps.total(), 20);
        let ends: String = logged.into_iter().map(|total| Times::of(total).to_string()).collect();
        assert_eq!(
            ends,
            " (failure 1) (failure 2) (failure 4, 1 not logged) (failure 8, 3 not logged) \
             (failure 16, 7 not logged)"
        );
    }

    #[test]
    fn of_a_value_with_a_name_the_name_is_told() {
        let names = ["Name hush", "NAME=hush", "Name:hush", "hush"].map(name_only);
        assert_eq!(names, [" Name", " NAME", " Name", ""]);
    }

    #[test]
    fn the_first_of_each_kind_is_logged() {
        let kinds = Kinds::default();
        let log = |kind: &str| kinds.another(kind).map(|times| times.to_string());
        assert_eq!(log("a").as_deref(), Some(" (failure 1)"));
        assert_eq!(log("a").as_deref(), Some(" (failure 2)"));
        assert_eq!(log("a"), None);
        assert_eq!(log("a").as_deref(), Some(" (failure 4, 1 not logged)"));
        assert_eq!(log("a"), None);
        assert_eq!(log("b").as_deref(), Some(" (failure 6, 1 not logged)"));
        assert_eq!(log("b"), None);
        assert_eq!(log("a").as_deref(), Some(" (failure 8, 1 not logged)"));
        let logged = (0..1000).filter(|number| log(&number.to_string()).is_some()).count();
        assert!(logged < 2 * Kinds::MOST, "{logged}");
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"\"a\"\tb\xff\n"), "\"a\"\\tb\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 100]), format!("{}...", "x".repeat(80)));
    }
}
