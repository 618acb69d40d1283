//! What is a guest's memory, and what is not: natively by signals and by epochs, from an artifact, and interpreted.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_artifact::{Interruption, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp, json};
use flb_runtime::{
    EngineOptions, EventFormat, FilterEngine, FilterInstance, FilterModule, FilterOptions,
    LoadError,
};

/// A filter with one page, that does something and passes the record.
fn module(body: &str) -> String {
    format!(
        r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data $data "some data")
            (func (export "f") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
                (param $record i32) (param $record_len i32) (result i32)
                {body} (local.get $record)))"#
    )
}

fn options() -> FilterOptions {
    // A busy machine takes its time to interpret.
    FilterOptions { deadline: std::time::Duration::from_secs(20), ..FilterOptions::new("f") }
}

fn start(bytes: Vec<u8>, options: &FilterOptions) -> Result<FilterInstance, LoadError> {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    FilterModule::load(&engine, bytes, options.clone())?.instantiate()
}

fn compile(wasm: &[u8], target: Target, interruption: Interruption) -> Vec<u8> {
    let options = CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 2, size_level: 0 },
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs: 1,
    };
    Compiler::new(options).interrupted_by(interruption).compile(wasm).unwrap()
}

/// The module in every form in which it can run here.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let wasm = wat::parse_str(text).unwrap();
    let native = || Target::host().unwrap();
    let portable = Target::parse("portable", None, None).unwrap();
    vec![
        ("signal", compile(&wasm, native(), Interruption::Signal)),
        ("epoch", compile(&wasm, native(), Interruption::Epoch)),
        ("none", compile(&wasm, native(), Interruption::None)),
        ("portable", compile(&wasm, portable, Interruption::Epoch)),
        ("wasm", wasm),
    ]
}

/// Calls the filter and shows the verdict.
fn ask(instance: &mut FilterInstance, record: &str) -> String {
    let mut body = Vec::new();
    json::parse_object(record.as_bytes(), &mut body).unwrap();
    let time = Timestamp { sec: 1_700_000_000, nsec: 123_456_789 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &body };
    match instance.ask(&Tag::new("dummy.local").unwrap(), event) {
        Ok(bodies) if bodies.is_empty() => "drop".to_owned(),
        Ok(bodies) => {
            let show = |body: &[u8]| {
                let mut text = Vec::new();
                json::write(body, &mut text, json::JsonOptions::default()).unwrap();
                String::from_utf8(text).unwrap()
            };
            bodies.iter().map(|body| show(body)).collect::<Vec<_>>().join(" | ")
        }
        Err(error) => format!("error: {error}"),
    }
}

/// The same without the form in which nothing keeps a guest from what lies between its own part and the host's.
fn fenced(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    forms(text).into_iter().filter(|(form, _)| *form != "portable").collect()
}

/// What the filter makes of a record, twice; in every form the same.
fn check(text: &str, record: &str, expected: &str) {
    check_in(forms(text), text, record, expected);
}

fn check_in(forms: Vec<(&str, Vec<u8>)>, text: &str, record: &str, expected: &str) {
    for (form, bytes) in forms {
        let mut instance = start(bytes, &options()).unwrap();
        for call in 1..=2 {
            let shown = ask(&mut instance, record);
            assert!(shown.starts_with(expected), "{form}, call {call}: {shown}\nof {text}");
        }
    }
}

/// A load or store in the guest's name reaches nothing that is not its own.
fn check_trap(body: &str) {
    // Only there can the host keep interpreted code from what is within the engine's bounds.
    let text = module(body);
    check_in(fenced(&text), &text, r#"{"a":1}"#, "error: Exception: out of bounds memory access");
}

const FENCED: bool =
    cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));

