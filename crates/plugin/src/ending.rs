//! The wish of a plugin that the agent end.

use std::sync::{Mutex, OnceLock, PoisonError};

type End = Box<dyn Fn() + Send + Sync>;

/// Ends the agent when a plugin asks for it. The agent knows how.
#[derive(Default)]
pub struct Ending {
    code: OnceLock<u8>,
    end: Mutex<Option<End>>,
}

impl Ending {
    /// The agent ends so from now on, at once if it was asked to.
    pub fn by(&self, end: impl Fn() + Send + Sync + 'static) {
        if self.code().is_some() {
            end();
        }
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(end));
    }

    /// Asks the agent to end with this code, as a signal does: what came is delivered. Who asks first is heard.
    pub fn ask(&self, code: u8) {
        if self.code.set(code).is_ok()
            && let Some(end) = &*self.end.lock().unwrap_or_else(PoisonError::into_inner)
        {
            end();
        }
    }

    /// The code, if somebody asked.
    pub fn code(&self) -> Option<u8> {
        self.code.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_agent_ends_whoever_comes_first() {
        let ends = Arc::new(AtomicUsize::new(0));
        let (early, late, count) = (Ending::default(), Ending::default(), Arc::clone(&ends));
        late.ask(0);
        for ending in [&early, &late] {
            let count = Arc::clone(&count);
            ending.by(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!((ends.load(Ordering::Relaxed), early.code()), (1, None));
        early.ask(7);
        early.ask(8);
        assert_eq!((ends.load(Ordering::Relaxed), early.code()), (2, Some(7)));
    }
}
