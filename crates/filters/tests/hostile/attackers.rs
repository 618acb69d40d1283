//! Modules written to break the host: wrong addresses at every edge, allocators that lie, calls out of the sandbox, growth
//! without end.

use flb_plugin::Tally;
use flb_runtime::Failure;

use crate::world::{Dice, World};

/// A filter that answers with the address in its record `{"p":n}`: a msgpack u32, or decimal digits, 8 bytes or more.
const POINTERS: &str = r#"(module (memory (export "memory") 1 MAX) EXPORTS
    (data (i32.const 0) "{\"a\":1}") (data (i32.const 65528) "[{},{}]")
    (data (i32.const 1000) "\82\a1a\01\a1b") (data (i32.const 2000) "\dd\ff\ff\ff\ff\80")
    (data (i32.const 3000) "\df\ff\ff\ff\ff\a1a\01") (data (i32.const 4000) "\c6\ff\ff\ff\ff")
    (data (i32.const 5000) "[[[[[[[[[[[[") (data (i32.const 6000) "{\"a\":1e999}\00")
    (func $f (export "f") (param i32 i32 i32 i32) (param $record i32) (param $length i32) (result i32)
        (local $number i32) (local $at i32) (local $end i32)
        (if (i32.eq (i32.load8_u (local.get $record)) (i32.const 0x81))
            (then
                (local.set $number (i32.load offset=4 align=1 (local.get $record)))
                ;; From big-endian.
                (return (i32.or
                    (i32.rotl (i32.and (local.get $number) (i32.const 0x00ff00ff)) (i32.const 24))
                    (i32.rotl (i32.and (local.get $number) (i32.const 0xff00ff00)) (i32.const 8))))))
        (local.set $at (i32.add (local.get $record) (i32.const 5)))
        (local.set $end (i32.sub (i32.add (local.get $record) (local.get $length)) (i32.const 1)))
        (loop $digit
            (local.set $number (i32.add (i32.mul (local.get $number) (i32.const 10))
                (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $digit (i32.lt_u (local.get $at) (local.get $end))))
        (local.get $number)))"#;

/// An allocator that always gives the same two slots.
const SLOTS: &str = r#"(global $slot (mut i32) (i32.const 0))
    (func (export "malloc") (param i32) (result i32)
        (global.set $slot (i32.xor (global.get $slot) (i32.const 0x100)))
        (i32.add (i32.const 40000) (global.get $slot)))
    (func (export "free") (param i32))"#;

/// Addresses around everything that there is an edge of.
fn edges(dice: &mut Dice, count: usize) -> Vec<u32> {
    const EDGES: [u32; 14] = [
        0,
        1_000,
        2_000,
        3_000,
        4_000,
        5_000,
        6_000,
        40_000,
        0x1_0000,
        0x2_0000,
        0x0402_0000,
        0x1000_0000,
        0x1400_0000,
        0x8000_0000,
    ];
    let near = |dice: &mut Dice| {
        let edge = EDGES[dice.below(EDGES.len() as u64) as usize];
        edge.wrapping_add(dice.below(64) as u32).wrapping_sub(32)
    };
    (0..count).map(|_| if dice.below(4) == 0 { dice.next() as u32 } else { near(dice) }).collect()
}

fn pointers(count: usize, seed: u64) {
    let world = World::new();
    let mut dice = Dice::new(seed);
    for (exports, maximum) in [("", "2"), ("", ""), (SLOTS, "2"), (SLOTS, "")] {
        let text = POINTERS.replace("EXPORTS", exports).replace("MAX", maximum);
        for format in ["json", "msgpack"] {
            let properties = format!("    Event_Format {format}\n    Deadline 5\n");
            let mut filter = world.filter(&wat::parse_str(&text).unwrap(), &properties).unwrap();
            let mut sum = Tally::default();
            let body = |number: u32| [&b"\x81\xa1p\xce"[..], &number.to_be_bytes()].concat();
            for addresses in edges(&mut dice, count).chunks(500) {
                let bodies: Vec<_> = addresses.iter().map(|number| body(*number)).collect();
                sum.add(&world.run(filter.as_mut(), bodies.iter().map(Vec::as_slice)));
            }
            // A wrong address is a bad answer and nothing worse.
            assert_eq!(sum.failures(), world.failed(Failure::BadOutput), "{sum:?}");
            assert!(sum.failures() > 0 && sum.dropped > 0, "{format} {exports}: {sum:?}");
        }
    }
}

#[test]
fn an_address_is_checked_at_every_edge() {
    pointers(2_000, 11);
}

#[test]
#[ignore = "slow tier: a million addresses"]
fn a_million_addresses_are_checked() {
    pointers(130_000, 12);
}

/// The books about an attacker.
struct Attacked {
    tally: Tally,
    /// Failures by class, in the order of [`Failure::ALL`].
    failed: [u64; Failure::ALL.len()],
}

/// Runs an attacker on so many records, in both formats.
fn attack(name: &str, module: &str, records: usize) -> [Attacked; 2] {
    attack_within("0.05", name, module, records)
}

/// The same with a deadline of so many seconds.
fn attack_within(deadline: &str, name: &str, module: &str, records: usize) -> [Attacked; 2] {
    let world = World::new();
    let wasm = wat::parse_str(module).unwrap_or_else(|error| panic!("{name}: {error}"));
    ["json", "msgpack"].map(|format| {
        let properties = format!(
            "    Event_Format {format}\n    Deadline {deadline}\n    Memory_Limit 16M\n    On_Error drop\n"
        );
        let mut filter = world.filter(&wasm, &properties).unwrap();
        let tally = world.run(filter.as_mut(), vec![&b"\x81\xa3key\xa5value"[..]; records]);
        println!("{name}, {format}: {tally:?}");
        Attacked { tally, failed: Failure::ALL.map(|class| world.failed(class)) }
    })
}

/// A module with an allocator whose `malloc` and `free` do this, and a filter that does that.
fn with_malloc(malloc: &str, free: &str, filter: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 0))
            (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
            (func (export "malloc") (param i32) (result i32)
                (global.set $n (i32.add (global.get $n) (i32.const 1))) {malloc})
            (func (export "free") (param i32) {free})
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) {filter}))"#
    )
}

