//! How long a matcher is asked that gives up again and again: each time costs, and then the library is asked after all.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What a matcher that gave up has cost of late, in texts on which it should rather not have been asked.
#[derive(Debug, Default)]
pub(super) struct Patience(AtomicU32);

/// What each time costs.
const COST: u32 = 16;
/// How much is borne.
const MOST: u32 = 64;

impl Patience {
    /// Whether there is some left for a text. A text makes good for some of what others cost.
    pub(super) fn is_left(&self) -> bool {
        let cost = self.0.load(Relaxed);
        if cost > 0 {
            self.0.store(cost - 1, Relaxed);
        }
        cost < MOST
    }

    /// The matcher gave up.
    pub(super) fn wears(&self) {
        self.0.fetch_add(COST, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand texts a matcher is asked about that gives up every so often.
    fn asked(every: u32) -> usize {
        let patience = Patience::default();
        let is_asked = |text: &u32| {
            let is_left = patience.is_left();
            if is_left && text.is_multiple_of(every) {
                patience.wears();
            }
            is_left
        };
        (0..1000).filter(is_asked).count()
    }

    #[test]
    fn who_always_gives_up_is_asked_now_and_then_and_who_seldom_does_always() {
        assert!((60..70).contains(&asked(1)), "{}", asked(1));
        assert_eq!(asked(17), 1000);
    }
}
