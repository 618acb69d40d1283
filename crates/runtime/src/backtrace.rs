//! Where a call failed: the guest's functions that were running, as their author knows them.
//!
//! What the compiler added is left out, and so is, at the top, what a language runs between a failed check and the trap:
//! the first function is then one of the author's. `docs/abi.md` has the list.

#[cfg(native)]
use std::fmt;

use flb_artifact::Sources;
use flb_artifact::contract::RESERVED;
#[cfg(native)]
use flb_artifact::contract::STOP;
use flb_engine::names::{split_place, with_place};
#[cfg(native)]
use wasmtime::{FrameInfo, Module, WasmBacktrace};

/// Where a signal found the guest that is to end: an address in its code.
#[cfg(native)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interrupted(pub(crate) usize);

#[cfg(native)]
impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted at {:#x}", self.0)
    }
}

/// Functions in which languages end: whole names, or, with a star, beginnings.
const LANGUAGES: &[&str] = &[
    // Rust
    "__rust_abort",
    "__rust_alloc_error_handler",
    "__rust_start_panic",
    "__rustc::*",
    "alloc::alloc::handle_alloc_error*",
    "alloc::raw_vec::capacity_overflow",
    "alloc::raw_vec::handle_error",
    "core::cell::panic_already_*",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::panicking::*",
    "core::result::unwrap_failed",
    "core::slice::index::slice_*",
    "core::str::slice_error_fail*",
    "panic_abort::*",
    "rust_begin_unwind",
    "rust_oom",
    "rust_panic",
    "std::alloc::*",
    "std::panicking::*",
    "std::process::abort",
    "std::process::exit",
    "std::sys::*",
    // C and C++
    "_Exit",
    "__assert_fail",
    "__cxa_*",
    "__stack_chk_fail",
    "__wasi_proc_exit",
    "_abort",
    "abort",
    "exit",
    "std::terminate*",
    // Go and TinyGo
    "runtime.*",
    // Zig
    "builtin.*",
    "debug.*",
    "posix.abort",
    "process.abort",
    // AssemblyScript
    "~lib/builtins/abort",
    "~lib/wasi_internal/wasi_abort",
];

/// The guest's functions that were running when native code failed, innermost first.
#[cfg(native)]
pub(crate) fn backtrace(error: &wasmtime::Error, sources: &Sources) -> Vec<String> {
    let trace = error.downcast_ref::<WasmBacktrace>();
    let frames = trace.map(WasmBacktrace::frames).unwrap_or_default();
    let interrupted = frames
        .first()
        .filter(|frame| frame.func_name() == Some(STOP))
        .and_then(|frame| Frame::at(frame.module(), error.downcast_ref::<Interrupted>()?.0));
    shown(interrupted.into_iter().chain(frames.iter().map(Frame::of)), sources)
}

/// The guest's functions, innermost first: their names as the source has them, or their numbers where the module keeps no
/// names, and the line that ran, if the module had debug information; the one where they begin, if it does not say more.
pub(crate) fn shown(frames: impl Iterator<Item = Frame>, sources: &Sources) -> Vec<String> {
    let guests = frames.filter(|frame| !frame.is_compilers());
    without_language(guests.map(|frame| frame.shown(sources)).collect())
}

/// A function that was running.
pub(crate) struct Frame {
    pub(crate) name: Option<String>,
    pub(crate) index: u32,
    /// The number of the line that ran.
    pub(crate) line: Option<u32>,
}

#[cfg(native)]
impl Frame {
    fn of(frame: &FrameInfo) -> Self {
        let line = frame.module_offset().and_then(|line| u32::try_from(line).ok());
        Self { name: frame.func_name().map(str::to_owned), index: frame.func_index(), line }
    }

    /// The function whose code has this address.
    fn at(module: &Module, address: usize) -> Option<Self> {
        let offset = address.checked_sub(module.text().as_ptr().addr())?;
        let mut functions = module.functions();
        let found = functions.find(|one| (one.offset..one.offset + one.len).contains(&offset))?;
        // What the code generator adds between instructions, such as a jump, is of no line: it is the one before.
        let lines = module.address_map().into_iter().flatten();
        let lines = lines.skip_while(|(start, _)| *start < found.offset);
        let lines = lines.take_while(|(start, _)| *start <= offset);
        let line = lines.filter_map(|(_, line)| line).last();
        Some(Self { name: found.name, index: found.index.as_u32(), line })
    }
}

impl Frame {
    /// Whether the compiler added it.
    fn is_compilers(&self) -> bool {
        self.name.as_deref().is_some_and(|name| name.starts_with(RESERVED))
    }

