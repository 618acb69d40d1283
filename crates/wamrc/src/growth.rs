//! Whether a guest's memory stops growing: it may grow for a while, as garbage is collected late, but not for ever.

/// How often longer than it took to grow last a guest must go on without growing. What doubles with the records, such as a list
/// that keeps them all, grows again before that.
const PATIENCE: u64 = 3;

/// A guest's memory, looked at after every call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Calls so far.
    calls: u64,
    /// Bytes after the first call.
    first: u64,
    /// The most bytes so far.
    most: u64,
    /// The call at which it became so much.
    last: u64,
    /// The most bytes at the last two calls whose numbers were powers of two.
    marks: [u64; 2],
}

impl Growth {
    /// Looks at it after one more call.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.calls += 1;
        if self.calls == 1 {
            self.first = bytes;
        }
        if bytes > self.most {
            (self.most, self.last) = (bytes, self.calls);
        }
        if self.calls.is_power_of_two() {
            self.marks = [self.marks[1], self.most];
        }
    }

    /// Whether it has gone on for long without growing.
    pub(crate) fn is_over(&self) -> bool {
        self.calls >= PATIENCE * self.last
    }

    /// Whether later calls add about as much as earlier ones did: a quarter of the growth or more came since the last mark but
    /// one, which is half of the calls ago or a little longer.
    pub(crate) fn is_steady(&self) -> bool {
        4 * (self.most - self.marks[0]) >= self.most - self.first
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// The most bytes so far.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// Bytes after the first call.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Bytes that each call has added.
    pub(crate) fn each(&self) -> u64 {
        (self.most - self.first) / self.calls.max(1)
    }
}

#[cfg(test)]
mod tests {
    use flb_artifact::contract::PAGE;

    use super::*;

    /// When growth is over, with memory as `bytes` says after each call; not within a million calls.
    fn check(bytes: impl Fn(u64) -> u64, expected: Option<u64>) {
        let mut growth = Growth::default();
        let over = (1..=1_000_000).find(|call| {
            growth.add(bytes(*call));
            *call > 10_000 && growth.is_over()
        });
        assert_eq!(over, expected, "{growth:?}");
    }

    #[test]
    fn memory_that_comes_to_an_end_is_no_leak() {
        check(|_| PAGE, Some(10_001));
        check(|call| call.min(600) * PAGE, Some(10_001));
        // Collected each time when it has filled 40 MiB.
        check(|call| (1 + call.min(20_000) / 32) * PAGE, Some(60_000));
    }

    #[test]
    fn memory_that_grows_ever_more_slowly_is_told_from_a_leak() {
        let check = |bytes: fn(u64) -> u64, expected| {
            let mut growth = Growth::default();
            (1..=200_000).for_each(|call| growth.add(bytes(call)));
            assert!(!growth.is_over());
            assert_eq!(growth.is_steady(), expected, "{growth:?}");
        };
        check(|call| call * 256, true);
        check(|call| call.next_power_of_two() * 16, true);
        // As much again each time that the calls have doubled, and a little more between.
        check(|call| u64::from(call.ilog2()) * PAGE + call / 50, false);
    }

    #[test]
    fn memory_that_grows_with_the_records_is_a_leak() {
        check(|call| call * 256, None);
        check(|call| (1 + call * 8 / PAGE) * PAGE, None);
        // A list that doubles when it is full.
        check(|call| call.next_power_of_two() * 16, None);
    }
}
