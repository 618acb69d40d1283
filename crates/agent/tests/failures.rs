//! What becomes of records that a filter fails on, through the whole agent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flb_testkit::{Program, Run};

/// A filter that passes records on, a filter that loops, and one that traps where the record has an `x`.
const FILTERS: &str = r#"(module (memory (export "memory") 1)
    (func (export "echo") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 4))
    (func $spin (loop (br 0)))
    (func $looping (export "spin") (param i32 i32 i32 i32 i32 i32) (result i32) (call $spin) (local.get 4))
    (func $_ZN5guard5checkE (param i32) (if (i32.eq (i32.load8_u (local.get 0)) (i32.const 120)) (then unreachable)))
    (func $outer (export "no_x") (param i32 i32 i32 i32 i32 i32) (result i32)
        (call $_ZN5guard5checkE (i32.add (local.get 4) (i32.const 2)))
        (drop (i32.div_u (i32.const 1) (i32.ne (i32.load8_u offset=2 (local.get 4)) (i32.const 121)))) (local.get 4)))"#;

fn start(folder: &Path, configuration: &str) -> Program {
    fs::write(folder.join("filters.wasm"), wat::parse_str(FILTERS).unwrap()).unwrap();
    fs::write(folder.join("agent.conf"), configuration).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command)
}

/// Runs lines of JSON through `no_x`.
fn run(folder: &Path, lines: &str, properties: &str) -> Run {
    fs::write(folder.join("lines"), lines).unwrap();
    let configuration = format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tail\n    Tag t\n    Path lines\n    Parser json\n    \
         Read_From_Head on\n    Exit_On_Eof on\n[FILTER]\n    Name wasm\n    Match *\n    Wasm_Path filters.wasm\n    \
         Function_Name no_x\n{properties}[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
    );
    start(folder, &configuration).finish()
}

#[test]
fn a_record_in_quarantine_says_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"a\":1}\n{\"x\":[1.5,\"\u{e9}\"]}\n{\"b\":2}\n";
    let properties = "    Alias guard/1\n    On_Error quarantine\n    Quarantine_Path held/back\n";
    let run = run(folder.path(), lines, properties);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
    let kept = fs::read_to_string(folder.path().join("held/back/guard_1.jsonl")).unwrap();
    assert!(kept.ends_with("}\n"), "{kept}");
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["record"], serde_json::json!({ "x": [1.5, "\u{e9}"] }));
    assert_eq!((&kept["tag"], &kept["class"]), (&"t".into(), &"trap".into()));
    assert_eq!(kept["message"], "Exception: unreachable (in guard::check)");
    assert_eq!(kept["backtrace"], serde_json::json!(["guard::check", "outer"]));
    assert_eq!((&kept["function"], &kept["format"]), (&"no_x".into(), &"json".into()));
    assert_eq!(kept["filter"], "guard/1");
    assert!(Path::new(kept["path"].as_str().unwrap()).is_absolute());
    assert_eq!(kept["module"].as_str().unwrap().len(), 64);
    assert_eq!(kept.get("event"), None);
    let books = "3 records: 2 replaced, 0 dropped, 1 quarantined, 1 failed (trap 1)";
    assert!(run.stderr.contains(books), "{}", run.stderr);
    assert!(run.stderr.contains("the record is in quarantine (failure 1)"), "{}", run.stderr);
}

#[test]
fn a_second_failure_is_logged_when_it_is_first_seen() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"x\":1}\n".repeat(5) + "{\"y\":1}\n{\"y\":2}\n";
    let run = run(folder.path(), &lines, "");
    assert_eq!(run.stdout.lines().count(), 7, "{}", run.stdout);
    let logged: Vec<&str> = run.stderr.lines().filter(|line| line.contains("(failure ")).collect();
    let ends = ["(failure 1), tag: t", "(failure 2), tag: t", "(failure 4, 1 not logged), tag: t"];
    for (line, end) in logged.iter().zip(ends) {
        assert!(line.contains("unreachable (in guard::check); the record is kept"), "{line}");
        assert!(line.ends_with(end), "{line}");
    }
    let other = "integer divide by zero (in outer); the record is kept as it was (failure 6, 1 not logged), tag: t";
    assert!(logged[3].ends_with(other), "{}", run.stderr);
    assert_eq!(logged.len(), 4, "{}", run.stderr);
    assert!(!run.stderr.contains("failed on a record"), "{}", run.stderr);
}