    fn shown(&self, sources: &Sources) -> String {
        let line = self.line.and_then(|line| sources.place(line));
        function_name(self.name.as_deref(), self.index, line.as_deref())
    }
}

/// Leaves out what a language runs at its end, unless that is all there is.
fn without_language(mut functions: Vec<String>) -> Vec<String> {
    let first = functions.iter().position(|function| !is_language(split_place(function).0));
    functions.drain(..first.unwrap_or(0));
    functions
}

fn is_language(function: &str) -> bool {
    LANGUAGES.iter().any(|known| match known.strip_suffix('*') {
        Some(start) => function.starts_with(start),
        None => function == *known,
    })
}

/// The function's name, and behind it the line that ran.
fn function_name(name: Option<&str>, index: u32, line: Option<&str>) -> String {
    let Some(name) = name else { return format!("function {index}") };
    let (name, first) = split_place(name);
    let place = line.or(first);
    let plain = if is_mangled(name) { demangled(name) } else { name.to_owned() };
    let plain = without_hashes(&plain);
    place.map_or_else(|| plain.clone(), |place| with_place(&plain, place))
}

/// A mangled name as its language writes it.
fn demangled(name: &str) -> String {
    if let Ok(name) = rustc_demangle::try_demangle(name) {
        return name.to_string();
    }
    let symbol = cpp_demangle::Symbol::new(name).ok();
    symbol.and_then(|symbol| symbol.demangle().ok()).unwrap_or_else(|| name.to_owned())
}

/// Whether a name is written in the way of C++ or Rust. In that of C++ a plain `f` would be the type `float`.
fn is_mangled(name: &str) -> bool {
    let rest = name.strip_prefix('_').map(|rest| rest.trim_start_matches('_'));
    rest.is_some_and(|rest| rest.starts_with(['Z', 'R']))
}

/// A Rust name without the numbers that compilers put behind crates, `std[a543996e6e7dbf1e]::`, or older ones behind all,
/// `::h0123456789abcdef`.
fn without_hashes(name: &str) -> String {
    /// Digits of a crate's number, at least: what is shorter may be a type, as in `[f64]`.
    const DIGITS: usize = 10;
    let is_hash = |text: &str| text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let name = match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && is_hash(hash) => name,
        _ => name,
    };
    let mut plain = String::new();
    let mut rest = name;
    while let Some((before, behind)) = rest.split_once('[') {
        plain.push_str(before);
        rest = match behind.split_once(']') {
            Some((hash, rest)) if hash.len() >= DIGITS && is_hash(hash) => rest,
            _ => {
                plain.push('[');
                behind
            }
        };
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_of_their_source() {
        let check = |name, expected: &str| assert_eq!(function_name(name, 7, None), expected);
        check(Some("decide"), "decide");
        check(
            Some("_ZN4core9panicking9panic_fmt17h0123456789abcdefE"),
            "core::panicking::panic_fmt",
        );
        check(Some("_RNvC6filter6decide"), "filter::decide");
        check(
            Some("_RNvNtCsgXGp5Oqx2Ny_4core9panicking18panic_bounds_check"),
            "core::panicking::panic_bounds_check",
        );
        check(
            Some("_RNCNvNtCsebHcaeoSrxy_3std5alloc8rust_oom0B5_"),
            "std::alloc::rust_oom::{closure#0}",
        );
        check(Some("_RNvC6filter6decide at src/lib.rs:3"), "filter::decide at src/lib.rs:3");
        check(Some("_Z6decidei"), "decide(int)");
        check(Some("f"), "f");
        check(Some("i"), "i");
        check(Some("RC"), "RC");
        check(None, "function 7");
        assert_eq!(function_name(Some("f at a.c:3"), 7, Some("a.c:5")), "f at a.c:5");
    }

    #[test]
    fn the_first_function_is_one_of_the_author_s() {
        let check = |functions: &[&str], expected: &[&str]| {
            let functions = functions.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(without_language(functions), expected);
        };
        check(
            &[
                "__rust_abort",
                "__rustc::rust_begin_unwind at /rustc/1/library/std/src/panicking.rs:689",
                "core::panicking::panic_bounds_check",
                "guard::check",
                "abort",
            ],
            &["guard::check", "abort"],
        );
        check(&["runtime.gopanic", "runtime.goPanicIndex", "main.decide"], &["main.decide"]);
        check(&["abort", "exit"], &["abort", "exit"]);
        check(&["aborting", "f"], &["aborting", "f"]);
        check(&[], &[]);
    }
}
