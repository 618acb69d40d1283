//! What a failed call was: from the engine's error to the classes that a filter's operator knows.

use crate::FilterError;
use crate::backtrace::backtrace;
use crate::libc::Exit;
use crate::state::State;

/// What a failed call of the guest with this state was, deadline included.
pub(crate) fn failure(error: &wasmtime::Error, state: &State) -> FilterError {
    let backtrace = backtrace(error, &state.sources);
    let printed = state.printed();
    // What `Leash::run` says of a call comes before how the guest itself ended it.
    let reason = match (error.downcast_ref::<wasmtime::Trap>(), exit_code(error)) {
        (Some(wasmtime::Trap::Interrupt), _) => {
            let milliseconds = state.leash.deadline().as_millis();
            return FilterError::Deadline { milliseconds, first: state.is_first, backtrace };
        }
        (Some(trap), _) => trap_text(*trap),
        (None, Some(code)) if state.bounds.refusal().is_none() => {
            return FilterError::Exit { code, printed, backtrace };
        }
        (None, Some(code)) => format!("exit({code})"),
        (None, None) => error.root_cause().to_string(),
    };
    match state.bounds.refusal() {
        Some(full) => out_of_memory(&reason, &full, backtrace, printed),
        None => FilterError::Trap { reason, printed, backtrace },
    }
}

/// The code that the guest exited with, if it did.
fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    if let Some(Exit(code)) = error.downcast_ref() {
        return Some(*code);
    }
    #[cfg(feature = "wasi")]
    return crate::wasi::exit_code(error);
    #[cfg(not(feature = "wasi"))]
    None
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

/// The words that users know from other runtimes, where there are such words.
fn trap_text(trap: wasmtime::Trap) -> String {
    match trap {
        wasmtime::Trap::UnreachableCodeReached => "unreachable".to_owned(),
        wasmtime::Trap::MemoryOutOfBounds => "out of bounds memory access".to_owned(),
        wasmtime::Trap::IntegerDivisionByZero => "integer divide by zero".to_owned(),
        wasmtime::Trap::StackOverflow => "wasm operand stack overflow".to_owned(),
        other => other.to_string(),
    }
}
