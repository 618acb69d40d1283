//! Telling time and waiting, both through the plugin's [`Context`].

use std::time::Duration;

use flb_event::Timestamp;
use flb_plugin::Context;

/// Nanoseconds since 1970.
pub(crate) fn nanos(time: Timestamp) -> u64 {
    u64::from(time.sec) * 1_000_000_000 + u64::from(time.nsec)
}

/// The time of so many nanoseconds since 1970; the last possible one if they are too many.
pub(crate) fn timestamp(nanos: u64) -> Timestamp {
    match u32::try_from(nanos / 1_000_000_000) {
        Ok(sec) => Timestamp { sec, nsec: (nanos % 1_000_000_000) as u32 },
        Err(_) => Timestamp { sec: u32::MAX, nsec: 999_999_999 },
    }
}

/// From `earlier` to `later`; zero if the clock was set back in between.
pub(crate) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_nanos(nanos(later).saturating_sub(nanos(earlier)))
}

/// Waits for `duration`; true when the input shall stop instead. A duration of zero only asks.
pub(crate) async fn stopped_within(context: &dyn Context, duration: Duration) -> bool {
    if duration.is_zero() {
        tokio::select! {
            biased;
            () = context.stopped() => true,
            () = std::future::ready(()) => false,
        }
    } else {
        tokio::select! {
            biased;
            () = context.stopped() => true,
            () = context.sleep(duration) => false,
        }
    }
}
