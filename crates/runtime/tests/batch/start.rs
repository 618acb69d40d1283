//! What a guest is told at its start, and how it refuses it.

use std::time::Duration;

use flb_event::msgpack;
use flb_runtime::{FilterModule, FilterOptions};

use crate::answered::{Fate, ask};
use crate::script::batch;
use crate::{engine, files, options, start_with};

/// Replaces each record by the configuration's map, which it finds by way of the batch, and so after every call.
const CONFIG: &str = r#"(module (memory (export "memory") 1)
  (func (export "flb_batch_1"))
  (func (export "filter") (param $batch i32) (result i32)
    (local $next i32) (local $rec i32) (local $start i32)
    (local.set $start (i32.load offset=60 (local.get $batch)))
    (loop $records
      (i32.store offset=12 (local.get $batch) (local.get $next))
      (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
        (local.set $rec (i32.add (i32.load offset=16 (local.get $batch)) (i32.mul (local.get $next) (i32.const 32))))
        (i32.store offset=20 (local.get $rec) (i32.const 3))
        (i32.store offset=24 (local.get $rec) (i32.load offset=8 (local.get $start)))
        (i32.store offset=28 (local.get $rec) (i32.load offset=12 (local.get $start)))
        (local.set $next (i32.add (local.get $next) (i32.const 1)))
        (br $records))))
    (i32.const 0)))"#;

#[test]
fn a_guest_finds_its_configuration_whenever_it_looks() {
    let config = vec![("limit".to_owned(), "7".to_owned()), ("a.b".to_owned(), String::new())];
    let mut large = b"\x81\xa1a\xc6\0\x20\0\0".to_vec();
    large.resize(8 + (2 << 20), b'x');
    for (kind, file) in files(&wat::parse_str(CONFIG).unwrap()) {
        let options = FilterOptions { config: config.clone(), ..options() };
        let mut instance = start_with(file, options);
        for body in [&[0x80][..], &large, &[0x80]] {
            let fates = ask(&mut instance, &batch(&[(0, body), (0, &[0x80])]));
            for fate in fates {
                let Fate::Became(made) = fate else { panic!("{kind}: {fate:?}") };
                assert_eq!(made[0].body, b"\x82\xa5limit\xa17\xa3a.b\xa0", "{kind}");
            }
        }
    }
}

#[test]
fn a_configuration_has_its_bound() {
    for (size, fits) in [(200 << 10, true), (300 << 10, false)] {
        let config = vec![("list".to_owned(), "x".repeat(size))];
        let options = FilterOptions { config, ..options() };
        let module = FilterModule::load(&engine(), wat::parse_str(CONFIG).unwrap(), options);
        let started = module.unwrap().instantiate();
        match started {
            Ok(mut instance) => {
                assert!(fits);
                let fates = ask(&mut instance, &batch(&[(0, &[0x80][..]); 4096]));
                assert!(fates.iter().all(|fate| matches!(fate, Fate::Became(_))));
            }
            Err(error) => {
                assert!(!fits, "{error}");
                assert!(error.to_string().contains("262144 are the most"), "{error}");
            }
        }
    }
}

/// A guest whose start does this with the start block, `$at`.
fn starting(code: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 8) "no limit is set")
          (func (export "flb_batch_1"))
          (func (export "flb_start") (param $at i32) (result i32) {code})
          (func $reason (param $at i32)
            (i32.store offset=32 (local.get $at) (i32.const 8)) (i32.store offset=36 (local.get $at) (i32.const 15)))
          (func (export "filter") (param $batch i32) (result i32)
            (i32.store offset=12 (local.get $batch) (i32.load offset=8 (local.get $batch)))
            (i32.const 0)))"#
    ))
    .unwrap()
}

#[track_caller]
fn check_start(code: &str, expected: &str) {
    for (kind, file) in files(&starting(code)) {
        let options = FilterOptions { deadline: Duration::from_millis(100), ..options() };
        let module = FilterModule::load(&engine(), file, options).unwrap();
        let error = module.instantiate().unwrap_err().to_string();
        assert!(error.contains(expected), "{kind}: {error}");
    }
}

#[test]
fn a_guest_may_refuse_to_start_and_say_why() {
    check_start(
        "(call $reason (local.get $at)) (i32.const 1)",
        "flb_start returned 1: no limit is set",
    );
    check_start("(i32.const 7)", "flb_start returned 7");
    check_start("(call $reason (local.get $at)) unreachable", "unreachable (in ");
    check_start("(call $reason (local.get $at)) unreachable", ": no limit is set");
    check_start(
        "(loop (br 0)) unreachable",
        "flb_start took longer than its deadline of 100 ms; help: raise Start_Deadline",
    );
    let forged = "(i32.store offset=32 (local.get $at) (i32.const -1)) (i32.store offset=36 (local.get $at) (i32.const -1))";
    check_start(&format!("{forged} (i32.const 1)"), "flb_start returned 1");
}

#[test]
fn the_start_block_is_as_the_page_draws_it() {
    let check = |offset: u32, expected: &str| {
        format!(
            "(if (i32.ne (i32.load offset={offset} (local.get $at)) {expected}) (then (return (i32.const {}))))",
            offset + 1
        )
    };
    let code = [
        check(0, "(i32.const 1)"),
        check(4, "(i32.const 48)"),
        check(8, "(i32.add (local.get $at) (i32.const 55))"),
        check(12, "(i32.const 1)"),
        check(16, "(i32.add (local.get $at) (i32.const 48))"),
        check(20, "(i32.const 6)"),
        check(24, "(i32.add (local.get $at) (i32.const 64))"),
        check(28, "(i32.const 65536)"),
        check(32, "(i32.const 0)"),
        check(36, "(i32.const 0)"),
    ]
    .concat();
    let options = FilterOptions { name: "wasm.7".to_owned(), ..options() };
    let mut instance = start_with(starting(&format!("{code} (i32.const 0)")), options);
    assert_eq!(ask(&mut instance, &batch(&[(0, &[0x80])])), [Fate::Kept]);
    let mut map = Vec::new();
    msgpack::write_map_header(&mut map, 0);
    assert_eq!(map.len(), 1, "the configuration of none");
}

/// The clock and the deadline are in the block.
#[test]
fn a_guest_is_told_the_time() {
    let wasm = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "flb_batch_1"))
          (func (export "filter") (param $batch i32) (result i32)
            (if (i64.ne (i64.load offset=40 (local.get $batch)) (i64.const 1700000000123456789)) (then unreachable))
            (if (i64.ne (i64.load offset=48 (local.get $batch)) (i64.const 20000000000)) (then unreachable))
            (i32.store offset=12 (local.get $batch) (i32.load offset=8 (local.get $batch)))
            (i32.const 0)))"#,
    )
    .unwrap();
    let mut instance = start_with(wasm, options());
    instance.set_clock(1_700_000_000_123_456_789);
    assert_eq!(ask(&mut instance, &batch(&[(0, &[0x80])])), [Fate::Kept]);
}
