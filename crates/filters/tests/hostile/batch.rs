//! Guests of the batch ABI that forge all they can: verdicts, addresses, lengths, lists, the cursor, the block itself; that trap, loop
//! and answer for millions. `tests/filter/modules/batch_pokes.wat` does what its records say.

use std::fs;
use std::path::Path;

use flb_plugin::Tally;
use flb_runtime::Failure;

use crate::world::{Dice, World};

/// What a record tells the guest: an order, an offset and a number.
type Order = (u8, u16, u32);

const INTO_RECORD: u8 = 0;
const INTO_BLOCK: u8 = 1;
const OWN: u8 = 2;
const OWN_FROM_BODY: u8 = 3;
const TRAP: u8 = 4;
const SPIN: u8 = 5;
const GROW: u8 = 6;
const RETURN: u8 = 7;
const AT_OWN: u8 = 8;
const VERDICT: u8 = 9;
const AT_BODY: u8 = 10;

fn body(orders: &[Order]) -> Vec<u8> {
    let mut body = b"\x81\xa1s\xc6".to_vec();
    body.extend_from_slice(&(8 * orders.len() as u32).to_be_bytes());
    for (what, off, number) in orders {
        body.extend_from_slice(&[*what, 0]);
        body.extend_from_slice(&off.to_le_bytes());
        body.extend_from_slice(&number.to_le_bytes());
    }
    body
}

