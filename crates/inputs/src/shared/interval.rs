//! The options of inputs that do something again and again: how long they wait in between.

use std::time::Duration;

use flb_plugin::keys::{Int, Key};
use flb_plugin::{Options, keys};

keys! {
    /// The options.
    pub(crate) const KEYS;
    INTERVAL_SEC: Int =
        Key::new("interval_sec", "Seconds between two records or runs").default("1");
    INTERVAL_NSEC: Int = Key::new("interval_nsec", "Nanoseconds added to them").default("0");
}

/// The time between; a second if the options say zero or less.
pub(crate) fn interval(options: &Options) -> Duration {
    let natural = |number: i64| u64::try_from(number).unwrap_or(0);
    let wanted = Duration::from_secs(natural(options.get(INTERVAL_SEC)))
        .saturating_add(Duration::from_nanos(natural(options.get(INTERVAL_NSEC))));
    if wanted.is_zero() { Duration::from_secs(1) } else { wanted }
}