#[test]
fn an_allocator_may_lie() {
    const ECHO: &str = "(local.get 4)";
    for (malloc, expected) in [
        ("(i32.const -1)", Some(Failure::BadOutput)),
        ("(i32.const 65535)", Some(Failure::BadOutput)),
        ("(i32.const 65536)", Some(Failure::BadOutput)),
        ("(i32.const 0x7fffffff)", Some(Failure::BadOutput)),
        ("(i32.const 0)", Some(Failure::Memory)),
        ("unreachable", Some(Failure::Trap)),
        ("(call $deep (i32.const 0))", Some(Failure::Trap)),
        ("(loop (br 0)) unreachable", Some(Failure::Deadline)),
        // Both arguments at one place, or one over the other: the answer is whatever stands there then.
        ("(i32.const 1)", None),
        ("(i32.add (i32.const 16) (global.get $n))", None),
    ] {
        for Attacked { tally, failed } in attack(malloc, &with_malloc(malloc, "", ECHO), 3) {
            if let Some(class) = expected {
                assert_eq!(
                    (failed[class as usize], tally.failed.dropped),
                    (3, 3),
                    "{malloc}: {tally:?}"
                );
            }
        }
    }
    let slots = "(i32.add (i32.const 1024) (i32.shl (i32.and (global.get $n) (i32.const 1)) (i32.const 8)))";
    for (free, class) in [("unreachable", Failure::Trap), ("(loop (br 0))", Failure::Deadline)] {
        for Attacked { tally, failed } in attack(free, &with_malloc(slots, free, ECHO), 3) {
            assert_eq!((failed[class as usize], tally.failed.dropped), (3, 3), "{free}: {tally:?}");
        }
    }
}

#[test]
fn answers_that_grow_end_at_the_limits() {
    // The answer doubles each time, from one byte on, to more than there is memory.
    let text = r#"(module (memory (export "memory") 240) (global $size (mut i32) (i32.const 1))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (global.set $size (i32.shl (global.get $size) (i32.const 1)))
            (memory.fill (i32.const 16) (i32.const 0x20) (global.get $size))
            (i32.store8 (i32.const 16) (i32.const 0x7b))
            (i32.store8 (i32.add (i32.const 16) (global.get $size)) (i32.const 0x7d))
            (i32.const 16)))"#;
    let [json, _] = attack("growing", text, 60);
    let Tally { replaced, failed, .. } = json.tally;
    assert!(replaced > 20 && failed.total() > 1, "{:?}", json.tally);
}

#[test]
fn one_batch_takes_bounded_memory() {
    // 65,536 records of each one.
    let text = r#"(module (memory (export "memory") 4)
        (data (i32.const 16) "\dd\00\01\00\00")
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (memory.fill (i32.const 21) (i32.const 0x80) (i32.const 65536)) (i32.const 16)))"#;
    let [_, msgpack] = attack("amplifying", text, 500);
    assert!(msgpack.tally.emitted() * 14 <= 256 << 20, "{:?}", msgpack.tally);
    assert!(msgpack.failed[Failure::Memory as usize] > 100, "{:?}", msgpack.tally);
}

