//! The wish of a plugin that the agent end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

type End = Box<dyn Fn() + Send + Sync>;

/// Ends the agent when a plugin asks for it. The agent knows how.
#[derive(Default)]
pub struct Ending {
    is_asked: AtomicBool,
    end: Mutex<Option<End>>,
}

impl Ending {
    /// The agent ends so from now on, at once if it was asked to.
    pub fn by(&self, end: impl Fn() + Send + Sync + 'static) {
        if self.is_asked() {
            end();
        }
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(end));
    }

    /// Asks the agent to end, as a signal does: what came is delivered.
    pub fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
        if let Some(end) = &*self.end.lock().unwrap_or_else(PoisonError::into_inner) {
            end();
        }
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn the_agent_ends_whoever_comes_first() {
        let ends = Arc::new(AtomicUsize::new(0));
        let (early, late, count) = (Ending::default(), Ending::default(), Arc::clone(&ends));
        late.ask();
        for ending in [&early, &late] {
            let count = Arc::clone(&count);
            ending.by(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!((ends.load(Ordering::Relaxed), early.is_asked()), (1, false));
        early.ask();
        assert_eq!((ends.load(Ordering::Relaxed), early.is_asked()), (2, true));
    }
}
