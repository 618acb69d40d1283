//! When an event happened.

/// Seconds and nanoseconds since 1970-01-01 00:00:00 UTC; good until the year 2106.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds.
    pub sec: u32,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nsec: u32,
}

impl Timestamp {
    /// Seconds with their fraction, as near as a double can hold.
    pub fn as_f64(self) -> f64 {
        f64::from(self.sec) + f64::from(self.nsec) / 1e9
    }
}
