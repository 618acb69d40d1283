//! What a deadline ends: every way to run for ever, as a module. No time is asserted: what is not ended hangs.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use std::time::Duration;

use flb_artifact::{Artifact, Interruption, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp};
use flb_runtime::{EngineOptions, FilterEngine, FilterError, FilterModule, FilterOptions};

const KINDS: [Interruption; 2] = [Interruption::Signal, Interruption::Epoch];

fn compile(wasm: &[u8], kind: Interruption) -> Vec<u8> {
    compile_for(Target::host().unwrap(), wasm, kind)
}

fn compile_for(target: Target, wasm: &[u8], kind: Interruption) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 2, size_level: 2 },
        embed_wasm: true,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.interrupted_by(kind).compile(wasm).unwrap()
}

/// How the code of the artifact's only slice is interrupted.
fn interruption(artifact: &[u8]) -> Interruption {
    let artifact = Artifact::parse(artifact.to_vec()).unwrap();
    artifact.metadata().slices[0].engine.interruption
}

fn options() -> FilterOptions {
    FilterOptions { deadline: Duration::from_millis(20), ..FilterOptions::new("f") }
}

/// Calls the filter twice: after the first end, another guest begins.
fn call(bytes: Vec<u8>) -> [FilterError; 2] {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let module = FilterModule::load(&engine, bytes, options()).unwrap();
    assert_eq!(module.notes(), [""; 0]);
    let mut instance = module.instantiate().unwrap();
    let time = Timestamp { sec: 1, nsec: 2 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
    let tag = Tag::new("t").unwrap();
    [(); 2].map(|()| instance.ask(&tag, event).unwrap_err())
}

fn is_deadline(error: &FilterError) -> bool {
    matches!(error, FilterError::Deadline { milliseconds: 20, .. })
}

fn check_module(text: &str) {
    let wasm = wat::parse_str(text).unwrap();
    for kind in KINDS {
        let artifact = compile(&wasm, kind);
        assert_eq!(interruption(&artifact), kind, "{text}");
        assert!(call(artifact).iter().all(is_deadline), "{kind}: {text}");
    }
    let portable = Target::parse("portable", None, None).unwrap();
    let artifact = compile_for(portable, &wasm, Interruption::Epoch);
    assert!(call(artifact).iter().all(is_deadline), "portable: {text}");
}

/// A filter with this body and these other items. It has two memories, of which the second one really grows.
fn check(items: &str, body: &str) {
    check_module(&format!(
        r#"(module {items} (memory (export "memory") 40) (memory $m 1 2) (table $t 1000 funcref)
            (global $g (mut i32) (i32.const 0))
            (elem declare func $f)
            (func $f (export "f") (param $a i32) (param $b i32) (param $c i32) (param $d i32)
                (param $e i32) (param $n i32) (result i32) (local $i i32) (local $v v128) {body}))"#
    ));
}

#[test]
fn a_loop_is_ended() {
    check("", "(loop (br 0)) unreachable");
}

#[test]
fn a_counting_loop_is_ended() {
    let count = "(local.tee $i (i32.add (local.get $i) (i32.const 1)))";
    check("", &format!("(loop {count} drop (br 0)) unreachable"));
    check("", &format!("(loop (br_if 0 (i32.or {count} (i32.const 1)))) (i32.const 0)"));
}

#[test]
fn a_loop_over_memory_is_ended() {
    let next = "(local.set $i (i32.and (i32.add (local.get $i) (i32.const 8)) (i32.const 0xfff8)))";
    check("", &format!("(loop {next} (drop (i32.load (local.get $i))) (br 0)) unreachable"));
    let add = "(i32.store (local.get $i) (i32.add (i32.load (local.get $i)) (i32.const 1)))";
    check("", &format!("(loop {next} {add} (br 0)) unreachable"));
}

#[test]
fn a_loop_over_a_global_is_ended() {
    let add = "(global.set $g (i32.add (global.get $g) (i32.const 1)))";
    check("", &format!("(loop {add} (br 0)) unreachable"));
}

#[test]
fn a_loop_of_divisions_is_ended() {
    let divide = "(local.set $i (i32.div_u (i32.const 99) (i32.or (local.get $i) (i32.const 1))))";
    check("", &format!("(loop {divide} (br 0)) unreachable"));
}

#[test]
fn a_loop_over_vectors_is_ended() {
    let add = "(local.set $v (i32x4.add (local.get $v) (i32x4.splat (local.get $i))))";
    check("", &format!("(loop {add} (br 0)) unreachable"));
}

#[test]
fn loops_in_a_loop_without_stores_are_ended() {
    let inner = "(local.set $i (i32.const 1000))
        (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))";
    check("", &format!("(loop {inner} (br 0)) unreachable"));
}

