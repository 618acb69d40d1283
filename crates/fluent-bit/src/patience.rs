//! How long the agent waits for the guests that a chunk's records are given to.
//!
//! Deadlines do not add up: what a chunk may cost is a few of them, whatever its records do, and less once the agent was asked
//! to end. Records that are given up go the way of failures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flb_runtime::FilterError;

/// So many deadlines are waited for, in a chunk and in a row. The rest of the chunk then goes the way of failures at once, and so
/// does what follows the first deadline of each further chunk, until a call ends in time again.
const DEADLINES: u32 = 3;
/// The same once the agent was asked to end.
const AT_THE_END: u32 = 1;

/// Says whether the agent was asked to end.
pub(crate) type IsEnding = dyn Fn() -> bool + Send + Sync;

/// What one filter's chunks have of it.
pub(crate) struct Patience {
    end: Arc<End>,
    /// Calls that ran past their deadline since one did not, in this chunk and those before it.
    in_a_row: u32,
    /// Such calls of this chunk.
    in_this_chunk: u32,
}

impl Patience {
    pub(crate) fn new(end: Arc<End>) -> Self {
        Self { end, in_a_row: 0, in_this_chunk: 0 }
    }

    /// A chunk begins.
    pub(crate) fn begin(&mut self) {
        self.in_this_chunk = 0;
        self.end.begin();
    }

    /// A call ended in time.
    pub(crate) fn in_time(&mut self) {
        self.in_a_row = 0;
    }

    /// A call ran past its deadline.
    pub(crate) fn late(&mut self) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_this_chunk += 1;
    }

    /// Why the next record is given up, if it is. The first of a chunk never is.
    pub(crate) fn lost(&self, is_first: bool) -> Option<FilterError> {
        let most = if (self.end.is_ending)() { AT_THE_END } else { DEADLINES };
        let calls = self.in_a_row.max(self.in_this_chunk);
        let reason = match calls {
            _ if is_first => return None,
            1 if most == 1 => "1 call before it ran past the deadline".to_owned(),
            calls if calls >= most => format!("{calls} calls before it ran past the deadline"),
            _ if self.end.is_over() => "the agent is ending".to_owned(),
            _ => return None,
        };
        Some(FilterError::GivenUp { reason })
    }
}

/// The agent's end, as the chunk sees it that is worked on.
pub(crate) struct End {
    is_ending: Arc<IsEnding>,
    /// How long its records are still given to guests then. The call that is under way at the end of it has its deadline.
    grace: Duration,
    /// When somebody first saw, during this chunk, that the agent is ending.
    since: Mutex<Option<Instant>>,
}

impl End {
    /// For calls with this deadline.
    pub(crate) fn new(is_ending: Arc<IsEnding>, deadline: Duration) -> Self {
        Self { is_ending, grace: deadline * (DEADLINES - 1), since: Mutex::default() }
    }

    fn begin(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the chunk has had its time.
    pub(crate) fn is_over(&self) -> bool {
        if !(self.is_ending)() {
            return false;
        }
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now).elapsed() >= self.grace
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn patience(deadline: Duration) -> (Patience, Arc<AtomicBool>) {
        let ending = Arc::<AtomicBool>::default();
        let its = Arc::clone(&ending);
        let end = End::new(Arc::new(move || its.load(Ordering::Relaxed)), deadline);
        (Patience::new(Arc::new(end)), ending)
    }

    /// Works on a chunk whose records are late (`x`) or in time (`.`); how many are given to the guest.
    fn asked(patience: &mut Patience, records: &str) -> usize {
        patience.begin();
        let asked = records.chars().enumerate().take_while(|(index, record)| {
            if patience.lost(*index == 0).is_some() {
                return false;
            }
            if *record == 'x' {
                patience.late()
            } else {
                patience.in_time()
            }
            true
        });
        asked.count()
    }

    #[test]
    fn a_chunk_costs_three_deadlines_whatever_is_in_between() {
        let (mut patience, _) = patience(Duration::from_secs(1000));
        assert_eq!(asked(&mut patience, "xxxxxxxx"), 3);
        assert_eq!(asked(&mut patience, "xxxxxxxx"), 1, "nothing has ended in time since");
        assert_eq!(asked(&mut patience, ".x.x.x.x.x"), 6);
        assert_eq!(asked(&mut patience, ".........."), 10);
        assert_eq!(asked(&mut patience, "xx"), 2);
        assert_eq!(asked(&mut patience, "xx"), 1);
    }

    #[test]
    fn an_agent_that_is_ending_waits_for_one() {
        let (mut patience, ending) = patience(Duration::from_secs(1000));
        ending.store(true, Ordering::Relaxed);
        assert_eq!(asked(&mut patience, "..x...."), 3);
        assert_eq!(asked(&mut patience, "......."), 7, "nobody is given up who ends in time");
        assert_eq!(asked(&mut patience, "xx"), 1);
    }

    #[test]
    fn an_agent_that_is_ending_does_not_wait_for_ever_for_calls_in_time() {
        let (mut patience, ending) = patience(Duration::ZERO);
        assert_eq!(asked(&mut patience, "..."), 3);
        ending.store(true, Ordering::Relaxed);
        assert_eq!(asked(&mut patience, "..."), 1);
        assert_eq!(
            patience.lost(false).unwrap().to_string(),
            "not called, because the agent is ending"
        );
    }
}
