//! A record that kills its batch costs itself only.

use std::time::Duration;

use flb_runtime::{Directory, FilterError, FilterOptions, Sandbox};

use crate::answered::{Answered, Fate, ask};
use crate::script::{Act, DROP, FAIL, KEEP, Script, batch};
use crate::{files, options, start, start_with};

const BODY: &[u8] = b"\x81\xa1a\x01";

/// Drops all records but those that it fails on, in the way that command 1 says.
fn dropping(act: Act) -> Script {
    let mut script = Script::default();
    script.say(DROP, 0, 0);
    script.act(act);
    script
}

/// How these records of so many fail; all others are dropped.
#[track_caller]
fn failures(file: Vec<u8>, options: FilterOptions, count: u32, bad: &[u32]) -> Vec<FilterError> {
    let records: Vec<(u32, &[u8])> =
        (0..count).map(|index| (u32::from(bad.contains(&index)), BODY)).collect();
    let fates = ask(&mut start_with(file, options), &batch(&records));
    let mut errors = Vec::new();
    for (index, fate) in (0..).zip(fates) {
        match fate {
            Fate::Failed(error) if bad.contains(&index) => errors.push(error),
            Fate::Became(made) if made.is_empty() && !bad.contains(&index) => {}
            other => panic!("record {index}: {other:?}"),
        }
    }
    errors
}

#[test]
fn a_trap_costs_its_record_wherever_it_stands() {
    for (kind, file) in files(&dropping(Act::Trap).module()) {
        for bad in [&[0][..], &[5], &[9], &[3, 7], &[0, 1, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            for error in failures(file.clone(), options(), 10, bad) {
                assert!(
                    error.to_string().starts_with("Exception: unreachable (in "),
                    "{kind}: {error}"
                );
            }
        }
        assert_eq!(failures(file, options(), 1000, &[500]).len(), 1, "{kind}");
    }
}

/// A guest that starts once: from the second time on, its start never ends.
#[test]
fn a_start_that_does_not_end_is_a_deadline_of_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("x");
    let wasm = dropping(Act::Trap).module_with(
        r#"(import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (data (i32.const 16) "x")
          (func (export "flb_start") (param i32) (result i32)
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 5)
              (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32)) (then (loop $for_ever (br $for_ever))))
            (i32.const 0))"#,
    );
    for (kind, file) in files(&wasm) {
        let directory = Directory { path: folder.path().to_owned(), read_only: false };
        let sandbox = Sandbox { directories: vec![directory], ..Sandbox::default() };
        let start_deadline = Some(Duration::from_secs(1));
        let options = FilterOptions { sandbox, start_deadline, ..options() };
        let mut instance = start_with(file, options);
        let fates = ask(&mut instance, &batch(&[(1, BODY), (0, BODY)]));
        let is_late = |fate: &Fate| {
            matches!(
                fate,
                Fate::Failed(FilterError::Deadline { milliseconds: 1000, first: true, .. })
            )
        };
        assert!(is_late(&fates[1]), "{kind}: {fates:?}");
        std::fs::remove_file(&mark).unwrap();
    }
}

#[test]
fn an_endless_loop_costs_its_record_wherever_it_stands() {
    let short = || FilterOptions { deadline: Duration::from_millis(50), ..options() };
    for (kind, file) in files(&dropping(Act::Spin).module()) {
        for bad in [&[0][..], &[3, 7], &[9]] {
            for error in failures(file.clone(), short(), 10, bad) {
                assert!(matches!(error, FilterError::Deadline { .. }), "{kind}: {error}");
            }
        }
        assert_eq!(failures(file, short(), 1000, &[500]).len(), 1, "{kind}");
    }
}

/// Each record takes a fraction of the deadline, all of them more than it.
#[test]
fn a_deadline_is_a_record_s() {
    const SLEEP: &str = r#"
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      ;; A subscription to the monotonic clock, relative, 10 ms.
      (data (i32.const 16) "\01\00\00\00")
      (data (i32.const 24) "\80\96\98\00\00\00\00\00")
      (func (export "flb_batch_1"))
      (func (export "filter") (param $batch i32) (result i32) (local $next i32)
        (loop $records
          (i32.store offset=12 (local.get $batch) (local.get $next))
          (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
            (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
            (local.set $next (i32.add (local.get $next) (i32.const 1)))
            (br $records))))
        (i32.const 0))"#;
    let wasm = wat::parse_str(format!("(module {SLEEP})")).unwrap();
    let records = vec![(0, BODY); 120];
    for (kind, file) in files(&wasm) {
        let short = FilterOptions { deadline: Duration::from_millis(600), ..options() };
        let fates = ask(&mut start_with(file, short), &batch(&records));
        assert!(fates.iter().all(|fate| *fate == Fate::Kept), "{kind}: {fates:?}");
    }
}

