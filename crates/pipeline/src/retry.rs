//! When a chunk that could not be delivered is tried again, and when it is given up.

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
    /// Reads the text of `retry_limit`. Nothing when it is not understood.
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

/// The waiting times between tries: the base, twice the base and so on up to the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(5), cap: Duration::from_secs(2000) }
    }
}

impl Backoff {
    /// The longest wait while the pipeline drains.
    pub(crate) const DRAINING: Duration = Duration::from_secs(1);

    /// How long to wait before retry number `retry`, which counts from 1.
    pub(crate) fn wait(&self, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
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
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff::default();
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 40].map(|n| backoff.wait(n).as_secs()).to_vec();
        assert_eq!(waits, [5, 10, 20, 1280, 2000, 2000]);
    }
}