#[test]
fn a_store_behind_the_guests_memory_traps() {
    if FENCED {
        for address in [65_536, 1 << 20, 200 << 20, (256 << 20) - 4, (256 << 20) + (1 << 20)] {
            check_trap(&format!("(i32.store (i32.const {address}) (i32.const 1))"));
        }
        // Some of it before the end; an address that the compiler does not know.
        check_trap("(i64.store (i32.const 65530) (i64.const 1))");
        check_trap("(i32.store8 (i32.add (local.get $record) (i32.const 65536)) (i32.const 1))");
        check_trap("(drop (i32.load8_u (i32.sub (local.get $tag) (i32.const 1))))");
    }
}

#[test]
fn a_bulk_operation_behind_the_guests_memory_traps() {
    if FENCED {
        check_trap("(memory.fill (i32.const 70000) (i32.const 1) (i32.const 100000))");
        check_trap("(memory.fill (i32.const 60000) (i32.const 1) (i32.const 10000))");
        check_trap("(memory.copy (i32.const 0) (i32.const 70000) (i32.const 1000))");
        check_trap("(memory.copy (i32.const 1000000) (local.get $record) (i32.const 3))");
        check_trap("(memory.init $data (i32.const 65530) (i32.const 0) (i32.const 9))");
    }
}

#[test]
fn a_function_of_the_host_behind_the_guests_memory_traps() {
    if FENCED {
        check_trap("(drop (call $random (i32.const 200000) (i32.const 8)))");
        check_trap("(drop (call $random (i32.const 65532) (i32.const 8)))");
    }
}

#[test]
fn a_guest_that_exits_after_it_reached_behind_its_memory_has_trapped() {
    if FENCED {
        let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
                (memory.copy (i32.const 1000000) (local.get 4) (i32.const 3))
                (call $exit (i32.const 0)) (local.get 4)))"#;
        check_in(fenced(text), text, "{}", "error: Exception: out of bounds memory access");
    }
}

#[test]
fn the_records_own_pages_are_the_guests_while_it_has_them() {
    // Bulk operations and WASI in the record, too: the first letter of the text is the one behind it.
    let body = r"
        (memory.copy (i32.const 100) (local.get $record) (local.get $record_len))
        (memory.copy (i32.add (local.get $record) (i32.const 6)) (i32.const 107) (i32.const 1))
        (i32.store (i32.const 0) (local.get $record))
        (i32.store (i32.const 4) (local.get $record_len))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (if (i32.ne (i32.load (i32.const 8)) (local.get $record_len)) (then unreachable))";
    check(&module(body), r#"{"a":"xyz"}"#, r#"{"a":"yyz"}"#);
}

#[test]
fn what_a_large_record_took_is_given_back() {
    if FENCED {
        // Looks far into the host's pages when the record is small.
        let body = "(if (i32.lt_u (local.get $record_len) (i32.const 100))
            (then (drop (i32.load (i32.add (local.get $record) (i32.const 0x200000))))))";
        let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(4 << 20));
        for (form, bytes) in fenced(&module(body)) {
            let mut instance = start(bytes, &options()).unwrap();
            assert!(ask(&mut instance, &large) == large, "{form}");
            let shown = ask(&mut instance, "{}");
            assert!(shown.contains("out of bounds memory access"), "{form}: {shown}");
            assert!(ask(&mut instance, &large) == large, "{form}");
        }
    }
}

