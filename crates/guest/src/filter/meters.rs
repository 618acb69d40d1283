//! What a filter's guests count of their own, among the agent's numbers.

use std::sync::Arc;

use flb_plugin::{Counter, Distribution, Metric, Metrics};
use flb_runtime::{Meter, Meters};

/// What the filter's guests count.
pub const COUNTS: Metric = Metric::new("guest", "What the filter's guests count.").by("counter");
/// What they observe.
pub const VALUES: Metric =
    Metric::new("guest_values", "What the filter's guests observe.").by("histogram");

/// The counters and histograms of one filter's guests.
pub fn meters(metrics: &Metrics) -> Arc<dyn Meters> {
    Arc::new(Counted(metrics.clone()))
}

#[derive(Debug)]
struct Counted(Metrics);

impl Meters for Counted {
    fn counter(&self, name: &str) -> Option<Arc<dyn Meter<u64>>> {
        Some(Arc::new(One(self.0.counter_of(&COUNTS, name))))
    }

    fn histogram(&self, name: &str, bounds: &[f64]) -> Option<Arc<dyn Meter<f64>>> {
        Some(Arc::new(One(self.0.distribution_of(&VALUES, name, bounds))))
    }
}

struct One<T>(T);

impl Meter<u64> for One<Counter> {
    fn count(&self, by: u64) {
        self.0.add(by);
    }
}

impl Meter<f64> for One<Distribution> {
    fn count(&self, value: f64) {
        self.0.observe(value);
    }
}
