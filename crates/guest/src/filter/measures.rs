//! What a filter's guests are measured by, beside what becomes of its records.

use flb_plugin::{Counter, FAILURES, Gauge, Info, Metric, Metrics};
use flb_runtime::{Failure, FilterInstance};

/// Memory of the filter's guests.
pub const MEMORY: Metric =
    Metric::new("guest_memory", "Memory of the filter's guests.").in_units_of("bytes");
const MODULE: Metric = Metric::new("module", "The module that the filter runs.").by("sha256");
/// Sound guests that were replaced.
pub const RECYCLES: Metric =
    Metric::new("recycles", "Sound guests that were replaced.").worded("recycled");
const LOST: Metric =
    Metric::new("quarantine_lost", "Records that made room for newer ones in the quarantine.")
        .worded("lost from quarantine");

/// The measures of one instance of the module. A clone is another instance's.
#[derive(Debug, Clone)]
pub struct Measures {
    memory: Gauge,
    module: Info,
    recycles: Counter,
    /// How many of them are counted.
    recycled: u64,
}

impl Measures {
    /// Registers them.
    pub fn of(metrics: &Metrics) -> Self {
        Self {
            memory: metrics.gauge(&MEMORY),
            module: metrics.info(&MODULE),
            recycles: metrics.counter(&RECYCLES),
            recycled: 0,
        }
    }

    /// From here on they are those of this instance.
    pub fn begin(&mut self, instance: &FilterInstance) {
        self.recycled = instance.recycled();
        self.memory.set(instance.memory_size());
        self.module.set(&instance.module().source().to_string());
    }

    /// Looks at the instance after a batch.
    pub fn look(&mut self, instance: &FilterInstance) {
        self.memory.set(instance.memory_size());
        let recycled = instance.recycled();
        if recycled != self.recycled {
            self.recycles.add(recycled - self.recycled);
            self.recycled = recycled;
        }
    }
}

/// What a policy counts.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// By class, in the order of [`Failure::ALL`].
    classes: [Counter; Failure::ALL.len()],
    /// Records, of this run or an older one, that were removed again to keep the quarantine within its limit.
    pub(super) lost: Counter,
}

impl Failures {
    pub(super) fn of(metrics: &Metrics) -> Self {
        let classes = Failure::ALL.map(|class| metrics.counter_of(&FAILURES, class.name()));
        Self { classes, lost: metrics.counter(&LOST) }
    }

    pub(super) fn count(&self, class: Failure, records: u64) {
        self.classes[class as usize].add(records);
    }
}