#[test]
fn a_guest_keeps_all_that_it_grew_by_and_no_more() {
    let body = |beyond: u32| {
        module(&format!(
            "(local $old i32)
            (local.set $old (memory.grow (i32.const 3)))
            (if (i32.ne (i32.add (local.get $old) (i32.const 3)) (memory.size)) (then unreachable))
            (memory.fill (i32.mul (local.get $old) (i32.const 65536)) (i32.const 1) (i32.const 196608))
            (i32.store8 (i32.add (i32.mul (memory.size) (i32.const 65536)) (i32.const {beyond})) (i32.const 1))"
        ))
    };
    check(&body(u32::MAX), r#"{"a":1}"#, r#"{"a":1}"#);
    if FENCED {
        let text = body(0);
        check_in(
            fenced(&text),
            &text,
            r#"{"a":1}"#,
            "error: Exception: out of bounds memory access",
        );
    }
    for (form, bytes) in forms(&body(u32::MAX)) {
        let mut instance = start(bytes, &options()).unwrap();
        assert_eq!(instance.memory_size(), 1 << 16, "{form}");
        ask(&mut instance, "{}");
        assert_eq!(instance.memory_size(), 4 << 16, "{form}");
    }
}

#[test]
fn all_memories_of_a_guest_share_the_limit_and_are_counted() {
    let text = r#"(module (memory 1) (memory $other 1) (table 5 65536 funcref)
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (drop (memory.grow (i32.const 2)))
            (drop (memory.grow $other (i32.const 2)))
            (if (i32.ne (i32.const 4) (i32.add (memory.size) (memory.size $other))) (then unreachable))
            (local.get 4)))"#;
    for (form, bytes) in forms(text) {
        let mut instance =
            start(bytes, &FilterOptions { memory_limit: 5 << 16, ..options() }).unwrap();
        assert_eq!(ask(&mut instance, "{}"), "{}", "{form}");
        assert_eq!(instance.memory_size(), 4 << 16, "{form}");
    }
}

#[test]
fn a_start_function_may_grow_the_memory_and_use_it() {
    let text = r#"(module (memory 1)
        (func $start (drop (memory.grow (i32.const 1))) (i32.store (i32.const 131068) (i32.const 7)))
        (start $start)
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (if (i32.ne (i32.load (i32.const 131068)) (i32.const 7)) (then unreachable))
            (local.get 4)))"#;
    check(text, "{}", "{}");
}

const F: &str = r#"(func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 4))"#;
const MALLOC: &str = r#"(func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "free") (param i32))"#;
const NEW: &str = r#"(func (export "__new") (param i32 i32) (result i32) (i32.const 1024))
    (func (export "__pin") (param i32) (result i32) (local.get 0)) (func (export "__unpin") (param i32))"#;

#[test]
fn a_start_size_over_the_limit_is_refused_whatever_the_layout() {
    let memories = [
        r"(memory 30000)",
        r"(memory 4000) (memory 97)",
        r#"(import "env" "memory" (memory 30000))"#,
    ];
    for memory in memories {
        for allocator in ["", MALLOC, NEW] {
            let text = format!("(module {memory} {allocator} {F})");
            for (form, bytes) in forms(&text) {
                let error = start(bytes, &options()).unwrap_err().to_string();
                let shown = format!("{form}: {error}\nof {text}");
                assert!(error.contains("its memory starts with "), "{shown}");
                assert!(
                    error.contains("Memory_Limit is 268435456; help: raise Memory_Limit, or build"),
                    "{shown}"
                );
            }
        }
    }
    let raised = FilterOptions { memory_limit: 2 << 30, ..options() };
    let wasm = wat::parse_str(format!("(module (memory 30000) {F})")).unwrap();
    assert_eq!(ask(&mut start(wasm, &raised).unwrap(), "{}"), "{}");
}

