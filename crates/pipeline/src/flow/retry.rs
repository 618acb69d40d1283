//! When a chunk that could not be delivered is tried again, and when it is given up.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// How often an output's chunks are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryLimit {
    /// Not once.
    Never,
    /// At most so many times.
    Times(u32),
    /// Until it works.
    Unlimited,
}

impl RetryLimit {
    /// Reads the text of `retry_limit`. `None` when it is not understood.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is(&["no_limits", "false", "off"]) {
            return Some(Self::Unlimited);
        }
        if is(&["no_retries"]) {
            return Some(Self::Never);
        }
        text.parse().ok().filter(|times| *times > 0).map(Self::Times)
    }

    /// Whether a chunk that was retried `times` times may be retried once more.
    pub(crate) fn allows(self, times: u32) -> bool {
        match self {
            Self::Never => false,
            Self::Times(limit) => times < limit,
            Self::Unlimited => true,
        }
    }
}

/// The waiting times between tries: somewhere between the base and twice the base, four times the base and so on up to
/// the cap, and a second. That they are random keeps agents apart that lost the same receiver at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
}

impl Backoff {
    /// That of tests.
    #[cfg(test)]
    pub(crate) const PLAIN: Self =
        Self { base: Duration::from_secs(5), cap: Duration::from_secs(2000) };

    /// The longest wait while the pipeline drains.
    pub(crate) const DRAINING: Duration = Duration::from_secs(1);

    /// The wait of a chunk that has had its waits behind another one, so that a dead receiver is not flooded with tries.
    pub(crate) const CATCHING_UP: Duration = Duration::from_millis(100);

    /// How long to wait before retry number `retry`, which counts from 1. `random` is any number.
    pub(crate) fn wait(&self, retry: u32, random: u64) -> Duration {
        let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
        let longest = self.base.saturating_mul(factor).min(self.cap).as_secs();
        let base = self.base.as_secs();
        let wait = base + random % (longest.saturating_sub(base) + 1);
        Duration::from_secs(wait.saturating_add(1))
    }
}

/// How chunks of one output are tried again.
#[derive(Debug)]
pub(crate) struct Retries {
    pub(crate) limit: RetryLimit,
    pub(crate) backoff: Backoff,
    pub(crate) dice: Dice,
}

impl Retries {
    /// How long a chunk waits that failed so many times, or as long as its receiver wants, `after`. `None` if it is given up.
    pub(crate) fn wait(&mut self, failures: u32, after: Option<Duration>) -> Option<Duration> {
        let is_allowed = self.limit.allows(failures.saturating_sub(1));
        is_allowed.then(|| self.wait_anyway(failures, after))
    }

    /// The same without a limit.
    pub(crate) fn wait_anyway(&mut self, failures: u32, after: Option<Duration>) -> Duration {
        let wait = after.unwrap_or_else(|| self.backoff.wait(failures, self.dice.roll()));
        wait.min(self.backoff.cap.saturating_add(Duration::from_secs(1)))
    }
}

/// Random numbers, good enough to keep retries apart.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Default for Dice {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl Dice {
    /// The next number (splitmix64).
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_or_words() {
        for (text, limit) in [
            ("1", Some(RetryLimit::Times(1))),
            ("12", Some(RetryLimit::Times(12))),
            ("No_Limits", Some(RetryLimit::Unlimited)),
            ("false", Some(RetryLimit::Unlimited)),
            ("off", Some(RetryLimit::Unlimited)),
            ("no_retries", Some(RetryLimit::Never)),
            ("0", None),
            ("-1", None),
            ("often", None),
        ] {
            assert_eq!(RetryLimit::parse(text), limit, "{text}");
        }
    }

    #[test]
    fn a_limit_allows_that_many_retries() {
        let allowed = |limit: RetryLimit| (0..10).take_while(|times| limit.allows(*times)).count();
        assert_eq!(allowed(RetryLimit::Never), 0);
        assert_eq!(allowed(RetryLimit::Times(3)), 3);
        assert_eq!(allowed(RetryLimit::Unlimited), 10);
    }

    #[test]
    fn waits_are_random_between_the_base_and_a_limit_that_doubles_up_to_the_cap() {
        let backoff = Backoff::PLAIN;
        for (retry, longest) in [(1, 10), (2, 20), (3, 40), (9, 2000), (40, 2000)] {
            let mut dice = Dice(7);
            let waits: Vec<u64> =
                (0..20_000).map(|_| backoff.wait(retry, dice.roll()).as_secs()).collect();
            assert_eq!(waits.iter().min(), Some(&6), "retry {retry}");
            assert_eq!(waits.iter().max(), Some(&(longest + 1)), "retry {retry}");
        }
        let short = Backoff { base: Duration::from_secs(9), cap: Duration::from_secs(3) };
        assert_eq!(short.wait(1, u64::MAX).as_secs(), 10);
    }
}