/// The guest that does what its records say.
fn pokes() -> Vec<u8> {
    let file = "../../tests/filter/modules/batch_pokes.wat";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    wat::parse_str(text.replace(r#"(export "filter")"#, r#"(export "f")"#)).unwrap()
}

/// A number that is small, large, near an edge of something, or any.
fn number(dice: &mut Dice) -> u32 {
    const EDGES: [u32; 10] = [
        1024,
        0x1_0000,
        0x2_0000,
        0x8_0000,
        0x100_0000,
        0x10_0000,
        0x0400_0000,
        0x1000_0000,
        0x8000_0000,
        u32::MAX,
    ];
    match dice.below(4) {
        0 => dice.below(8) as u32,
        1 => dice.below(300) as u32,
        2 => {
            let edge = EDGES[dice.below(EDGES.len() as u64) as usize];
            edge.wrapping_add(dice.below(64) as u32).wrapping_sub(32)
        }
        _ => dice.next() as u32,
    }
}

/// Orders that say something sound of a record: edits of a few kinds, parts, a map.
fn sound(dice: &mut Dice) -> Vec<Order> {
    // At 1,024 and so on: the key `k`, the value 7, the map {}.
    let place = [(OWN, 512, u32::from(b'k')), (OWN, 516, 7), (OWN, 520, 0x80)];
    let (key, value, map) = (1536, 1540, 1544);
    let edit = |kind: u32, at: u32| {
        let words = match kind & 0x7f {
            4 => [kind, 3, value, 1],
            5 => [kind, 0, map, 1],
            6 => [kind, 1_700_000_001, 5, 0],
            7 => [kind, 0, key, 1],
            2 => [kind | 1 << 8, key, 0, 0],
            _ => [kind | 1 << 8, key, value, 1],
        };
        (0..4).map(move |word: usize| (OWN, (16 * at as usize + 4 * word) as u16, words[word]))
    };
    let mut orders = place.to_vec();
    match dice.below(6) {
        0 => orders.push((VERDICT, 0, 1)),
        1 => orders.extend([(VERDICT, 0, 3), (AT_OWN, 520, 1)]),
        2 => {
            orders.extend([(OWN, 0, 1_700_000_002), (OWN, 4, 3)]);
            orders.extend((2..8).map(|word| (OWN, 4 * word, 0)));
            orders.extend([(VERDICT, 0, 4), (AT_OWN, 0, dice.below(2) as u32)]);
        }
        _ => {
            let kinds = [0, 1, 2, 3, 4, 5, 6, 7, 0x80, 0x81, 0x82, 0x85];
            let count = 1 + dice.below(3) as u32;
            for at in 0..count {
                orders.extend(edit(kinds[dice.below(12) as usize], at));
            }
            orders.extend([(VERDICT, 0, 2), (AT_OWN, 0, count)]);
        }
    }
    orders
}

/// What one record says: something sound, something forged, or both. Traps are rare, and loops rarer, as each takes its time.
fn orders(dice: &mut Dice) -> Vec<Order> {
    let mut orders = match dice.below(8) {
        0 => Vec::new(),
        1..6 => sound(dice),
        _ => (0..dice.below(12))
            .map(|_| {
                let what = [INTO_RECORD, INTO_BLOCK, OWN, OWN_FROM_BODY, AT_OWN, VERDICT, AT_BODY];
                let what = what[dice.below(7) as usize];
                let number = if what == VERDICT { dice.below(8) as u32 } else { number(dice) };
                (what, dice.next() as u16 % 4096, number)
            })
            .collect(),
    };
    match dice.below(3_000) {
        0..20 => orders.push((TRAP, 0, 0)),
        20..40 => orders.push((RETURN, 0, number(dice))),
        40..45 => orders.push((GROW, 0, 3)),
        45..60 => orders.push((INTO_BLOCK, 12, number(dice))),
        60 if dice.below(20) == 0 => orders.push((SPIN, 0, 0)),
        _ => {}
    }
    orders
}

/// Gives so many records, in batches of all sizes, to the guest: the books, and failures by class.
fn run(records: usize, seed: u64) -> (Tally, [u64; Failure::ALL.len()]) {
    let world = World::new();
    let mut dice = Dice::new(seed);
    let wasm = pokes();
    let (mut sum, mut failed) = (Tally::default(), [0; Failure::ALL.len()]);
    for (share, on_error) in [(3, "keep"), (4, "drop"), (9, "quarantine")] {
        let properties = format!(
            "    Deadline 0.02\n    Memory_Limit 1M\n    Recycle 5000\n    Quarantine_Limit 1M\n    On_Error {on_error}\n"
        );
        let mut filter = world.filter(&wasm, &properties).unwrap();
        let mut left = records * share / 16;
        while left > 0 {
            let size = left.min([1, 7, 100, 1000, 5000][dice.below(5) as usize]);
            let bodies: Vec<Vec<u8>> = (0..size).map(|_| body(&orders(&mut dice))).collect();
            let tally = world.run_at_any_time(filter.as_mut(), bodies.iter().map(Vec::as_slice));
            sum.add(&tally);
            left -= size;
        }
        for class in Failure::ALL {
            failed[class as usize] += world.failed(class);
        }
    }
    println!("{records} records: {sum:?}, {failed:?}");
    (sum, failed)
}

fn check((sum, failed): (Tally, [u64; Failure::ALL.len()]), records: usize) {
    assert_eq!(failed.iter().sum::<u64>(), sum.failures(), "{sum:?}, {failed:?}");
    assert!(sum.records() as usize > records - 16, "{sum:?}");
    for class in [Failure::Trap, Failure::BadOutput, Failure::Refused] {
        assert!(failed[class as usize] > 0, "{class:?}: {sum:?}");
    }
    assert!(
        sum.kept > 0 && sum.replaced > 0 && sum.dropped > 0 && sum.quarantined() > 0,
        "{sum:?}"
    );
}

#[test]
fn a_forged_batch_costs_what_was_forged() {
    check(run(20_000, 3), 20_000);
}

#[test]
#[ignore = "slow tier: a million records of an attacker"]
fn a_million_forged_records_are_in_the_books() {
    check(run(1_000_000, 4), 1_000_000);
}

/// A batch of a thousand in the middle of which one kills it: nine hundred and ninety-nine verdicts stand.
#[test]
fn a_record_that_kills_its_batch_costs_itself() {
    let world = World::new();
    let wasm = pokes();
    for (order, class) in [(TRAP, Failure::Trap), (SPIN, Failure::Deadline)] {
        let mut filter = world.filter(&wasm, "    Deadline 0.1\n    On_Error drop\n").unwrap();
        let (drop, kill) = (body(&[(VERDICT, 0, 1)]), body(&[(order, 0, 0)]));
        let bodies = (0..1000).map(|index| if index == 500 { &kill } else { &drop });
        let tally = world.run(filter.as_mut(), bodies.map(Vec::as_slice));
        assert_eq!((tally.dropped, tally.failures()), (999, 1), "{tally:?}");
        assert_eq!((world.failed(class), tally.failed.dropped), (1, 1), "{tally:?}");
    }
}

/// Each record becomes 65,536, which the host makes of two words.
#[test]
fn answers_for_millions_take_bounded_memory() {
    let world = World::new();
    let wasm = wat::parse_str(
        r#"(module (memory (export "memory") 40) (func (export "flb_batch_1"))
          (func (export "f") (param $batch i32) (result i32) (local $next i32) (local $rec i32)
            (local.set $next (i32.load offset=12 (local.get $batch)))
            (loop $records
              (i32.store offset=12 (local.get $batch) (local.get $next))
              (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
                (local.set $rec (i32.add (i32.load offset=16 (local.get $batch)) (i32.shl (local.get $next) (i32.const 5))))
                (i32.store offset=20 (local.get $rec) (i32.const 4))
                (i32.store offset=24 (local.get $rec) (i32.const 1024))
                (i32.store offset=28 (local.get $rec) (i32.const 65536))
                (local.set $next (i32.add (local.get $next) (i32.const 1)))
                (br $records))))
            (i32.const 0)))"#,
    )
    .unwrap();
    let mut filter = world.filter(&wasm, "    On_Error drop\n").unwrap();
    let tally = world.run_at_any_time(filter.as_mut(), vec![&b"\x81\xa1k\xa7payload"[..]; 500]);
    assert!(tally.emitted() * 12 <= 256 << 20, "{tally:?}");
    assert!(world.failed(Failure::Memory) > 100, "{tally:?}");
}