/// A guest that says that it comes on, and does not.
#[test]
fn a_guest_that_only_seems_to_come_on_is_ended() {
    let wasm = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "flb_batch_1"))
          (func (export "filter") (param $batch i32) (result i32) (local $next i32)
            (loop $for_ever
              (i32.store offset=12 (local.get $batch) (local.get $next))
              (local.set $next (i32.and (i32.add (local.get $next) (i32.const 1)) (i32.const 3)))
              (br $for_ever))
            unreachable))"#,
    )
    .unwrap();
    for (kind, file) in files(&wasm) {
        let short = FilterOptions { deadline: Duration::from_millis(50), ..options() };
        let fates = ask(&mut start_with(file, short), &batch(&[(0, BODY); 4]));
        let failed = fates.iter().filter(|fate| matches!(fate, Fate::Failed(_))).count();
        assert!(failed >= 1, "{kind}: {fates:?}");
    }
}

#[test]
fn what_the_filter_returns_decides_about_the_record_in_hand() {
    let mut script = Script::default();
    script.say(DROP, 0, 0);
    script.command(Act::Return, KEEP, 0, 0);
    script.command(Act::Return, KEEP, 1, 0);
    script.command(Act::Return, KEEP, 7, 0);
    let commands = [0, 1, 0, 2, 3, 0, 3];
    let records: Vec<(u32, &[u8])> = commands.iter().map(|command| (*command, BODY)).collect();
    for (kind, file) in files(&script.module()) {
        let fates = ask(&mut start(file), &batch(&records));
        let words: Vec<String> = fates
            .iter()
            .map(|fate| match fate {
                Fate::Failed(error) => error.to_string(),
                other => format!("{other:?}"),
            })
            .collect();
        let (gone, stopped) =
            ("Became([])", "the filter returned 0 before it had decided about all records");
        let (full, seven) = (
            "its answer does not fit in the guest's 65536 bytes of room",
            "the filter refuses the record: the filter returned 7",
        );
        assert_eq!(words, [gone, stopped, gone, full, seven, gone, seven], "{kind}");
    }
}

#[test]
fn a_trap_says_what_the_guest_said_of_its_record_before() {
    let mut script = Script::default();
    let words = b"panicked at src/lib.rs:7: no host";
    let at = script.place(words);
    script.command(Act::SayAndTrap, FAIL, at, words.len() as u32);
    script.command(Act::SayAndTrap, FAIL, u32::MAX, 7);
    for (kind, file) in files(&script.module()) {
        let fates = ask(&mut start(file), &batch(&[(0, BODY), (1, BODY)]));
        let [Fate::Failed(one), Fate::Failed(other)] = &fates[..] else { panic!("{fates:?}") };
        let (one, other) = (one.to_string(), other.to_string());
        assert!(one.ends_with("): panicked at src/lib.rs:7: no host"), "{kind}: {one}");
        assert!(other.starts_with("Exception: unreachable (in "), "{kind}: {other}");
    }
}

#[test]
fn a_trap_behind_the_last_record_loses_no_verdict() {
    let wasm = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "flb_batch_1"))
          (func (export "filter") (param $batch i32) (result i32)
            (i32.store offset=20 (i32.load offset=16 (local.get $batch)) (i32.const 1))
            (i32.store offset=12 (local.get $batch) (i32.const 2))
            unreachable))"#,
    )
    .unwrap();
    let mut answered = Answered::default();
    let mut instance = start(wasm);
    instance.filter(&batch(&[(0, BODY), (0, BODY)]), &mut answered);
    assert_eq!(answered.fates, [Fate::Became(Vec::new()), Fate::Kept]);
    assert_eq!(answered.lost.len(), 1);
    assert_eq!(instance.memory_size(), 0, "it is gone");
}

