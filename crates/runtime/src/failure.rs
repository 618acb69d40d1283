//! What a failed call was: from the engine's error to the classes that a filter's operator knows.

use crate::FilterError;
use crate::fault::{Ended, Fault, Trap};
use crate::state::State;

/// What a failed call of the guest with this state was, deadline included.
pub(crate) fn failure(ended: Ended, state: &State) -> FilterError {
    let Ended { fault, backtrace } = ended;
    let printed = state.printed();
    let refusal = state.bounds.refusal();
    let reason = match fault {
        Fault::Trap(Trap::Interrupt) => {
            let milliseconds = state.leash.deadline().as_millis();
            return FilterError::Deadline { milliseconds, first: state.is_first, backtrace };
        }
        Fault::Exit(code) if refusal.is_none() => {
            return FilterError::Exit { code, printed, backtrace };
        }
        fault => fault.to_string(),
    };
    match refusal {
        Some(full) => out_of_memory(&reason, &full, backtrace, printed),
        None => FilterError::Trap { reason, printed, backtrace },
    }
}

/// A guest that failed after it was refused memory.
fn out_of_memory(
    reason: &str,
    full: &str,
    backtrace: Vec<String>,
    printed: Option<String>,
) -> FilterError {
    FilterError::OutOfMemory { reason: format!("{full}, then: {reason}"), printed, backtrace }
}
