//! Text from outside, such as names in a module: whatever it is, it steers no terminal and forges no line.

use crate::stage::{Run, Stage, filter};

/// A module whose names say that all is well, erase what was said before, and turn the direction of writing.
fn forger() -> String {
    let name = r"\0ano problems\0a\u{1b}[2K\u{7f}\u{9b}1A\u{202e}\u{2028}\u{e0041}";
    let filter = filter("(call $g) (i32.const 0)");
    format!(
        "(module (import \"env\" \"i{name}\" (func $i)) (memory 1) {filter}
            (func $g (@name \"g{name}\") (export \"g{name}\") (if (i32.const 0) (then (call $i))) (unreachable)))"
    )
}

#[track_caller]
fn check(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        let is_wild = |char| flb_text::is_wild(char) && !matches!(char, '\n' | '\t');
        assert!(!text.contains(is_wild), "{run:?}");
        assert!(text.lines().all(|line| line != "no problems"), "{run:?}");
    }
}

#[test]
fn names_in_a_module_forge_nothing() {
    let stage = Stage::new();
    stage.module("x.wasm", &forger());
    check(&stage.run("-o x.aot x.wasm"));
    for command in [
        "check",
        "check --json",
        "check --function nope",
        "inspect",
        "inspect --json",
        "run --record {}",
        "run --record {} --function nope",
    ] {
        for file in ["x.wasm", "x.aot"] {
            check(&stage.run(&format!("{command} {file}")));
        }
    }
    for line in ["disasm x.aot", "disasm x.aot nope", "verify x.aot", "check --json no.wasm"] {
        check(&stage.run(line));
    }
    let seen = "g\\nno problems\\n\\u{1b}[2K\\u{7f}\\u{9b}1A\\u{202e}\\u{2028}\\u{e0041}";
    stage.run("inspect x.wasm").check(0, &[seen], &[]);
    stage.run("disasm x.aot").check(0, &[seen], &[]);
    stage.run("run --record {} x.aot").check(1, &[], &[seen]);
}

#[test]
fn names_survive_in_json() {
    let stage = Stage::new();
    stage.module("x.wasm", &forger());
    let object: serde_json::Value =
        serde_json::from_str(&stage.run("inspect --json x.wasm").stdout).unwrap();
    let name = "g\nno problems\n\u{1b}[2K\u{7f}\u{9b}1A\u{202e}\u{2028}\u{e0041}";
    assert_eq!(object["exports"][1]["name"], name);
}

#[test]
fn records_forge_nothing() {
    let stage = Stage::new();
    stage.module("echo.wasm", &format!("(module (memory 1) {})", filter("local.get 4")));
    let record = "{\"a\":\"\u{9b}1A\u{202e}\"}";
    let run = stage.run_words("", &["run", "echo.wasm", "--record", record]);
    run.check(0, &[r#"{"a":"\u009b1A\u202e"}"#], &[]);
    stage.write("q.jsonl", format!("{{\"record\":{record}}}\n\u{1b}[2K\n").as_bytes());
    for line in ["replay q.jsonl", "replay --json q.jsonl"] {
        check(&stage.run(line));
    }
}

#[test]
fn the_name_of_an_output_forges_nothing() {
    let stage = Stage::new();
    let run = stage.run("-o x\u{1b}[2Jy.aot ok.wasm");
    run.check(0, &["file x\\u{1b}[2Jy.aot was generated"], &[]);
    assert!(stage.path("x\u{1b}[2Jy.aot").exists());
}
