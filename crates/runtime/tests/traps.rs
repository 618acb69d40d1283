//! Traps without signals: code that compares raises each of them, and an engine for such code takes no other.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use std::time::Duration;

use flb_artifact::{Artifact, Interruption, Levels, Target, Traps};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp};
use flb_runtime::{
    EngineOptions, FilterEngine, FilterError, FilterModule, FilterOptions, LoadError,
};

fn compile(wasm: &[u8], target: Target, traps: Traps) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 2, size_level: 2 },
        embed_wasm: true,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.trapping(traps).compile(wasm).unwrap()
}

fn load(bytes: Vec<u8>, traps: Traps) -> Result<FilterModule, LoadError> {
    let engine = FilterEngine::new(EngineOptions { traps, ..EngineOptions::default() }).unwrap();
    let options = FilterOptions { deadline: Duration::from_millis(300), ..FilterOptions::new("f") };
    FilterModule::load(&engine, bytes, options)
}

fn ask(module: &FilterModule) -> Result<Vec<Vec<u8>>, FilterError> {
    let mut instance = module.instantiate().unwrap();
    let time = Timestamp { sec: 1, nsec: 2 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
    let tag = Tag::new("t").unwrap();
    let first = instance.ask(&tag, event);
    let second = instance.ask(&tag, event);
    assert_eq!(first, second, "another guest does the same");
    first
}

/// A filter with this body.
fn module(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (memory 1) (table 2 funcref) (type $other (func (param f32))) (elem (i32.const 0) func $deep)
            (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) {body}))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn code_that_compares_raises_every_trap() {
    for (body, expected) in [
        ("unreachable", "unreachable"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero"),
        ("(i32.rem_s (i32.const 1) (i32.const 0))", "divide by zero"),
        ("(i32.div_s (i32.const 0x80000000) (i32.const -1))", "integer overflow"),
        ("(i32.trunc_f32_s (f32.const nan))", "conversion to integer"),
        ("(i32.load (i32.const 0x7ffffff0))", "out of bounds memory"),
        ("(i32.store8 (i32.const -1) (i32.const 1)) (i32.const 0)", "out of bounds memory"),
        (
            "(i64.store offset=0xfffffff8 (i32.const 0) (i64.const 1)) (i32.const 0)",
            "out of bounds memory",
        ),
        (
            "(memory.fill (i32.const 0x7ffffff0) (i32.const 1) (i32.const 9)) (i32.const 0)",
            "out of bounds memory",
        ),
        (
            "(call_indirect (param i32) (result i32) (i32.const 1) (i32.const 7))",
            "undefined element",
        ),
        (
            "(call_indirect (param i32) (result i32) (i32.const 1) (i32.const 1))",
            "uninitialized element",
        ),
        (
            "(call_indirect (type $other) (f32.const 1) (i32.const 0)) (i32.const 0)",
            "type mismatch",
        ),
        ("(call $deep (i32.const 0))", "stack overflow"),
        ("(loop (br 0)) (unreachable)", "longer than its deadline"),
    ] {
        let wasm = module(body);
        let artifact = compile(&wasm, Target::host().unwrap(), Traps::Explicit);
        let slice = Artifact::parse(artifact.clone()).unwrap().metadata().slices[0].clone();
        assert!(!slice.engine.needs_signals(), "{body}");
        assert_eq!((slice.engine.interruption, slice.no_signals), (Interruption::Epoch, None));
        let portable = Target::parse("portable", None, None).unwrap();
        let portable = compile(&wasm, portable, Traps::Explicit);
        for bytes in [artifact, portable, wasm] {
            let module = load(bytes, Traps::Explicit).unwrap();
            assert_eq!(module.notes(), [""; 0]);
            let error = ask(&module).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }
}

#[test]
fn code_that_needs_signals_is_refused_where_traps_are_explicit() {
    let wasm = module("(i32.const 0)");
    let signals = compile(&wasm, Target::host().unwrap(), Traps::Signal);
    let error = load(signals, Traps::Explicit).unwrap_err();
    assert_eq!(error, LoadError::Traps);
    assert!(error.to_string().contains("flb-wamrc --traps=explicit"), "{error}");
}

#[test]
fn code_that_needs_no_signals_runs_everywhere() {
    let wasm = module("(i32.load (i32.const 0x10000))");
    let portable = compile(&wasm, Target::parse("portable", None, None).unwrap(), Traps::Signal);
    let native = compile(&wasm, Target::host().unwrap(), Traps::Explicit);
    for (bytes, is_native) in [(portable, false), (native, true)] {
        // What lies behind the guest's own memory is nobody's: it holds zeros, and the answer is no address.
        let answer = ask(&load(bytes.clone(), Traps::Explicit).unwrap());
        assert_eq!(answer, Ok(Vec::new()));
        // Where signals may be handled it is a trap in native code.
        let answer = ask(&load(bytes, Traps::Signal).unwrap());
        let error = answer.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error.contains("out of bounds memory"), is_native, "{error}");
    }
}
