//! The input exec_wasi in the whole agent: programs as `.wasm` and as `.aot`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flb_artifact::{Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_testkit::{Program, Run};

/// A program that prints the variables of its environment, each ended by `!`, then does what `then` says.
fn program(then: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 8) "\00\10\00\00")
            (data (i32.const 64) "\50\00\00\00\08\00\00\00")
            (data (i32.const 80) "careful\n")
            (func $end (param $at i32) (param $end i32)
                (loop $next
                    (if (i32.eqz (i32.load8_u (local.get $at))) (then (i32.store8 (local.get $at) (i32.const 33))))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))
            (func (export "_start")
                (drop (call $sizes (i32.const 0) (i32.const 12)))
                (drop (call $environ (i32.const 1024) (i32.const 4096)))
                (call $end (i32.const 4096) (i32.add (i32.const 4096) (i32.load (i32.const 12))))
                (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
                (drop (call $write (i32.const 2) (i32.const 64) (i32.const 1) (i32.const 0)))
                {then}))"#
    );
    wat::parse_str(text).unwrap()
}

fn compile(wasm: &[u8]) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: false,
        jobs: 1,
        producer: "flb-agent's tests".to_owned(),
    });
    compiler.compile(wasm).unwrap()
}

/// Starts the agent with a program, of which `properties` say more; stops it when it has said `until`.
fn run(folder: &Path, bytes: &[u8], properties: &str, until: &str) -> Run {
    fs::write(folder.join("program"), bytes).unwrap();
    let conf = format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 30\n    Log_Level debug\n[INPUT]\n    Name exec_wasi\n    Tag e\n    \
         WASI_Path program\n{properties}[INPUT]\n    Name dummy\n    Tag d\n    Samples 1\n    Flush_on_startup on\n\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_date_key off\n"
    );
    fs::write(folder.join("x.conf"), conf).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "x.conf"]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    let mut agent = Program::start(&mut command);
    assert!(agent.wait_for(until), "the agent ended: {}", agent.finish().stderr);
    agent.signal("TERM");
    agent.finish()
}

/// `examples/sdk/emit-rust`, compiled as it is committed.
#[test]
fn a_program_of_the_sdk_prints_records_as_msgpack() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = include_bytes!("../../../examples/sdk/emit-rust.wasm");
    let properties = "    Format msgpack\n    Oneshot on\n";
    for bytes in [wasm.to_vec(), compile(wasm)] {
        let run =
            run(folder.path(), &bytes, properties, "[input:exec_wasi:exec_wasi.0] nothing more");
        let expected = [
            r#"{"order":1,"paid":true}"#,
            r#"{"order":2,"paid":false}"#,
            r#"{"shop":"opened\ntoday"}"#,
        ];
        let records: Vec<&str> =
            run.stdout.lines().filter(|line| !line.contains("dummy")).collect();
        assert_eq!(records, expected, "{}", run.stderr);
    }
}

#[test]
fn a_program_s_lines_are_records_and_its_complaints_are_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = program("");
    let properties = "    Oneshot on\n    Env A=1\n    Env B=x\n";
    for bytes in [&wasm, &compile(&wasm)] {
        let run =
            run(folder.path(), bytes, properties, "[input:exec_wasi:exec_wasi.0] nothing more");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains("{\"wasi_stdout\":\"A=1!B=x!\"}\n"), "{}", run.stdout);
        assert!(run.stderr.contains("[ warn] [input:exec_wasi:exec_wasi.0] stderr: careful\n"));
        assert!(run.stderr.contains("[input:exec_wasi:exec_wasi.0] 1 records"), "{}", run.stderr);
    }
}

#[test]
fn a_program_that_never_ends_is_ended_and_hinders_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let properties =
        "    Interval_Sec 0\n    Interval_NSec 1000000\n    Deadline 0.2\n    Env A=1\n";
    let run = run(folder.path(), &program("(loop (br 0))"), properties, " [2 so far]");
    let ended = "the run failed: the call took longer than its deadline of 200 ms (in function ";
    assert!(run.stderr.contains(ended), "{}", run.stderr);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("{\"message\":\"dummy\"}\n"), "{}", run.stdout);
    assert!(run.stdout.contains("{\"wasi_stdout\":\"A=1!\"}\n"), "{}", run.stdout);
}
