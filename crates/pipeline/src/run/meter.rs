//! Reads what a pipeline counts, from outside.

use std::sync::{Arc, Mutex, PoisonError};

use crate::books::{Counters, Report};

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

    /// Reads what the other one does from now on.
    pub fn follow(&self, other: &Self) {
        let counters = other.counters();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