#[test]
fn at_debug_level_each_record_that_failed_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let filter = "[FILTER]\n    Name wasm\n    Match *\n    Wasm_Path filters.wasm\n    Function_Name no_x\n";
    let configuration = format!(
        "[SERVICE]\n    Flush 0.05\n    Log_Level debug\n[INPUT]\n    Name dummy\n    Tag a.b\n    Samples 3\n    \
         Rate 100\n    Dummy {{\"x\":\"\u{e9}\"}}\n{filter}[OUTPUT]\n    Name stdout\n    Match *\n"
    );
    let mut agent = start(folder.path(), &configuration);
    assert!(agent.wait_for("(failure 2"), "no record failed twice");
    agent.signal("TERM");
    let run = agent.finish();
    let words = "[filter:wasm:wasm.0] failed on a record of a.b: {\"x\":\"\u{e9}\"}";
    assert!(run.stderr.matches(words).count() >= 2, "no '{words}' in\n{}", run.stderr);
}

#[test]
fn a_record_that_quarantine_cannot_take_passes() {
    let folder = tempfile::tempdir().unwrap();
    // A folder stands where the file should.
    fs::create_dir_all(folder.path().join("quarantine/wasm.0.jsonl")).unwrap();
    let run = run(folder.path(), "{\"x\":1}\n", "    On_Error quarantine\n");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("\"x\":1"), "{}", run.stdout);
    for words in [
        "[filter:wasm:wasm.0] cannot write to the quarantine quarantine/wasm.0.jsonl: ",
        "the record is kept as it was (failure 1)",
        "1 records: 1 kept, 0 replaced, 0 dropped, 1 failed (trap 1)",
    ] {
        assert!(run.stderr.contains(words), "no '{words}' in\n{}", run.stderr);
    }
}

#[test]
fn a_quarantine_that_cannot_be_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for (properties, words) in [
        ("    Quarantine_Path file/q\n", "cannot make the quarantine folder file/q"),
        ("    Quarantine_Limit 1K\n", "invalid value for property 'quarantine_limit'"),
        ("    Recycle 0\n", "invalid value for property 'recycle'"),
    ] {
        let run = run(folder.path(), "", &format!("    On_Error quarantine\n{properties}"));
        assert_eq!(run.code, Some(255), "{}", run.stderr);
        assert!(run.stderr.contains(words), "no '{words}' in\n{}", run.stderr);
    }
}

#[test]
fn a_filter_that_loops_for_ever_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let filter = |tag: &str, rest: &str| {
        format!("[FILTER]\n    Name wasm\n    Match {tag}\n    Wasm_Path filters.wasm\n{rest}")
    };
    let configuration = format!(
        "[SERVICE]\n    Flush 0.05\n    Log_Level debug\n\
         [INPUT]\n    Name dummy\n    Tag well\n    Rate 1000\n    Samples 200\n\
         [INPUT]\n    Name dummy\n    Tag ill\n    Rate 20\n\
         {}{}[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n",
        filter("well", "    Function_Name echo\n"),
        filter("ill", "    Function_Name spin\n    Deadline 0.02\n    On_Error quarantine\n"),
    );
    let mut agent = start(folder.path(), &configuration);
    assert!(agent.wait_for("(failure 4"), "no record looped four times");
    agent.signal("TERM");
    let run = agent.finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.lines().count() > 10, "healthy records waited:\n{}", run.stderr);
    let kept = fs::read_to_string(folder.path().join("quarantine/wasm.1.jsonl")).unwrap();
    let looped = kept.lines().count();
    assert!(looped >= 4 && kept.lines().all(|line| line.contains("[\"spin\"")), "{kept}");
    let books = format!(
        "{looped} records: 0 replaced, 0 dropped, {looped} quarantined, {looped} failed (deadline {looped})"
    );
    assert!(run.stderr.contains(&books), "no '{books}' in\n{}", run.stderr);
    assert!(!run.stderr.contains("lost"), "{}", run.stderr);
}
