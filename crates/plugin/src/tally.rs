//! The books of a filter: what became of every record that went in.

use std::fmt;

/// Why a filter could not decide about a record. The record's fate is then the filter's failure policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The guest trapped.
    Trap,
    /// The guest ran past its deadline.
    Deadline,
    /// The guest ran out of memory, or the record did not fit into it.
    Memory,
    /// The guest's answer could not be understood.
    BadOutput,
    /// The guest ended itself.
    Exit,
    /// The guest said that it failed on the record.
    Refused,
}

impl Failure {
    /// Every class, in the order of [`Tally::failed`].
    pub const ALL: [Failure; 6] =
        [Self::Trap, Self::Deadline, Self::Memory, Self::BadOutput, Self::Exit, Self::Refused];

    /// The class's name in logs, metrics and quarantine files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::BadOutput => "bad_output",
            Self::Exit => "exit",
            Self::Refused => "refused",
        }
    }
}

/// What becomes of a record that a filter failed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It passes as it was.
    Kept,
    /// It is removed.
    Dropped,
    /// It is written to the filter's quarantine instead of going on.
    Quarantined,
}

/// The failures of one class, by what became of their records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// Passed as they were; these are in [`Tally::kept`], too.
    pub kept: u64,
    /// Removed.
    pub dropped: u64,
    /// Written to the filter's quarantine.
    pub quarantined: u64,
}

impl Fates {
    /// Failures of this class.
    pub fn total(&self) -> u64 {
        self.kept + self.dropped + self.quarantined
    }

    fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.dropped += other.dropped;
        self.quarantined += other.quarantined;
    }
}

/// What became of a batch's records. These hold at every moment, for one batch and for the sum of any:
///
/// ```text
/// records  = kept + replaced + dropped + dropped_by_failure + quarantined
/// emitted  = kept + replaced + emitted_extra
/// failures = the sum over all classes of kept + dropped + quarantined
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed as they were, those that failed and were kept included.
    pub kept: u64,
    /// Passed with a new body. One that became several counts once here.
    pub replaced: u64,
    /// Removed by the filter on purpose.
    pub dropped: u64,
    /// Records beyond the first that came of one.
    pub emitted_extra: u64,
    /// Failures by class, in the order of [`Failure::ALL`].
    pub failed: [Fates; Failure::ALL.len()],
    /// Sound instances that the filter replaced, as its options say.
    pub recycled: u64,
    /// Quarantined records, of this run or an older one, that were removed again to keep the quarantine within its limit.
    pub quarantine_lost: u64,
}

impl Tally {
    /// All records of an untouched batch.
    pub fn untouched(records: usize) -> Self {
        Self { kept: records as u64, ..Self::default() }
    }

    /// Counts one record that became this many others: none, one, or several.
    pub fn became(&mut self, records: usize) {
        match records.checked_sub(1) {
            None => self.dropped += 1,
            Some(extra) => {
                self.replaced += 1;
                self.emitted_extra += extra as u64;
            }
        }
    }

    /// Counts one record that the filter failed on.
    pub fn fail(&mut self, class: Failure, fate: Fate) {
        let fates = &mut self.failed[class as usize];
        match fate {
            Fate::Kept => {
                fates.kept += 1;
                self.kept += 1;
            }
            Fate::Dropped => fates.dropped += 1,
            Fate::Quarantined => fates.quarantined += 1,
        }
    }

    /// Records that went in.
    pub fn records(&self) -> u64 {
        self.kept + self.replaced + self.removed()
    }

    /// Records that came out.
    pub fn emitted(&self) -> u64 {
        self.kept + self.replaced + self.emitted_extra
    }

    /// Records that went in and did not come out in any form.
    pub fn removed(&self) -> u64 {
        self.dropped + self.dropped_by_failure() + self.quarantined()
    }

    /// Records that were removed because the filter failed and the policy says so.
    pub fn dropped_by_failure(&self) -> u64 {
        self.failed.iter().map(|fates| fates.dropped).sum()
    }

    /// Records that are in the quarantine because the filter failed and the policy says so.
    pub fn quarantined(&self) -> u64 {
        self.failed.iter().map(|fates| fates.quarantined).sum()
    }

    /// Failures of any class.
    pub fn failures(&self) -> u64 {
        self.failed.iter().map(Fates::total).sum()
    }

    /// Failures by class, those that never happened included.
    pub fn failures_by_class(&self) -> impl Iterator<Item = (Failure, Fates)> {
        Failure::ALL.into_iter().zip(self.failed)
    }

    /// Adds what another batch came to.
    pub fn add(&mut self, other: &Tally) {
        self.kept += other.kept;
        self.replaced += other.replaced;
        self.dropped += other.dropped;
        self.emitted_extra += other.emitted_extra;
        for (mine, others) in self.failed.iter_mut().zip(other.failed) {
            mine.add(others);
        }
        self.recycled += other.recycled;
        self.quarantine_lost += other.quarantine_lost;
    }
}

/// In one line, for the log.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records: ", self.records())?;
        if self.kept > 0 {
            write!(f, "{} kept, ", self.kept)?;
        }
        write!(f, "{} replaced, {} dropped", self.replaced, self.dropped)?;
        unless_zero(f, self.dropped_by_failure(), "dropped by failure")?;
        unless_zero(f, self.quarantined(), "quarantined")?;
        unless_zero(f, self.emitted_extra, "emitted extra")?;
        write!(f, ", {} failed", self.failures())?;
        let classes: Vec<String> = self
            .failures_by_class()
            .filter(|(_, fates)| fates.total() > 0)
            .map(|(class, fates)| format!("{} {}", class.name(), fates.total()))
            .collect();
        if !classes.is_empty() {
            write!(f, " ({})", classes.join(", "))?;
        }
        unless_zero(f, self.recycled, "recycled")?;
        unless_zero(f, self.quarantine_lost, "lost from quarantine")
    }
}

/// Writes `, n word` unless `n` is zero.
fn unless_zero(f: &mut fmt::Formatter<'_>, n: u64, word: &str) -> fmt::Result {
    if n == 0 { Ok(()) } else { write!(f, ", {n} {word}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_in_one_place() {
        let mut tally = Tally::untouched(2);
        [0, 1, 3].into_iter().for_each(|records| tally.became(records));
        tally.fail(Failure::Trap, Fate::Kept);
        tally.fail(Failure::Trap, Fate::Quarantined);
        tally.fail(Failure::Exit, Fate::Dropped);
        assert_eq!((tally.records(), tally.emitted(), tally.removed()), (8, 7, 3));
        assert_eq!(tally.failed[0], Fates { kept: 1, dropped: 0, quarantined: 1 });
        assert_eq!((tally.failures(), tally.quarantined(), tally.dropped_by_failure()), (3, 1, 1));
        let mut sum = tally;
        sum.add(&tally);
        assert_eq!((sum.records(), sum.emitted(), sum.failures()), (16, 14, 6));
    }
}