#[test]
fn recursion_without_end_in_time_is_ended() {
    let fib = "(func $fib (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
            (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                (call $fib (i32.sub (local.get 0) (i32.const 2)))))))";
    check(fib, "(call $fib (i32.const 90))");
    check(
        "(type $fib (func (param i32) (result i32)))
        (func $fib (type $fib)
            (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
                (else (i32.add
                    (call_indirect $t (type $fib) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))
                    (call_indirect $t (type $fib) (i32.sub (local.get 0) (i32.const 2)) (i32.const 0))))))
        (elem (table $t) (i32.const 0) func $fib)",
        "(call $fib (i32.const 90))",
    );
}

#[test]
fn recursion_without_end_is_a_stack_overflow() {
    let text = r#"(module (memory 1) (func $deep (param i32) (result i32)
            (i32.add (call $deep (local.get 0)) (i32.const 1)))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (call $deep (i32.const 0))))"#;
    for kind in KINDS {
        for error in call(compile(&wat::parse_str(text).unwrap(), kind)) {
            assert!(error.to_string().contains("stack overflow"), "{kind}: {error}");
        }
    }
}

#[test]
fn tail_calls_in_a_circle_are_ended() {
    check(
        "(func $a (param i32 i32 i32 i32) (result i32) (return_call $b (local.get 3) (local.get 0)))
        (func $b (param i32 i32) (result i32)
            (return_call $a (local.get 0) (local.get 1) (local.get 0) (local.get 1)))",
        "(call $b (i32.const 1) (i32.const 2))",
    );
}

#[test]
fn bulk_operations_in_a_loop_are_ended() {
    for (operation, length) in [
        ("memory.fill (i32.const 0) (i32.const 1) (local.get $i)", 1 << 16),
        ("memory.fill (i32.const 0) (i32.const 1) (local.get $i)", 1 << 21),
        ("memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)", 0),
        ("memory.copy (i32.const 64) (i32.const 0) (local.get $i)", 1 << 16),
        ("memory.copy (i32.const 0) (i32.const 64) (local.get $i)", 1 << 21),
        ("memory.copy $m 0 (i32.const 0) (i32.const 64) (local.get $i)", 1 << 16),
        ("table.fill $t (i32.const 0) (ref.null func) (local.get $i)", 1000),
        ("table.copy $t $t (i32.const 0) (i32.const 1) (local.get $i)", 999),
    ] {
        check(
            "",
            &format!("(local.set $i (i32.const {length})) (loop ({operation}) (br 0)) unreachable"),
        );
    }
}

#[test]
fn growing_by_nothing_for_ever_is_ended() {
    check("", "(loop (drop (memory.grow 0 (i32.const 0))) (br 0)) unreachable");
    check("", "(loop (drop (memory.grow $m (i32.const 0))) (br 0)) unreachable");
    check("", "(loop (drop (memory.grow $m (i32.const 70000))) (br 0)) unreachable");
    check("", "(loop (drop (table.grow $t (ref.null func) (i32.const 0))) (br 0)) unreachable");
}

#[test]
fn references_of_functions_in_a_loop_are_ended() {
    check("", "(loop (table.set $t (local.get $i) (ref.func $f)) (br 0)) unreachable");
}

#[test]
fn a_guest_with_malloc_is_ended_in_it() {
    let module = |malloc: &str, f: &str| {
        format!(
            r#"(module (memory 1)
            (func (export "malloc") (param i32) (result i32) {malloc})
            (func (export "free") (param i32))
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) {f}))"#
        )
    };
    let ever = "(loop (br 0)) unreachable";
    check_module(&module(ever, "(i32.const 0)"));
    check_module(&module("(i32.const 1024)", ever));
    let grow = "(loop (drop (memory.grow (i32.const 0))) (br 0)) unreachable";
    check_module(&module("(i32.const 1024)", grow));
}

#[test]
fn a_guest_with_a_memory_of_64_bits_is_ended() {
    check_module(
        r#"(module (memory i64 1)
            (func (export "malloc") (param i32) (result i32) (i32.const 1024))
            (func (export "free") (param i32))
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
                (loop (memory.fill (i64.const 0) (i32.const 0) (i64.const 65536)) (br 0)) unreachable))"#,
    );
}

#[test]
fn a_start_function_is_ended() {
    let filter =
        r#"(func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0))"#;
    for body in [
        "(loop (br 0))",
        "(loop (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)) (br 0))",
    ] {
        for start in ["(start $s)", r#"(export "_initialize" (func $s))"#] {
            let text = format!("(module (memory 1) {start} (func $s {body}) {filter})");
            for kind in KINDS {
                let bytes = compile(&wat::parse_str(&text).unwrap(), kind);
                let engine = FilterEngine::new(EngineOptions::default()).unwrap();
                let module = FilterModule::load(&engine, bytes, options()).unwrap();
                let error = module.instantiate().unwrap_err().to_string();
                assert!(error.contains("longer than its deadline of 20 ms"), "{kind}: {error}");
            }
        }
    }
}

