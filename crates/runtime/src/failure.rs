//! What a failed call was: from the engine's error to the classes that a filter's operator knows.

use std::time::Duration;

use crate::FilterError;

/// What a failed call of the guest was, deadline included.
pub(crate) fn failure(error: &wasmtime::Error, deadline: Duration) -> FilterError {
    #[cfg(feature = "wasi")]
    if let Some(code) = crate::wasi::exit_code(error) {
        return FilterError::Exit { code };
    }
    let backtrace = backtrace(error);
    let reason = match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => {
            return FilterError::Deadline { milliseconds: deadline.as_millis(), backtrace };
        }
        Some(trap) => trap_text(*trap),
        None => error.root_cause().to_string(),
    };
    let reason = match backtrace.first() {
        Some(function) => format!("{reason} (in {function})"),
        None => reason,
    };
    FilterError::Trap { reason, backtrace }
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

/// The guest's functions, innermost first: their names as the source has them, or their numbers where the module keeps no
/// names.
fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let trace = error.downcast_ref::<wasmtime::WasmBacktrace>();
    let frames = trace.map(wasmtime::WasmBacktrace::frames).unwrap_or_default();
    frames.iter().map(|frame| function_name(frame.func_name(), frame.func_index())).collect()
}

fn function_name(name: Option<&str>, index: u32) -> String {
    let Some(name) = name else { return format!("function {index}") };
    let mut plain = String::new();
    // Writing to a String cannot fail.
    let _ = wasmtime_environ::demangle_function_name(&mut plain, name);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_of_their_source() {
        let check = |name, expected: &str| assert_eq!(function_name(name, 7), expected);
        check(Some("decide"), "decide");
        check(
            Some("_ZN4core9panicking9panic_fmt17h0123456789abcdefE"),
            "core::panicking::panic_fmt::h0123456789abcdef",
        );
        check(Some("_RNvC6filter6decide"), "filter::decide");
        check(Some("_Z6decidei"), "decide(int)");
        check(None, "function 7");
    }
}
