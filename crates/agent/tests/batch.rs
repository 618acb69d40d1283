//! A filter of the batch ABI in the agent: what it edits, what it sends away under other tags, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flb_testkit::Program;

/// By the first byte of the record's text `k`: `t` goes on under the tag of the configuration, `r` is refused, `x` is a trap, all others get
/// a new entry.
const DECIDE: &str = r#"(local $letter i32)
  (local.set $letter (i32.load8_u offset=4 (i32.load offset=12 (local.get $rec))))
  (if (i32.eq (local.get $letter) (i32.const 0x74)) (then (return (call $say (local.get $rec) (i32.const 2) (i32.const 80) (i32.const 1)))))
  (if (i32.eq (local.get $letter) (i32.const 0x72)) (then (return (call $say (local.get $rec) (i32.const 5) (i32.const 32) (i32.const 7)))))
  (if (i32.eq (local.get $letter) (i32.const 0x78)) (then unreachable))
  (call $say (local.get $rec) (i32.const 2) (i32.const 96) (i32.const 1))"#;

const DATA: &str = r#"(import "flb" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "moved") (data (i32.const 32) "no user") (data (i32.const 48) "n") (data (i32.const 64) "\07")
  (data (i32.const 80) "\07\00\00\00\00\00\00\00\10\00\00\00\05\00\00\00")
  (data (i32.const 96) "\01\01\00\00\30\00\00\00\40\00\00\00\01\00\00\00")
  (func (export "flb_start") (param i32) (result i32)
    (call $log (i32.const 2) (i32.load offset=16 (local.get 0)) (i32.load offset=20 (local.get 0))) (i32.const 0))"#;

/// A module of the batch ABI that does this with each record of the table, `$rec`; `$calls` is how often it was called.
fn module(more: &str, decide: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module {more}
          (func (export "flb_batch_1"))
          (global $calls (mut i32) (i32.const 0))
          (func $say (param $rec i32) (param $verdict i32) (param $at i32) (param $len i32)
            (i32.store offset=20 (local.get $rec) (local.get $verdict))
            (i32.store offset=24 (local.get $rec) (local.get $at))
            (i32.store offset=28 (local.get $rec) (local.get $len)))
          (func $decide (param $rec i32) {decide})
          (func (export "f") (param $batch i32) (result i32) (local $next i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (local.set $next (i32.load offset=12 (local.get $batch)))
            (loop $records
              (i32.store offset=12 (local.get $batch) (local.get $next))
              (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
                (call $decide (i32.add (i32.load offset=16 (local.get $batch)) (i32.shl (local.get $next) (i32.const 5))))
                (local.set $next (i32.add (local.get $next) (i32.const 1)))
                (br $records))))
            (i32.const 0)))"#
    ))
    .unwrap()
}

/// Runs the agent with a configuration in this folder.
fn agent(folder: &Path, name: &str, configuration: &str) -> Program {
    fs::write(folder.join(name), configuration).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", name]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command)
}

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
    fs::write(path("filter.wasm"), module(DATA, DECIDE)).unwrap();
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
    let run = agent(folder.path(), "agent.conf", &configuration).finish();
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

/// The one filter says how often it was called, and is for every other record; the other, of the Rust SDK, is for secrets.
#[test]
fn filters_are_processors_and_a_condition_makes_one_call_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let calls = module(
        r#"(memory (export "memory") 1) (data (i32.const 16) "c") (data (i32.const 32) "\01\01\00\00\10\00\00\00\30\00\00\00\01\00\00\00")"#,
        "(i32.store8 (i32.const 48) (global.get $calls))
         (call $say (local.get $rec) (i32.const 2) (i32.const 32) (i32.const 1))",
    );
    fs::write(path("calls.wasm"), calls).unwrap();
    let redact = include_bytes!("../../../examples/sdk/redact-rust.wasm");
    fs::write(path("redact.wasm"), redact).unwrap();
    let lines = (0..6).map(|n| format!("{{\"n\":{},\"token\":\"x\"}}\n", n % 2));
    fs::write(path("lines"), lines.collect::<String>()).unwrap();
    let configuration = r#"
service: {flush: 0.05}
pipeline:
  inputs:
    - name: tail
      tag: t
      path: lines
      parser: json
      read_from_head: true
      exit_on_eof: true
      processors:
        logs:
          - {name: wasm, wasm_path: calls.wasm, function_name: f, condition: {rules: [{field: $n, op: eq, value: 1}]}}
  outputs:
    - {name: file, match: t, file: t, format: plain}
    - name: file
      match: t
      file: redacted
      format: plain
      processors:
        logs:
          - {name: wasm, wasm_path: redact.wasm, function_name: redact}
