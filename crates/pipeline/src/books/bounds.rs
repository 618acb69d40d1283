//! The bounds of the pipeline's histograms.

use std::time::Duration;

use flb_plugin::Histogram;

/// Bounds for one record in a filter.
const RECORD: &[Duration] = &[
    Duration::from_nanos(100),
    Duration::from_nanos(250),
    Duration::from_nanos(500),
    Duration::from_micros(1),
    Duration::from_nanos(2500),
    Duration::from_micros(5),
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// Bounds for a batch on its way through a lane.
const BATCH: &[Duration] = &[
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// Bounds for a chunk's way to an output: those that dashboards know, from half a second on, and smaller ones.
const DELIVERY: &[Duration] = &[
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(1500),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
];

/// For records in a filter.
pub(crate) fn of_records() -> Histogram {
    Histogram::new(RECORD)
}

/// For batches in a lane.
pub(crate) fn of_batches() -> Histogram {
    Histogram::new(BATCH)
}

/// For chunks on their way to an output.
pub(crate) fn of_deliveries() -> Histogram {
    Histogram::new(DELIVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend() {
        for bounds in [RECORD, BATCH, DELIVERY] {
            assert!(bounds.is_sorted());
        }
    }
}
