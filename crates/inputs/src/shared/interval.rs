//! The options of inputs that do something again and again: how long they wait in between.

use std::time::Duration;

use flb_plugin::{Kind, OptionSpec, Options};

pub(crate) const SEC: OptionSpec =
    OptionSpec::new("interval_sec", Kind::Int, Some("1"), "Seconds between two records or runs");
pub(crate) const NSEC: OptionSpec =
    OptionSpec::new("interval_nsec", Kind::Int, Some("0"), "Nanoseconds added to them");

/// The time between; a second if the options say zero or less.
pub(crate) fn interval(options: &Options) -> Duration {
    let natural = |name| options.int(name).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let wanted = Duration::from_secs(natural("interval_sec"))
        .saturating_add(Duration::from_nanos(natural("interval_nsec")));
    if wanted.is_zero() { Duration::from_secs(1) } else { wanted }
}