"#;
    let run = agent(folder.path(), "agent.yaml", configuration).finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let expected = |token: &str| {
        let pair = format!(
            "{{\"n\":0,\"token\":\"{token}\"}}\n{{\"n\":1,\"token\":\"{token}\",\"c\":1}}\n"
        );
        pair.repeat(3)
    };
    assert_eq!(fs::read_to_string(path("t")).unwrap(), expected("x"));
    assert_eq!(fs::read_to_string(path("redacted")).unwrap(), expected("***"));
    assert!(
        run.stderr.contains("[processor:wasm:tail.0/wasm.0] 3 records: 3 replaced"),
        "{}",
        run.stderr
    );
}

/// Two filters in a row, each of which makes sixty batches of each of a mebibyte: 3,600 of one line, if nobody bounds them.
#[test]
fn filters_in_a_row_that_split_over_tags_are_bounded_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Parts of the record's own time, metadata and body, each under a tag of four letters.
    let split = |first: char| {
        let parts: String = (0..60)
            .map(|part| {
                format!("{}\\{:02x}\\20\\00\\00\\04\\00\\00\\00", "\\00".repeat(24), 4 * part)
            })
            .collect();
        let tags: String = (0..60).map(|part| format!("{first}.{part:02}")).collect();
        let decide = "(call $say (local.get $rec) (i32.const 4) (i32.const 1024) (i32.const 60))";
        let data = format!(
            r#"(memory (export "memory") 1) (data (i32.const 1024) "{parts}") (data (i32.const 8192) "{tags}")"#
        );
        module(&data, decide)
    };
    fs::write(path("one.wasm"), split('a')).unwrap();
    fs::write(path("two.wasm"), split('b')).unwrap();
    fs::write(path("lines"), format!("{{\"k\":\"{}\"}}\n", "x".repeat(1 << 20))).unwrap();
    let filter = |number: &str, matching: &str| {
        format!(
            "[FILTER]\n    Name wasm\n    Alias {number}\n    Match {matching}\n    Wasm_Path {number}.wasm\n    \
             Function_Name f\n    Deadline 20\n    On_Error drop\n"
        )
    };
    let configuration = format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tail\n    Tag t\n    Path lines\n    Parser json\n    \
         Buffer_Max_Size 2M\n    Read_From_Head on\n    Exit_On_Eof on\n{}{}[OUTPUT]\n    Name null\n    Match *\n",
        filter("one", "t"),
        filter("two", "a.*")
    );
    let run = agent(folder.path(), "agent.conf", &configuration).finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let has = |words: &str| assert!(run.stderr.contains(words), "{words}\n{}", run.stderr);
    has("[filter:wasm:one] 1 records: 0 replaced, 1 dropped");
    // 59 MiB more each time: once by the first, three times by the second.
    has(
        "[filter:wasm:two] 60 records: 0 replaced, 3 dropped, 57 dropped by failure, 57 failed (memory 57)",
    );
    has("filters may make 256 MiB more of a batch than it was, and no more; the record is dropped");
    has("180 records: 180 delivered");
}

/// A filter that takes its time with each record, at an end that waits for a second only.
#[test]
fn at_the_end_a_call_that_goes_on_and_on_is_ended_and_its_records_are_in_the_books() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Sleeps 20 ms.
    let slow = module(
        r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "flb" "log" (func $log (param i32 i32 i32)))
          (memory (export "memory") 1) (data (i32.const 256) "at work")
          (data (i32.const 16) "\01\00\00\00") (data (i32.const 24) "\00\2d\31\01\00\00\00\00")"#,
        "(call $log (i32.const 3) (i32.const 256) (i32.const 7))
         (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))",
    );
    fs::write(path("slow.wasm"), slow).unwrap();
    fs::write(path("lines"), "{\"k\":\"v\"}\n".repeat(300)).unwrap();
    let configuration = "[SERVICE]\n    Flush 0.05\n    Grace 1\n[INPUT]\n    Name tail\n    Tag t\n    Path lines\n    Parser json\n    \
         Read_From_Head on\n[FILTER]\n    Name wasm\n    Alias slow\n    Match *\n    Wasm_Path slow.wasm\n    \
         Function_Name f\n    Deadline 0.2\n    On_Error quarantine\n[OUTPUT]\n    Name file\n    Match *\n    File out\n    Format plain\n";
    let mut program = agent(folder.path(), "agent.conf", configuration);
    assert!(program.wait_for("at work"));
    let run = program.terminate();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines = |name: &str| fs::read_to_string(path(name)).unwrap().lines().count();
    let (out, kept) = (lines("out"), lines("quarantine/slow.jsonl"));
    assert_eq!(out + kept, 300, "{}", run.stderr);
    assert!(out > 0 && kept > 0, "{out} {kept}");
    assert!(run.stderr.contains("filters that take too long are ended"), "{}", run.stderr);
    assert!(!run.stderr.contains("lost"), "{}", run.stderr);
}
