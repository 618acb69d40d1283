//! Modules that wasm-smith makes of random bytes: whatever they do, the books balance.

use arbitrary::Unstructured;
use flb_plugin::Tally;
use flb_runtime::Failure;
use wasm_smith::{Config, Module};

use crate::world::{Dice, World};

/// What a module exports: a filter, with or without an allocator.
const SHAPES: [&str; 4] = [
    r#"(module (memory (export "memory") 1 4) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#,
    r#"(module (memory (export "memory") 1 4) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
        (func (export "malloc") (param i32) (result i32) unreachable) (func (export "free") (param i32)))"#,
    r#"(module (memory (export "memory") 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
        (func (export "malloc") (param i32) (result i32) unreachable) (func (export "free") (param i32))
        (func (export "flb_free_result") (param i32)))"#,
    r#"(module (memory (export "memory") 1 4) (func (export "flb_batch_1")) (func (export "f") (param i32) (result i32) unreachable)
        (func (export "flb_start") (param i32) (result i32) unreachable))"#,
];

fn module(dice: &mut Dice) -> Vec<u8> {
    let bytes: Vec<u8> = (0..2_000).map(|_| dice.next() as u8).collect();
    let shape = SHAPES[dice.below(SHAPES.len() as u64) as usize];
    let config = Config {
        exports: Some(wat::parse_str(shape).unwrap()),
        available_imports: Some(wat::parse_str(IMPORTS).unwrap()),
        max_imports: 6,
        max_memory32_bytes: 1 << 22,
        memory64_enabled: false,
        gc_enabled: false,
        custom_page_sizes_enabled: false,
        shared_everything_threads_enabled: false,
        wide_arithmetic_enabled: false,
        threads_enabled: false,
        allow_start_export: dice.below(8) == 0,
        ..Config::default()
    };
    Module::new(config, &mut Unstructured::new(&bytes)).unwrap().to_bytes()
}

/// Calls out of the sandbox.
const IMPORTS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
    (import "flb" "json" (func (param i32 i32 i32 i32) (result i32)))
    (import "flb" "sha256" (func (param i32 i32 i32)))
    (import "flb" "counter" (func (param i32 i32) (result i32)))
    (import "flb" "observe" (func (param i32 f64))))"#;

/// Runs so many modules, each on so many records; returns the books and how many modules did not start.
fn run(modules: u64, records: usize, seed: u64) -> (Tally, u64) {
    let world = World::new();
    let mut dice = Dice::new(seed);
    let (mut all, mut refused) = (Tally::default(), 0);
    for number in 0..modules {
        let wasm = module(&mut dice);
        let format = if number % 2 == 0 { "json" } else { "msgpack" };
        let properties = format!(
            "    Event_Format {format}\n    Deadline 0.001\n    Memory_Limit 4M\n    Recycle 50\n    On_Error drop\n"
        );
        let Ok(mut filter) = world.filter(&wasm, &properties) else {
            refused += 1;
            continue;
        };
        let mut left = records;
        while left > 0 {
            let batch = left.min(100);
            let bodies = vec![&b"\x82\xa1a\x01\xa1b\xa3xyz"[..]; batch];
            let tally = world.run_at_any_time(filter.as_mut(), bodies);
            all.add(&tally);
            left -= batch;
            // One that loops in every call has shown what it does.
            if world.failed(Failure::Deadline) > 10 {
                break;
            }
        }
    }
    println!("{modules} modules, {refused} refused: {all:?}");
    (all, refused)
}

#[test]
fn random_modules_do_no_harm() {
    let (tally, refused) = run(40, 500, 7);
    assert!(refused < 20 && tally.records() > 5_000, "{refused} refused, {tally:?}");
}

#[test]
#[ignore = "slow tier: millions of calls"]
fn random_modules_do_no_harm_by_the_million() {
    let (tally, _) = run(3_000, 1_000, 1_000);
    assert!(tally.records() > 1_000_000, "{tally:?}");
}
