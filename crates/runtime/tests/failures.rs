//! What a failure says: where it was, what the guest said about it, and which limit it met.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use std::time::Duration;

use flb_artifact::{Interruption, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp, json};
use flb_runtime::{
    EngineOptions, FilterEngine, FilterError, FilterInstance, FilterModule, FilterOptions,
};

const DEADLINE: Duration = Duration::from_millis(20);

/// The module as raw WebAssembly, as artifacts whose calls end by signals and by epochs, and as portable code, at the default levels.
fn files(wasm: &[u8]) -> Vec<Vec<u8>> {
    let artifact = |target: Target, kind| {
        let compiler = Compiler::new(CompileOptions {
            targets: vec![target],
            levels: Levels { opt_level: 3, size_level: 3 },
            embed_wasm: false,
            producer: "test".to_owned(),
            jobs: 1,
        });
        compiler.interrupted_by(kind).compile(wasm).unwrap()
    };
    let (host, portable) =
        (|| Target::host().unwrap(), Target::parse("portable", None, None).unwrap());
    vec![
        wasm.to_vec(),
        artifact(host(), Interruption::Signal),
        artifact(host(), Interruption::Epoch),
        artifact(portable, Interruption::Epoch),
    ]
}

fn start(bytes: Vec<u8>, options: FilterOptions) -> FilterInstance {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    FilterModule::load(&engine, bytes, options).unwrap().instantiate().unwrap()
}

fn options(function: &str) -> FilterOptions {
    FilterOptions { deadline: DEADLINE, ..FilterOptions::new(function) }
}

fn call(instance: &mut FilterInstance, record: &str) -> Result<(), FilterError> {
    let mut body = Vec::new();
    json::parse_object(record.as_bytes(), &mut body).unwrap();
    let event =
        Event { time: Timestamp { sec: 1, nsec: 2 }, metadata: Event::NO_METADATA, body: &body };
    instance.ask(&Tag::new("t").unwrap(), event).map(drop)
}

/// Calls `f` of the module in each of its forms: how it fails.
fn failures(wasm: &[u8], function: &str, record: &str) -> Vec<FilterError> {
    let fail = |file| call(&mut start(file, options(function)), record).unwrap_err();
    files(wasm).into_iter().map(fail).collect()
}

/// A filter whose function `outer` calls `inner`, which has this body.
fn nested(items: &str, inner: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module {items} (memory (export "memory") 40) (table $t 1000 funcref) (global $g (mut i32) (i32.const 0))
            (func $inner (result i32) (local $i i32) {inner})
            (func $outer (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
                (i32.add (call $inner) (i32.const 1))))"#
    ))
    .unwrap()
}

#[test]
fn a_deadline_says_which_functions_ran() {
    let host = r#"(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))"#;
    for (items, inner) in [
        ("", "(loop (br 0)) unreachable"),
        ("", "(loop (global.set $g (i32.add (global.get $g) (i32.const 1))) (br 0)) unreachable"),
        (
            "",
            "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0)) unreachable",
        ),
        ("", "(loop (drop (memory.grow (i32.const 0))) (br 0)) unreachable"),
        (host, "(loop (drop (call $yield)) (br 0)) unreachable"),
    ] {
        for error in failures(&nested(items, inner), "f", "{}") {
            assert!(matches!(error, FilterError::Deadline { .. }), "{error}");
            let functions = strs(&error);
            // Between a function's first two instructions a signal finds no caller: here of `inner`, or of the compiler's
            // function that grows.
            let known = [["inner", "outer"].as_slice(), &["inner"]];
            let known = known.contains(&functions.as_slice())
                || inner.contains("memory.grow") && functions == ["outer"];
            assert!(known, "{inner}: {functions:?}");
            assert!(error.to_string().contains(&format!(" (in {})", functions[0])), "{error}");
        }
    }
}

fn strs(error: &FilterError) -> Vec<&str> {
    error.backtrace().iter().map(String::as_str).collect()
}

#[test]
fn functions_without_names_have_numbers_and_the_compiler_s_own_are_not_told() {
    let text = r#"(module (memory 1) (func (loop (br 0)))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (call 0) (i32.const 0)))"#;
    for error in failures(&wat::parse_str(text).unwrap(), "f", "{}") {
        assert_eq!(error.backtrace().first().unwrap(), "function 0", "{error}");
        assert!(error.backtrace().len() <= 2, "{:?}", error.backtrace());
    }
}