#[test]
fn a_loop_of_host_calls_is_ended() {
    let import = |name: &str, ty: &str| {
        format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $host {ty}))"#)
    };
    // In a table, too: who calls it is not to be seen from the call.
    let items = format!(
        "{} (elem (table $t) (i32.const 0) func $host)",
        import("clock_time_get", "(param i32 i64 i32) (result i32)")
    );
    let ask = "(i32.const 1) (i64.const 0) (i32.const 8)";
    check(&items, &format!("(loop (drop (call $host {ask})) (br 0)) unreachable"));
    let indirect = "(call_indirect $t (param i32 i64 i32) (result i32)";
    check(&items, &format!("(loop (drop {indirect} {ask} (i32.const 0))) (br 0)) unreachable"));
    let yields = import("sched_yield", "(result i32)");
    check(&yields, "(loop (drop (call $host)) (br 0)) unreachable");
}

#[test]
fn a_guest_that_sleeps_is_ended_in_its_sleep() {
    let import = r#"(import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))"#;
    // An hour, then for ever, by the clock of the wall.
    for (clock, nanoseconds, flags) in [(1, 3_600_000_000_000_i64, 0), (0, i64::MAX, 1)] {
        let sleep = format!(
            "(i32.store (i32.const 16) (i32.const {clock})) (i64.store (i32.const 24) (i64.const {nanoseconds}))
            (i32.store (i32.const 40) (i32.const {flags}))
            (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))"
        );
        check(import, &sleep);
    }
}

/// What signals cannot end is compiled for epochs, and says so.
#[test]
fn code_that_signals_cannot_end_is_ended_by_epochs() {
    for (items, body) in [
        ("(tag $e)", "(loop (block (try_table (catch_all 0) (throw $e))) (br 0)) unreachable"),
        ("(table $x 1 externref)", "(loop (br 0)) unreachable"),
        (
            "(func $many (param i32 i32 i32 i32 i32) (result i32) (return_call $many
                (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))",
            "(call $many (local.get $a) (local.get $a) (local.get $a) (local.get $a) (local.get $a))",
        ),
    ] {
        let text = format!(
            r#"(module (memory 1) {items}
                (func (export "f") (param $a i32) (param i32 i32 i32 i32 i32) (result i32) {body}))"#
        );
        let bytes = compile(&wat::parse_str(&text).unwrap(), Interruption::Signal);
        assert_eq!(interruption(&bytes), Interruption::Epoch, "{text}");
        let slice = Artifact::parse(bytes.clone()).unwrap().metadata().slices[0].clone();
        assert!(slice.no_signals.is_some(), "{text}");
        assert!(call(bytes).iter().all(is_deadline), "{text}");
    }
}

#[test]
fn where_signals_may_not_be_used_the_module_inside_is_compiled_for_epochs() {
    let text = r#"(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
        (loop (br 0)) unreachable))"#;
    let wasm = wat::parse_str(text).unwrap();
    let artifact = compile(&wasm, Interruption::Signal);
    let engine = || {
        FilterEngine::new(EngineOptions { no_signals: true, ..EngineOptions::default() }).unwrap()
    };
    let load = |bytes| FilterModule::load(&engine(), bytes, options());
    let module = load(artifact).unwrap();
    let notes = module.notes().join("\n");
    assert!(notes.contains("signals cannot end its calls here: they are switched off"), "{notes}");
    assert_eq!(load(wasm.clone()).unwrap().notes(), [""; 0]);
    let mut instance = module.instantiate().unwrap();
    let time = Timestamp { sec: 1, nsec: 2 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
    let error = instance.ask(&Tag::new("t").unwrap(), event).unwrap_err();
    assert!(is_deadline(&error), "{error}");

    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 2, size_level: 2 },
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs: 1,
    });
    let error = load(compiler.compile(&wasm).unwrap()).unwrap_err().to_string();
    assert!(error.contains("compile it with flb-wamrc --interruption=epoch"), "{error}");
}

#[test]
fn code_without_interruption_runs_and_says_so() {
    let text = r#"(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.const 0)))"#;
    let bytes = compile(&wat::parse_str(text).unwrap(), Interruption::None);
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let module = FilterModule::load(&engine, bytes, options()).unwrap();
    assert!(module.notes()[0].contains("no deadline ends its calls"), "{:?}", module.notes());
    let mut instance = module.instantiate().unwrap();
    let time = Timestamp { sec: 1, nsec: 2 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
    assert!(instance.ask(&Tag::new("t").unwrap(), event).unwrap().is_empty());
}
