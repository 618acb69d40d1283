//! A filter of the batch ABI in the agent: what it edits, what it sends away under other tags, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use flb_testkit::Program;

/// By the first byte of the record's text `k`: `t` goes on under the tag of the configuration, `r` is refused, `x` is a trap, all others get
/// a new entry.
const FILTER: &str = r#"(module (import "flb" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "moved") (data (i32.const 32) "no user") (data (i32.const 48) "n") (data (i32.const 64) "\07")
  (data (i32.const 80) "\07\00\00\00\00\00\00\00\10\00\00\00\05\00\00\00")
  (data (i32.const 96) "\01\01\00\00\30\00\00\00\40\00\00\00\01\00\00\00")
  (func (export "flb_batch_1"))
  (func (export "flb_start") (param i32) (result i32)
    (call $log (i32.const 2) (i32.load offset=16 (local.get 0)) (i32.load offset=20 (local.get 0))) (i32.const 0))
  (func $say (param $rec i32) (param $verdict i32) (param $at i32) (param $len i32)
    (i32.store offset=20 (local.get $rec) (local.get $verdict))
    (i32.store offset=24 (local.get $rec) (local.get $at))
    (i32.store offset=28 (local.get $rec) (local.get $len)))
  (func $decide (param $rec i32) (local $letter i32)
    (local.set $letter (i32.load8_u offset=4 (i32.load offset=12 (local.get $rec))))
    (if (i32.eq (local.get $letter) (i32.const 0x74)) (then (return (call $say (local.get $rec) (i32.const 2) (i32.const 80) (i32.const 1)))))
    (if (i32.eq (local.get $letter) (i32.const 0x72)) (then (return (call $say (local.get $rec) (i32.const 5) (i32.const 32) (i32.const 7)))))
    (if (i32.eq (local.get $letter) (i32.const 0x78)) (then unreachable))
    (call $say (local.get $rec) (i32.const 2) (i32.const 96) (i32.const 1)))
  (func (export "f") (param $batch i32) (result i32) (local $next i32)
    (local.set $next (i32.load offset=12 (local.get $batch)))
    (loop $records
      (i32.store offset=12 (local.get $batch) (local.get $next))
      (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
        (call $decide (i32.add (i32.load offset=16 (local.get $batch)) (i32.shl (local.get $next) (i32.const 5))))
        (local.set $next (i32.add (local.get $next) (i32.const 1)))
        (br $records))))
    (i32.const 0)))"#;

/// The records `{"k":"..."}` that the file of an output has, in short.
fn letters(text: &str) -> String {
    let line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let letters = value["k"].as_str().unwrap().to_owned();
        if value.get("n").is_some() { format!("{letters}+") } else { letters }
    };
    text.lines().map(line).collect::<Vec<_>>().join(" ")
}

#[test]
fn records_go_where_a_filter_of_the_batch_abi_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("filter.wasm"), wat::parse_str(FILTER).unwrap()).unwrap();
    let lines: String =
        ["a", "t1", "b", "r", "x", "t2", "c"].map(|k| format!("{{\"k\":\"{k}\"}}\n")).concat();
    fs::write(path("lines"), lines).unwrap();
    let output = |tag: &str| {
        format!("[OUTPUT]\n    Name file\n    Match {tag}\n    File {tag}\n    Format plain\n")
    };
    let configuration = format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tail\n    Tag t\n    Path lines\n    Parser json\n    \
         Read_From_Head on\n    Exit_On_Eof on\n[FILTER]\n    Name wasm\n    Alias guard\n    Match *\n    \
         Wasm_Path filter.wasm\n    Function_Name f\n    On_Error quarantine\n{}{}",
        output("t"),
        output("moved")
    );
    fs::write(path("agent.conf"), configuration).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder.path());
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    let run = Program::start(&mut command).finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(letters(&fs::read_to_string(path("t")).unwrap()), "a+ b+ c+");
    // Not through this filter again, or they would never end.
    assert_eq!(letters(&fs::read_to_string(path("moved")).unwrap()), "t1 t2");
    let kept = fs::read_to_string(path("quarantine/guard.jsonl")).unwrap();
    let kept: Vec<serde_json::Value> =
        kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |key: &str| kept.iter().map(|line| line[key].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(told("class"), ["refused", "trap"]);
    assert_eq!(told("format"), ["batch", "batch"]);
    assert_eq!(told("message")[0], "the filter refuses the record: no user");
    let books = "7 records: 3 replaced, 2 dropped, 2 quarantined, 2 failed (trap 1, refused 1)";
    assert!(run.stderr.contains(books), "{}", run.stderr);
    // Once at the start, once after the trap.
    assert_eq!(run.stderr.matches("[filter:wasm:guard] guard").count(), 2, "{}", run.stderr);
}