#[test]
fn a_trap_in_a_function_of_the_host_is_its_caller_s() {
    let unknown = r#"(import "env" "nobody" (func $nobody))"#;
    for error in failures(&nested(unknown, "(call $nobody) (i32.const 0)"), "f", "{}") {
        assert_eq!(strs(&error), ["inner", "outer"]);
    }
}

#[test]
fn a_panic_is_the_author_s_function_s() {
    // As older and newer compilers of Rust name them.
    for [abort, panic, check] in [
        [
            "__rust_abort",
            "_ZN4core9panicking9panic_fmt17h0123456789abcdefE",
            "_ZN5guard5check17h0123456789abcdefE",
        ],
        [
            "_RNvCsfLfy6EI15iL_7___rustc12___rust_abort",
            "_RNvNtCsgXGp5Oqx2Ny_4core9panicking18panic_bounds_check",
            "_RNvCs5cOc02OMXlo_5guard5check",
        ],
    ] {
        let text = format!(
            r#"(module (memory (export "memory") 1) (func ${abort} unreachable) (func ${panic} (call ${abort}))
            (func ${check} (call ${panic}))
            (func $outer (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (call ${check}) (i32.const 0)))"#
        );
        for error in failures(&wat::parse_str(text).unwrap(), "f", "{}") {
            assert_eq!(error.to_string(), "Exception: unreachable (in guard::check)");
            assert_eq!(strs(&error), ["guard::check", "outer"]);
        }
    }
}

/// The line of a source that has these words, as failures tell it.
fn line(file: &str, source: &str, words: &str) -> String {
    let line = source.lines().position(|line| line.contains(words)).unwrap() + 1;
    format!("{file}:{line}")
}