#[test]
fn an_answer_outside_the_guests_memory_and_its_arguments_is_none() {
    let outside = "error: returned value is invalid: ";
    for answer in [
        "(i32.const 65536)",
        "(i32.const 1000000)",
        "(i32.const -1)",
        "(i32.add (local.get $record) (i32.const 8))",
        "(i32.add (local.get $tag) (i32.const 12))",
        "(i32.sub (local.get $tag) (i32.const 1))",
    ] {
        check(&module(&format!("(return {answer})")), r#"{"a":1}"#, outside);
    }
    check(&module("(return (i32.const 65535))"), "{}", "drop");
    check(&module("(return (i32.add (local.get $record) (i32.const 5)))"), r#"{"a":{}}"#, "{}");
    check(&module("(return (i32.add (local.get $record) (i32.const 7)))"), r#"{"a":1}"#, "drop");
}

#[test]
fn an_answer_in_msgpack_that_runs_past_its_argument_is_none() {
    // A map of 16 pairs becomes one of millions.
    let body = "(i32.store8 (local.get $record) (i32.const 0xdf))";
    let pairs: Vec<String> = (0..16).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let record = format!("{{{}}}", pairs.join(","));
    for (form, bytes) in forms(&module(body)) {
        let options = FilterOptions { format: EventFormat::Msgpack, ..options() };
        let mut instance = start(bytes, &options).unwrap();
        let shown = ask(&mut instance, &record);
        assert!(shown.starts_with("error: invalid msgpack: "), "{form}: {shown}");
    }
}

#[test]
fn an_imported_memory_is_the_guests_own_within_the_limit() {
    let import = r#"(import "env" "memory" (memory 1 9))"#;
    for allocator in ["", MALLOC] {
        let text = format!(
            r#"(module {import} {allocator}
                (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
                    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                    (if (i32.ne (memory.size) (i32.const 4)) (then unreachable))
                    (i32.store8 (i32.const 262143) (i32.const 1))
                    (local.get 4)))"#
        );
        for (form, bytes) in forms(&text) {
            let options = FilterOptions { memory_limit: 4 << 16, ..options() };
            assert_eq!(ask(&mut start(bytes, &options).unwrap(), "{}"), "{}", "{form}");
        }
    }
}

#[test]
fn a_shared_memory_is_the_guests_own_whatever_the_layout() {
    for memories in ["(memory 1 4 shared)", "(memory 1) (memory 1 4 shared)"] {
        for allocator in ["", MALLOC, NEW] {
            check(&format!("(module {memories} {allocator} {F})"), "{}", "{}");
        }
    }
}

#[test]
fn functions_that_older_toolchains_took_for_wasi_are_there() {
    // 1: seeking, whose parts have other numbers; 2: a clock to wait for, in the older form, for a millisecond.
    let text = r#"(module
        (import "wasi_unstable" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
        (import "wasi_unstable" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_unstable" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_unstable" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (if (i32.ne (call $seek (i32.const 9) (i64.const 0) (i32.const 0) (i32.const 0)) (i32.const 8))
                (then unreachable))
            (if (call $clock (i32.const 1) (i64.const 0) (i32.const 0)) (then unreachable))
            (if (call $random (i32.const 0) (i32.const 8)) (then unreachable))
            (i32.store (i32.const 124) (i32.const 1))
            (i64.store (i32.const 132) (i64.const 1000000))
            (if (call $poll (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 300)) (then unreachable))
            (if (i32.ne (i32.load (i32.const 300)) (i32.const 1)) (then unreachable))
            (local.get 4)))"#;
    check(text, "{}", "{}");
}

#[test]
fn functions_of_wasi_that_nobody_provides_are_named() {
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "sock_open" (func (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sock_accept" (func (param i32 i32 i32) (result i32)))
            (import "wasi_unstable" "fd_fly" (func)) (import "env" "abort" (func (param i32 i32 i32 i32)))
            (memory (export "memory") 1) {F})"#
    );
    let mut instance = start(wat::parse_str(text).unwrap(), &options()).unwrap();
    assert_eq!(ask(&mut instance, "{}"), "{}");
    let unknown = instance.module().unknown_imports();
    assert_eq!(unknown, ["wasi_snapshot_preview1.sock_open", "wasi_unstable.fd_fly"]);
    let asked =
        [("wasi_snapshot_preview1", "sock_open"), ("wasi_snapshot_preview1", "sock_accept")];
    let unprovided = flb_runtime::unprovided(asked).unwrap();
    assert_eq!(unprovided, ["wasi_snapshot_preview1.sock_open"]);
}
