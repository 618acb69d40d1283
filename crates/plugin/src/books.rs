//! What became of a filter's records, in one line for the log.

use std::fmt;

use crate::{FAILURES, Reading, Tally};

/// The books of a filter: its tally, and what it counts of its own where there is a word for it.
#[derive(Debug, Clone, Copy)]
pub struct Books<'a> {
    /// What became of the records.
    pub tally: &'a Tally,
    /// What the filter counts of its own.
    pub metrics: &'a [Reading],
}

impl fmt::Display for Books<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally, metrics } = self;
        write!(f, "{} records: ", tally.records())?;
        if tally.kept > 0 {
            write!(f, "{} kept, ", tally.kept)?;
        }
        write!(f, "{} replaced, {} dropped", tally.replaced, tally.dropped)?;
        unless_zero(f, tally.dropped_by_failure(), "dropped by failure")?;
        unless_zero(f, tally.quarantined(), "quarantined")?;
        unless_zero(f, tally.emitted_extra, "emitted extra")?;
        write!(f, ", {} failed", tally.failures())?;
        let classes: Vec<String> = metrics
            .iter()
            .filter(|reading| *reading.metric == FAILURES && reading.number() > 0)
            .filter_map(|reading| Some(format!("{} {}", reading.of.as_ref()?, reading.number())))
            .collect();
        if !classes.is_empty() {
            write!(f, " ({})", classes.join(", "))?;
        }
        metrics.iter().try_for_each(|reading| write!(f, "{}", reading.in_words()))
    }
}

/// Writes `, n word` unless `n` is zero.
fn unless_zero(f: &mut fmt::Formatter<'_>, n: u64, word: &str) -> fmt::Result {
    if n == 0 { Ok(()) } else { write!(f, ", {n} {word}") }
}