/// A guest that traps, or loops, at every record.
#[test]
fn a_guest_that_fails_at_every_record_costs_every_record() {
    let world = World::new();
    for (code, class, records) in [
        ("unreachable", Failure::Trap, 300),
        ("(loop $for_ever (br $for_ever)) unreachable", Failure::Deadline, 10),
        ("(drop (memory.grow (i32.const 65536))) unreachable", Failure::Memory, 100),
        ("(i32.const 77)", Failure::Refused, 300),
        ("(i32.const 0)", Failure::BadOutput, 300),
        ("(i32.const 1)", Failure::Memory, 300),
    ] {
        let text = format!(
            r#"(module (memory (export "memory") 1) (func (export "flb_batch_1")) (func (export "f") (param i32) (result i32) {code}))"#
        );
        let wasm = wat::parse_str(text).unwrap();
        let mut filter = world.filter(&wasm, "    Deadline 0.01\n    On_Error drop\n").unwrap();
        let tally = world.run(filter.as_mut(), vec![&b"\x80"[..]; records]);
        let all = records as u64;
        assert_eq!((world.failed(class), tally.failed.dropped), (all, all), "{code}: {tally:?}");
    }
}

/// A guest counts under names of its own, and is kept to a hundred of them.
#[test]
fn what_a_guest_counts_is_among_the_agent_s_numbers() {
    let world = World::new();
    let wasm = wat::parse_str(
        r#"(module (import "flb" "counter" (func $counter (param i32 i32) (result i32)))
          (import "flb" "add" (func $add (param i32 i64)))
          (import "flb" "histogram" (func $histogram (param i32 i32 i32 i32) (result i32)))
          (import "flb" "observe" (func $observe (param i32 f64)))
          (memory (export "memory") 1) (data (i32.const 16) "masked")
          (data (i32.const 32) "\00\00\00\00\00\00\f0\3f") (data (i32.const 64) "name_aa")
          (func (export "flb_batch_1"))
          (func (export "f") (param $batch i32) (result i32) (local $letter i32)
            (call $add (call $counter (i32.const 16) (i32.const 6)) (i64.const 3))
            (call $observe (call $histogram (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 1)) (f64.const 1.5))
            (local.set $letter (i32.const 200))
            (loop $names
              (i32.store8 (i32.const 70) (i32.add (i32.const 97) (i32.rem_u (local.get $letter) (i32.const 26))))
              (i32.store8 (i32.const 69) (i32.add (i32.const 97) (i32.div_u (local.get $letter) (i32.const 26))))
              (call $add (call $counter (i32.const 64) (i32.const 7)) (i64.const 1))
              (local.set $letter (i32.sub (local.get $letter) (i32.const 1)))
              (br_if $names (local.get $letter)))
            (i32.store offset=12 (local.get $batch) (i32.load offset=8 (local.get $batch)))
            (i32.const 0)))"#,
    )
    .unwrap();
    let mut filter = world.filter(&wasm, "").unwrap();
    for _ in 0..2 {
        world.run(filter.as_mut(), [&b"\x80"[..]]);
    }
    assert_eq!(world.counted("guest", Some("masked")), 6);
    assert!((90..=100).contains(&world.named("guest")), "{}", world.named("guest"));
    assert_eq!(world.named("guest_values"), 1);
}