/// Addresses, lengths and numbers of every kind that point nowhere.
#[test]
fn whatever_a_guest_forges_costs_its_record() {
    let odd =
        [0, 1, 0xffff, 0x10_0000, 0x0fff_fff0, 0x7fff_ffff, 0x8000_0000, u32::MAX - 7, u32::MAX];
    // Where zeros would be a sound edit or part.
    let low = r#"(data (i32.const 0) "\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff")"#;
    let mut script = Script::default();
    let keep = script.say(KEEP, 0, 0);
    let mut bad = Vec::new();
    for verdict in [2, 3, 4, 6, 7, 0xff, 0x100, 0x7fff_ffff] {
        for at in odd {
            for len in [1, 0xffff, 0x1_0000, 0x1_0001, 0x1000_0000, u32::MAX] {
                bad.push(script.say(verdict, at, len));
            }
        }
    }
    for at in odd {
        let list = script.words(&[
            [1 << 8, at, at, u32::MAX],
            [0xffff_ff00, at, at, at],
            [0x101, at, at, 0x7fff_ffff],
            [4, at, at, at | 0x4000_0000],
        ]);
        bad.extend((0..4).map(|index| script.say(2, list + 16 * index, 1)));
        bad.push(script.say(2, list, 4));
        let parts = script.words(&[
            [0, 0, at | 1, 0x7fff_ffff, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, at | 0x4000_0000, 0, 0],
            [0, 0, 0, 0, 0, 0, at | 1, u32::MAX],
            [0, 1_000_000_000, 0, 0, 0, 0, 0, 0],
        ]);
        bad.extend((0..4).map(|index| script.say(4, parts + 32 * index, 1)));
    }
    for kind in 8..=0xff_u32 {
        if !(0x80..=0x85).contains(&kind) {
            let list = script.words(&[[kind, 0, 0, 0]]);
            bad.push(script.say(2, list, 1));
        }
    }
    let tag = script.place(b"a\0b\xff");
    for (at, len) in [(tag, 0), (tag, 2), (tag + 3, 1)] {
        let list = script.words(&[[7, 0, at, len]]);
        bad.push(script.say(2, list, 1));
    }
    let records: Vec<(u32, &[u8])> =
        bad.iter().flat_map(|command| [(keep, BODY), (*command, BODY)]).collect();
    for (kind, file) in files(&script.module_with(low)) {
        let fates = ask(&mut start(file), &batch(&records));
        for (index, fate) in fates.iter().enumerate() {
            let is_sound = match fate {
                Fate::Kept => index % 2 == 0,
                Fate::Failed(FilterError::BadOutput { .. }) => index % 2 == 1,
                _ => false,
            };
            assert!(is_sound, "{kind} {index} {:?}: {fate:?}", records[index].0);
        }
    }
}

#[test]
fn a_forged_next_is_within_the_batch() {
    for said in [0, 1, 2, 3, 4, 1000, u32::MAX / 2, u32::MAX] {
        let mut script = Script::default();
        script.say(DROP, 0, 0);
        script.command(Act::Forge, KEEP, said, 0);
        let records = [(0, BODY), (1, BODY), (0, BODY), (0, BODY)];
        for (kind, file) in files(&script.module()) {
            let fates = ask(&mut start(file), &batch(&records));
            let gone = Fate::Became(Vec::new());
            assert!(said == 0 || fates[0] == gone, "{kind} {said}: {fates:?}");
            match said {
                // Back: the one that the call began with fails, and then the one that forges once more.
                0 | 1 => {
                    let failed: Vec<bool> =
                        fates.iter().map(|fate| matches!(fate, Fate::Failed(_))).collect();
                    assert_eq!(failed, [said == 0, true, false, false], "{kind} {said}: {fates:?}");
                }
                // On, but not to the end: the one there fails. What was passed over is kept.
                2 | 3 => {
                    assert_eq!(fates[1], Fate::Kept);
                    assert!(
                        matches!(fates[said as usize], Fate::Failed(_)),
                        "{kind} {said}: {fates:?}"
                    );
                }
                _ => assert_eq!(fates[1..], [Fate::Kept, Fate::Kept, Fate::Kept], "{kind} {said}"),
            }
        }
    }
}

#[test]
fn a_guest_may_grow_and_may_spoil_its_block() {
    let mut script = Script::default();
    script.command(Act::Grow, DROP, 0, 0);
    script.act(Act::Erase);
    let records: Vec<(u32, &[u8])> =
        (0..200).map(|index| (u32::from(index == 100), BODY)).collect();
    for (kind, file) in files(&script.module()) {
        let mut instance = start(file);
        let fates = ask(&mut instance, &batch(&records));
        // Verdicts are read when the call is over, so those that it erased are lost to it.
        assert!(fates.iter().all(|fate| !matches!(fate, Fate::Failed(_))), "{kind}: {fates:?}");
        let fates = ask(&mut instance, &batch(&records[..50]));
        assert!(fates.iter().all(|fate| *fate == Fate::Became(Vec::new())), "{kind}");
    }
}

#[test]
fn recycling_counts_records() {
    let mut script = Script::default();
    script.say(KEEP, 0, 0);
    let recycle = flb_runtime::Recycle { calls: Some(100), memory: None };
    let mut instance = start_with(script.module(), FilterOptions { recycle, ..options() });
    for expected in [0, 0, 0, 1, 1, 1, 2] {
        ask(&mut instance, &batch(&[(0, BODY); 40]));
        assert_eq!(instance.recycled(), expected);
    }
}
