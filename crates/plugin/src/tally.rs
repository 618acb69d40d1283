//! The books of a filter: what became of every record that went in.

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

/// Failures by what became of their records.
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
    /// All of them.
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
/// failures = failed.kept + failed.dropped + failed.quarantined
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
    /// Failures, by what became of their records.
    pub failed: Fates,
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
    pub fn fail(&mut self, fate: Fate) {
        let fates = &mut self.failed;
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
        self.failed.dropped
    }

    /// Records that are in the quarantine because the filter failed and the policy says so.
    pub fn quarantined(&self) -> u64 {
        self.failed.quarantined
    }

    /// Records that the filter failed on.
    pub fn failures(&self) -> u64 {
        self.failed.total()
    }

    /// Adds what another batch came to.
    pub fn add(&mut self, other: &Tally) {
        self.kept += other.kept;
        self.replaced += other.replaced;
        self.dropped += other.dropped;
        self.emitted_extra += other.emitted_extra;
        self.failed.add(other.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_in_one_place() {
        let mut tally = Tally::untouched(2);
        [0, 1, 3].into_iter().for_each(|records| tally.became(records));
        tally.fail(Fate::Kept);
        tally.fail(Fate::Quarantined);
        tally.fail(Fate::Dropped);
        assert_eq!((tally.records(), tally.emitted(), tally.removed()), (8, 7, 3));
        assert_eq!(tally.failed, Fates { kept: 1, dropped: 1, quarantined: 1 });
        assert_eq!((tally.failures(), tally.quarantined(), tally.dropped_by_failure()), (3, 1, 1));
        let mut sum = tally;
        sum.add(&tally);
        assert_eq!((sum.records(), sum.emitted(), sum.failures()), (16, 14, 6));
    }
}