#[test]
fn with_debug_information_failures_have_the_line_that_ran() {
    let wasm = include_bytes!("../../compiler/tests/corpus/places/lines.wasm");
    let source = include_str!("../../compiler/tests/corpus/places/lines.c");
    // A trap, which the code generator makes one with the condition before it; an access to memory; code of a library that is
    // inlined; and such code of the author's.
    for (record, words) in [
        (r#"{"t":1}"#, "if (answer == 't')"),
        (r#"{"o":1}"#, "0x7fff0000"),
        (r#"{"u":1}"#, "turns += unwrap(answer);"),
        (r#"{"d":1}"#, "return record[0] / by;"),
    ] {
        let inner = format!("decide at {}", line("lines.c", source, words));
        let outer = format!("filter at {}", line("lines.c", source, "= decide(record);"));
        let mut errors = failures(wasm, "filter", record);
        // Portable code knows where functions begin.
        let portable = errors.pop().unwrap();
        for (function, first) in strs(&portable).iter().zip(["decide", "filter"]) {
            let place = function.strip_prefix(&format!("{first} at lines.c:"));
            assert!(place.is_some(), "{portable}");
        }
        for error in errors {
            assert_eq!(strs(&error), [inner.as_str(), outer.as_str()], "{error}");
            assert!(error.to_string().contains(&format!(" (in {inner})")), "{error}");
        }
    }
    let turning = ["while (answer ==", "turns++;"].map(|words| line("lines.c", source, words));
    let errors = failures(wasm, "filter", r#"{"l":1}"#);
    assert!(errors.iter().all(|error| matches!(error, FilterError::Deadline { .. })));
    for error in &errors[..errors.len() - 1] {
        let place = error.backtrace()[0].strip_prefix("decide at ").unwrap();
        assert!(turning.iter().any(|line| line == place), "{error}");
    }
}

/// A filter that prints a text to a stream, then does what `then` says.
fn printing(stream: u32, text: &str, then: &str) -> Vec<u8> {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    wat::parse_str(format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1) (global $calls (mut i32) (i32.const 0))
            (data (i32.const 1024) "{escaped}")
            (func $f (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
                (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const {}))
                (if (i32.eqz (global.get $calls))
                    (then (drop (call $write (i32.const {stream}) (i32.const 0) (i32.const 1) (i32.const 8)))))
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                {then}))"#,
        text.len()
    ))
    .unwrap()
}

#[test]
fn what_the_guest_prints_before_it_gives_up_is_told() {
    let text = "starting\npanicked at src/lib.rs:3:5:\nindex out of bounds\nnote: run with `RUST_BACKTRACE=1`\n";
    let said = "panicked at src/lib.rs:3:5: index out of bounds";
    for error in failures(&printing(2, text, "unreachable"), "f", "{}") {
        assert_eq!(error.to_string(), format!("Exception: unreachable (in f): {said}"));
    }
    let exit = "(call $exit (i32.const 2)) (i32.const 0)";
    for error in failures(&printing(2, text, exit), "f", "{}") {
        let expected = format!("wasi proc exit: the guest called exit(2) (in f): {said}");
        assert_eq!(error.to_string(), expected);
    }
    for error in failures(&printing(1, text, "unreachable"), "f", "{}") {
        assert_eq!(error.to_string(), "Exception: unreachable (in f)");
    }
}

#[test]
fn what_was_printed_in_an_earlier_call_is_not_told() {
    let second = "(if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable)) (i32.const 0)";
    for file in files(&printing(2, "panicked at the disco", second)) {
        let mut instance = start(file, options("f"));
        call(&mut instance, "{}").unwrap();
        let error = call(&mut instance, "{}").unwrap_err();
        assert_eq!(error.to_string(), "Exception: unreachable (in f)");
    }
}

#[test]
fn a_guest_that_is_refused_memory_and_gives_up_says_so() {
    // With an allocator for the host, and without.
    let allocator = r#"(func (export "malloc") (param i32) (result i32) (i32.const 1024)) (func (export "free") (param i32))"#;
    for allocator in ["", allocator] {
        refused_memory(allocator);
    }
}

fn refused_memory(allocator: &str) {
    let text = r#"(module (memory (export "memory") 1) {}
        (func $f (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))
            (i32.const 0)))"#;
    let text = text.replace("{}", allocator);
    for file in files(&wat::parse_str(text).unwrap()) {
        let mut instance = start(file, FilterOptions { memory_limit: 6 << 20, ..options("f") });
        call(&mut instance, "{}").unwrap();
        let error = call(&mut instance, "{}").unwrap_err();
        assert!(matches!(error, FilterError::OutOfMemory { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "Exception: out of memory: 4096 KiB more were refused at Memory_Limit (6144 KiB) or what the module \
             declares, then: unreachable (in f)"
        );
        call(&mut instance, "{}").unwrap();
    }
}

/// Sleeps for so many milliseconds in each call.
fn sleeping(milliseconds: u64, start: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func $sleep
                (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const {}))
                (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
            (func (export "_initialize") {start})
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (call $sleep) (i32.const 0)))"#,
        milliseconds * 1_000_000
    ))
    .unwrap()
}

#[test]
fn the_first_call_says_which_deadline_to_raise() {
    let ever = sleeping(3_600_000, "");
    for error in failures(&ever, "f", "{}") {
        let text = error.to_string();
        assert!(
            text.starts_with("the first call took longer than its deadline of 20 ms"),
            "{text}"
        );
        assert!(text.contains("raise Start_Deadline"), "{text}");
    }
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let module = FilterModule::load(&engine, sleeping(3_600_000, "(call $sleep)"), options("f"));
    let error = module.unwrap().instantiate().unwrap_err().to_string();
    assert!(error.contains("its start took longer than its deadline of 20 ms"), "{error}");
    assert!(error.contains("raise Start_Deadline"), "{error}");
}

#[test]
fn the_start_and_the_first_call_have_a_deadline_of_their_own() {
    for file in files(&sleeping(100, "(call $sleep)")) {
        let generous = Some(Duration::from_secs(600));
        let mut instance = start(file, FilterOptions { start_deadline: generous, ..options("f") });
        call(&mut instance, "{}").unwrap();
        let error = call(&mut instance, "{}").unwrap_err().to_string();
        assert!(error.starts_with("the call took longer than its deadline of 20 ms"), "{error}");
        // The guest that takes its place starts as the first did.
        call(&mut instance, "{}").unwrap();
    }
}
