//! One module that fails in every way there is, as its records tell it to: the books must be right to the last record.

use flb_plugin::Tally;
use flb_runtime::Failure;

use crate::world::{Dice, World};

/// What a record tells the module to do, how often of 100,000 times, and what must become of the record.
const DEEDS: &[(u8, u64, Outcome)] = &[
    (b'a', 30_000, Outcome::Replaced(1)),               // echo
    (b'b', 1_000, Outcome::Failed(Failure::Trap)),      // unreachable
    (b'c', 1_000, Outcome::Failed(Failure::Trap)),      // division by zero
    (b'd', 20, Outcome::Failed(Failure::Deadline)),     // endless loop
    (b'e', 8_000, Outcome::Failed(Failure::BadOutput)), // garbage
    (b'f', 5_000, Outcome::Failed(Failure::BadOutput)), // the last address of all
    (b'g', 5_000, Outcome::Failed(Failure::BadOutput)), // the first address behind the memory
    (b'h', 5_000, Outcome::Failed(Failure::BadOutput)), // the last byte of the memory, a brace
    (b'i', 100, Outcome::Replaced(1)),                  // a huge object
    (b'j', 8_000, Outcome::Dropped),                    // zeros
    (b'k', 8_000, Outcome::Dropped),                    // address 0
    (b'l', 6_880, Outcome::Replaced(3)),                // three records
    (b'm', 6_000, Outcome::Dropped),                    // an empty array
    (b'n', 200, Outcome::Failed(Failure::Trap)),        // endless recursion
    (b'o', 500, Outcome::Failed(Failure::Exit)),        // exit
    (b'p', 300, Outcome::Replaced(1)),                  // all memory there is
    (b'q', 5_000, Outcome::Failed(Failure::BadOutput)), // within the record
    (b'r', 5_000, Outcome::Failed(Failure::BadOutput)), // half an object
    (b's', 4_000, Outcome::Failed(Failure::BadOutput)), // the tag
    (b't', 1_000, Outcome::Failed(Failure::Trap)),      // load far outside
];

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Replaced(u64),
    Dropped,
    Failed(Failure),
}

const MODULE: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 20)
    (data (i32.const 16) "garbage \ff\fe [}\00")
    (data (i32.const 64) "[{\"a\":1},{},{\"b\":[true]}]\00")
    (data (i32.const 96) "[]\00")
    (data (i32.const 112) "{\"half\":\00")
    (data (i32.const 131072) "{\"huge\":\"")
    (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
    (func (export "f") (param $tag i32) (param i32) (param i32) (param i32) (param $record i32) (param i32) (result i32)
        (block $t (block $s (block $r (block $q (block $p (block $o (block $n (block $m (block $l (block $k
        (block $j (block $i (block $h (block $g (block $f (block $e (block $d (block $c (block $b (block $a
            (br_table $a $b $c $d $e $f $g $h $i $j $k $l $m $n $o $p $q $r $s $t
                (i32.sub (i32.load8_u offset=7 (local.get $record)) (i32.const 97))))
        ;; a
            (return (local.get $record)))
        ;; b
            unreachable)
        ;; c
            (return (i32.div_u (i32.const 1) (i32.const 0))))
        ;; d
            (loop (br 0)) unreachable)
        ;; e
            (return (i32.const 16)))
        ;; f
            (return (i32.const -1)))
        ;; g: the guest's 4,096 pages and the host's 1,024
            (return (i32.const 0x14000000)))
        ;; h
            (i32.store8 (i32.const 0x13ffff) (i32.const 123)) (return (i32.const 0x13ffff)))
        ;; i
            (memory.fill (i32.const 131081) (i32.const 120) (i32.const 1000000))
            (i32.store (i32.const 1131081) (i32.const 0x00007d22))
            (return (i32.const 131072)))
        ;; j
            (return (i32.const 65536)))
        ;; k
            (return (i32.const 0)))
        ;; l
            (return (i32.const 64)))
        ;; m
            (return (i32.const 96)))
        ;; n
            (return (call $deep (i32.const 0))))
        ;; o
            (call $exit (i32.const 3)) unreachable)
        ;; p
            (loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
            (return (local.get $record)))
        ;; q
            (return (i32.add (local.get $record) (i32.const 1))))
        ;; r
            (return (i32.const 112)))
        ;; s
            (return (local.get $tag)))
        ;; t
            (return (i32.load (i32.const 0x7ffffff0)))))"#;

/// Draws a deed.
fn deed(dice: &mut Dice) -> (u8, Outcome) {
    let mut left = dice.below(DEEDS.iter().map(|(_, weight, _)| weight).sum());
    for (letter, weight, outcome) in DEEDS {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return (*letter, *outcome),
        }
    }
    unreachable!("the number is below the sum of all weights")
}

/// Runs that many records under one policy. Says what was counted, and how many lines the quarantine has.
fn run(records: u64, policy: &str, seed: u64) -> Tally {
    let world = World::new();
    let properties = format!(
        "    On_Error {policy}\n    Quarantine_Limit 1M\n    Deadline 0.2\n    Recycle 5000\n"
    );
    let mut filter = world.filter(&wat::parse_str(MODULE).unwrap(), &properties).unwrap();
    let mut dice = Dice::new(seed);
    let (mut found, mut expected) = (Tally::default(), Tally::default());
    let mut classes = [0; Failure::ALL.len()];
    let fate = match policy {
        "keep" => flb_plugin::Fate::Kept,
        "drop" => flb_plugin::Fate::Dropped,
        _ => flb_plugin::Fate::Quarantined,
    };
    while expected.records() < records {
        let size = (1 + dice.below(300)).min(records - expected.records());
        let mut bodies = Vec::new();
        for _ in 0..size {
            let (letter, outcome) = deed(&mut dice);
            bodies.push([&b"\x81\xa2do\xa1"[..], &[letter]].concat());
            match outcome {
                Outcome::Replaced(count) => expected.became(count as usize),
                Outcome::Dropped => expected.became(0),
                Outcome::Failed(class) => {
                    expected.fail(fate);
                    classes[class as usize] += 1;
                }
            }
        }
        found.add(&world.run(filter.as_mut(), bodies.iter().map(Vec::as_slice)));
        assert_eq!(found, expected, "after {} records", expected.records());
        assert_eq!(Failure::ALL.map(|class| world.failed(class)), classes);
    }
    assert_eq!(found.records(), records);
    if policy == "quarantine" {
        let lines = ["wasm.0.jsonl", "wasm.0.1.jsonl"].map(|file| {
            let path = world.folder().join("quarantine").join(file);
            std::fs::read(path)
                .map_or(0, |text| text.split(|byte| *byte == b'\n').count() as u64 - 1)
        });
        let lost = world.counted("quarantine_lost", None);
        assert_eq!(lines.iter().sum::<u64>() + lost, found.quarantined());
    }
    found
}

#[test]
fn the_books_balance_whatever_the_module_does() {
    run(3_000, "keep", 1);
    run(3_000, "drop", 2);
    run(6_000, "quarantine", 3);
}

#[test]
#[ignore = "slow tier: a million records"]
fn the_books_balance_over_a_million_records() {
    let mut all = Tally::default();
    for (seed, policy) in ["keep", "drop", "quarantine", "keep"].iter().enumerate() {
        let started = std::time::Instant::now();
        let tally = run(250_000, policy, 100 + seed as u64);
        println!("{policy}: {:.1} s, {tally:?}", started.elapsed().as_secs_f64());
        all.add(&tally);
    }
    assert_eq!(all.records(), 1_000_000);
}