#[test]
fn calls_out_of_the_sandbox_do_no_harm() {
    let call = |import: &str, code: &str| {
        format!(
            r#"(module (import "wasi_snapshot_preview1" {import}) (memory (export "memory") 1)
                (data (i32.const 0) "\08\00\00\00\ff\ff\ff\ff\00\00\ff\ff\ff\ff\ff\ff")
                (data (i32.const 64) "/etc/passwd\00../../../../etc/passwd\00")
                (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) {code} (local.get 4)))"#
        )
    };
    for (name, code) in [
        ("fd_write", "(drop (call $c (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 0)))"),
        ("fd_write", "(drop (call $c (i32.const 1) (i32.const -8) (i32.const 2) (i32.const -4)))"),
        ("fd_write", "(drop (call $c (i32.const 2) (i32.const 0) (i32.const -1) (i32.const 65533)))"),
        ("fd_read", "(drop (call $c (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 0)))"),
        ("fd_pread", "(drop (call $c (i32.const 3) (i32.const 0) (i32.const 2) (i64.const -1) (i32.const 8)))"),
        ("random_get", "(drop (call $c (i32.const 0) (i32.const -1)))"),
        ("random_get", "(drop (call $c (i32.const 65535) (i32.const 2)))"),
        ("environ_get", "(drop (call $c (i32.const -4) (i32.const -4)))"),
        ("args_get", "(drop (call $c (local.get 4) (local.get 4)))"),
        ("fd_prestat_dir_name", "(drop (call $c (i32.const 3) (i32.const 0) (i32.const -1)))"),
        (
            "path_open",
            "(drop (call $c (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 11) (i32.const 0) (i64.const -1) (i64.const -1)
                (i32.const 0) (i32.const 0)))",
        ),
        ("proc_exit", "(call $c (i32.const 0))"),
    ] {
        let ty = match name {
            "fd_write" | "fd_read" => "(param i32 i32 i32 i32) (result i32)",
            "fd_pread" => "(param i32 i32 i32 i64 i32) (result i32)",
            "fd_prestat_dir_name" => "(param i32 i32 i32) (result i32)",
            "path_open" => "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
            "proc_exit" => "(param i32)",
            _ => "(param i32 i32) (result i32)",
        };
        let text = call(&format!("\"{name}\" (func $c {ty})"), code);
        for Attacked { tally, failed } in attack(name, &text, 20) {
            if name == "proc_exit" {
                assert_eq!((failed[Failure::Exit as usize], tally.failed.dropped), (20, 20), "{code}: {tally:?}");
            }
        }
    }
}

#[test]
fn growth_without_end_ends_at_the_limits() {
    for (name, items, code) in [
        ("memory", "", "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"),
        (
            "table",
            "(table $t 1 funcref)",
            "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))",
        ),
        (
            "exceptions",
            "(tag $e (param i32 i64))",
            "(local $k i32) (loop $l
                (block $caught (result i32 i64)
                    (try_table (catch $e $caught) (throw $e (i32.const 1) (i64.const 2)))
                    unreachable)
                drop drop
                (local.set $k (i32.add (local.get $k) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $k) (i32.const 1000))))",
        ),
    ] {
        let text = format!(
            r#"(module (memory (export "memory") 1) {items}
                (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) {code} (local.get 4)))"#
        );
        // The limits end it, not the time.
        for Attacked { tally, .. } in attack_within("60", name, &text, 50) {
            assert_eq!(tally.replaced, 50, "{name}: {tally:?}");
        }
    }
}

#[test]
fn a_stack_that_overflows_anywhere_is_a_trap() {
    let text = r#"(module (type $t (func (param i32) (result i32))) (table 1 funcref) (elem (i32.const 0) $indirect)
        (memory (export "memory") 1)
        (func $wide (param i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
            (i64.add (local.get 0) (call $wide (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
                (local.get 6) (local.get 7) (local.get 0))))
        (func $indirect (type $t) (i32.add (call_indirect (type $t) (local.get 0) (i32.const 0)) (i32.const 1)))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) CODE))"#;
    for code in [
        "(call $indirect (i32.const 0))",
        "(i32.wrap_i64 (call $wide (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)
            (i64.const 7) (i64.const 8)))",
    ] {
        for Attacked { tally, failed } in attack(code, &text.replace("CODE", code), 20) {
            assert_eq!((failed[Failure::Trap as usize], tally.failed.dropped), (20, 20), "{tally:?}");
        }
    }
}

#[test]
fn a_start_that_never_ends_is_refused() {
    let world = World::new();
    let text = r#"(module (memory (export "memory") 1) (start $s) (func $s (loop (br 0)))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 4)))"#;
    let built = world.filter(&wat::parse_str(text).unwrap(), "    Deadline 0.05\n");
    let error = built.err().unwrap().to_string();
    assert!(error.contains("longer than its deadline"), "{error}");
}
