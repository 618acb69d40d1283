//! Reads what a pipeline counts, from outside.

use std::sync::{Arc, Mutex, PoisonError};

use flb_config::Role;

use crate::books::{Counters, Report, Tap};

/// Reads a pipeline's counters while it runs, and after. Clones share one.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Mutex<Arc<Counters>>>);

impl Meter {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        Self(Arc::new(Mutex::new(Arc::clone(counters))))
    }

    /// The numbers now.
    pub fn read(&self) -> Report {
        Report::of(&self.counters())
    }

    /// Where a record on its way through a node can be asked for, if there is such a node.
    pub fn tap(&self, role: Role, name: &str) -> Option<Arc<Tap>> {
        let counters = self.counters();
        let inputs = counters.inputs.iter().map(|row| (&row.instance, &row.tap));
        let filters = counters.filters.iter().map(|row| (&row.instance, &row.tap));
        let outputs = counters.outputs.iter().map(|row| (&row.instance, &row.tap));
        let mut nodes = inputs.chain(filters).chain(outputs);
        let is_meant =
            |instance: &crate::Instance| instance.role == role && *instance.name == *name;
        nodes.find(|(instance, _)| is_meant(instance)).map(|(_, tap)| Arc::clone(tap))
    }

    /// Reads what the other one does from now on.
    pub fn follow(&self, other: &Self) {
        let counters = other.counters();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
