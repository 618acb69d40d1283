//! A filter answers the same at every level, natively and interpreted.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_artifact::{Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp, json};
use flb_runtime::{EngineOptions, FilterEngine, FilterModule, FilterOptions};

/// An example filter by its name.
macro_rules! example {
    ($name:literal) => {
        include_bytes!(concat!("../../../examples/filters/", $name, ".wasm"))
    };
}

fn all_levels() -> impl Iterator<Item = Levels> {
    (0..16).map(|number| Levels { opt_level: number / 4, size_level: number % 4 })
}

fn compile(wasm: &[u8], target: Target, levels: Levels) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels,
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.compile(wasm).unwrap()
}

/// Records of every kind that JSON has, of many lengths.
fn records() -> Vec<String> {
    let mut records: Vec<String> = [
        "{}",
        r#"{"log":"GET /index.html HTTP/1.1\" 200 \\ \u00e9\u4e16 \ud83d\ude00"}"#,
        r#"{"a":[1,2.5,-3e10,true,false,null,{"b":{"c":[]}}],"level":"error","code":500}"#,
        r#"{"password":"secret","user":"u","ip":"192.168.1.77","mail":"a@b.example"}"#,
    ]
    .map(str::to_owned)
    .into();
    records.extend((0..12).map(|n| format!(r#"{{"n":{n},"text":"{}"}}"#, "ab\\n".repeat(n * n))));
    records
}

/// All answers of a filter, as text.
fn answers(bytes: Vec<u8>, function: &str) -> Vec<String> {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let deadline = std::time::Duration::from_secs(20);
    let options = FilterOptions { deadline, ..FilterOptions::new(function) };
    let mut instance = FilterModule::load(&engine, bytes, options).unwrap().instantiate().unwrap();
    let time = Timestamp { sec: 1_700_000_000, nsec: 123_456_789 };
    let tag = Tag::new("app.web").unwrap();
    let answer = |record: &String| {
        let mut body = Vec::new();
        json::parse_object(record.as_bytes(), &mut body).unwrap();
        let event = Event { time, metadata: Event::NO_METADATA, body: &body };
        format!("{:?}", instance.ask(&tag, event))
    };
    records().iter().map(answer).collect()
}

fn check(wasm: &[u8], function: &str) {
    let reference = Levels { opt_level: 0, size_level: 0 };
    let expected = answers(compile(wasm, Target::host().unwrap(), reference), function);
    assert!(expected.iter().any(|answer| answer != &expected[0]), "{expected:?}");
    for levels in all_levels() {
        let found = answers(compile(wasm, Target::host().unwrap(), levels), function);
        assert_eq!(found, expected, "{levels:?}");
    }
    let portable = Target::parse("portable", None, None).unwrap();
    for levels in [reference, Levels { opt_level: 3, size_level: 3 }] {
        let found = answers(compile(wasm, portable.clone(), levels), function);
        assert_eq!(found, expected, "{levels:?}, interpreted");
    }
}

#[test]
fn c_enrich_answers_the_same_at_every_level() {
    check(example!("c-enrich"), "c_filter");
}

#[test]
fn c_plain_answers_the_same_at_every_level() {
    check(example!("c-plain"), "c_filter");
}

#[test]
fn rust_enrich_answers_the_same_at_every_level() {
    check(example!("rust-enrich"), "rust_filter");
}

#[test]
fn filters_that_hash_answer_the_same_at_every_level() {
    check(example!("c-sha256"), "c_sha256");
    check(example!("rust-sha256"), "rust_sha256");
}

#[test]
fn rust_redact_answers_the_same_at_every_level() {
    check(example!("rust-redact"), "rust_redact");
}

#[test]
fn zig_enrich_answers_the_same_at_every_level() {
    check(example!("zig-enrich"), "zig_filter");
}

/// A filter that sums the record's bytes by `body` and answers with 16 letters that tell the sum.
fn kernel(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (memory 1) (data (i32.const 16) "{{\"n\":\"................\"}}\00")
            (func $unused (result i32) (call $digit (i64.const 1)))
            (func $digit (param i64) (result i32)
                (i32.add (i32.const 97) (i32.wrap_i64 (i64.and (local.get 0) (i64.const 15)))))
            (func (export "f") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
                (param $at i32) (param $left i32) (result i32)
                (local $sum i64) (local $byte i32) (local $i i32)
                (block $done
                    (loop $next
                        (br_if $done (i32.eqz (local.get $left)))
                        (local.set $byte (i32.load8_u (local.get $at)))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                        {body}
                        (br $next)))
                (loop $write
                    (i32.store8 offset=22 (local.get $i) (call $digit (local.get $sum)))
                    (local.set $sum (i64.shr_u (local.get $sum) (i64.const 4)))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $write (i32.lt_u (local.get $i) (i32.const 16))))
                (i32.const 16)))"#
    );
    wat::parse_str(text).unwrap()
}

const ADD: &str = "(local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31)) \
     (i64.extend_i32_u (local.get $byte))))";

#[test]
fn a_sum_over_bytes_is_the_same_at_every_level() {
    check(&kernel(ADD), "f");
}

#[test]
fn a_switch_over_bytes_is_the_same_at_every_level() {
    // Ways by character class, with runs of every length.
    let ways: Vec<&str> = (0..128)
        .map(|byte: u8| match byte {
            b'"' | b'\\' => "$quote",
            0..32 => "$control",
            b'0'..=b'9' => "$digit_way",
            b'{' | b'}' | b'[' | b']' => "$bracket",
            _ => "$plain",
        })
        .collect();
    let switch = format!(
        "(block $plain (block $bracket (block $digit_way (block $control (block $quote
            (br_table {} $plain (local.get $byte)))
            (local.set $sum (i64.rotl (local.get $sum) (i64.const 7))) (br $next))
            (local.set $sum (i64.sub (local.get $sum) (i64.const 3))) (br $next))
            (local.set $sum (i64.xor (local.get $sum) (i64.const 0x55))) (br $plain))
            (local.set $sum (i64.mul (local.get $sum) (i64.const 17))))
            {ADD}",
        ways.join(" ")
    );
    check(&kernel(&switch), "f");
}

#[test]
fn loops_in_loops_are_the_same_at_every_level() {
    let nested = format!(
        "(local.set $i (i32.const 0))
        (block $out (loop $inner
            (br_if $next (i32.and (i32.eq (local.get $byte) (i32.const 97)) (i32.gt_u (local.get $i) (i32.const 2))))
            (br_if $out (i32.ge_u (local.get $i) (i32.and (local.get $byte) (i32.const 15))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            {ADD}
            (br_if $inner (i32.ne (local.get $i) (i32.const 13)))
            (local.set $sum (i64.rotl (local.get $sum) (i64.const 3)))))
        (local.set $i (i32.const 0))"
    );
    check(&kernel(&nested), "f");
}
