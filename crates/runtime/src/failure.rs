//! What a failed call was: from the engine's error to the classes that a filter's operator knows.

use std::time::Duration;

use crate::FilterError;

/// What a failed call of the guest was, deadline included.
pub(crate) fn failure(error: &wasmtime::Error, deadline: Duration) -> FilterError {
    #[cfg(feature = "wasi")]
    if let Some(code) = crate::wasi::exit_code(error) {
        return FilterError::Exit { code };
    }
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => {
            FilterError::Deadline { milliseconds: deadline.as_millis() }
        }
        Some(trap) => FilterError::Trap { reason: with_function(&trap_text(*trap), error) },
        None => FilterError::Trap { reason: with_function(&error.root_cause().to_string(), error) },
    }
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

/// Adds where in the guest it happened: the function's name, or its number where the module keeps no names.
fn with_function(reason: &str, error: &wasmtime::Error) -> String {
    let trace = error.downcast_ref::<wasmtime::WasmBacktrace>();
    match trace.and_then(|trace| trace.frames().first()) {
        Some(frame) => match frame.func_name() {
            Some(name) => format!("{reason} (in {name})"),
            None => format!("{reason} (in function {})", frame.func_index()),
        },
        None => reason.to_owned(),
    }
}
