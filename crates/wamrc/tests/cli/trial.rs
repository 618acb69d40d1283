//! The command `check`: what a filter's interface says, and what comes of a trial.

use crate::stage::{Stage, answer, filter};

const RUST_ENRICH: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/filters/rust-enrich.wasm");

/// The module of the agent's tests that looks around in its sandbox.
const SANDBOX: &str = include_str!("../../../../tests/filter/modules/sandbox.wat");

#[test]
fn check_passes_a_good_filter() {
    let stage = Stage::new();
    stage.run(&format!("check {RUST_ENRICH}")).check(
        0,
        &["ok       function  rust_filter", "10000 answered, 0 dropped, 0 failed", "no problems\n"],
        &[],
    );
    stage.run("-o x.aot ok.wasm").check(0, &[], &[]);
    let run = stage.run("check --json --function f x.aot");
    let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &object["problems"]), (0, &serde_json::json!(0)));
}

#[test]
fn check_counts_what_a_filter_prints() {
    let stage = Stage::new();
    stage.module("s.wasm", SANDBOX);
    let lines = "warning  output    it prints: 140000 lines in all; the agent logs ten of them";
    stage.run("check s.wasm --function flood").check(0, &[lines], &[]);
}

/// Checks a module as text; the exit code and a finding of it.
fn check(stage: &Stage, module: &str, arguments: &str, code: i32, finding: &str) {
    stage.module("x.wasm", module);
    stage.run(&format!("check x.wasm {arguments}")).check(code, &[finding], &[]);
}

#[test]
fn check_finds_what_stands_in_the_agents_way() {
    let stage = Stage::new();
    let ok = answer(r"{}\00");
    check(&stage, &ok, "--function g", 1, "'g' is not exported; exported functions: f");
    let mangled = ok.replace("\"f\"", "\"_ZN6filter8rust_log17h0123456789abcdefE\"");
    check(&stage, &mangled, "--function rust_log", 1, "add #[unsafe(no_mangle)] in Rust");
    let wide = ok.replacen("i32 i32 i32)", "i64 i32 i32)", 1);
    check(&stage, &wide, "--function f", 1, "each 32 bits wide (seconds too)");
    check(&stage, &wide, "", 1, "no exported function has a filter's type; exported functions: f");
    let import = ok.replace("(module", "(module (import \"env\" \"now\" (func))");
    check(&stage, &import, "", 0, "warning  imports   nobody provides env.now");
    let socket = r#"(module (import "wasi_snapshot_preview1" "sock_open" (func))"#;
    let socket = ok.replace("(module", socket);
    check(&stage, &socket, "", 0, "nobody provides wasi_snapshot_preview1.sock_open; calling one");
    let malloc = r#"(module (import "env" "malloc" (func (param i32) (result i32)))"#;
    check(&stage, &ok.replace("(module", malloc), "", 0, "imports   1 that the agent provides");
    let large = ok.replace("\"memory\") 1", "\"memory\") 5000");
    check(&stage, &large, "", 1, "the agent grants 256 MiB: lower --initial-memory");
    let import = r#"(module (import "env" "memory" (memory 5000))"#;
    let import = ok.replace("(module (memory (export \"memory\") 1)", import);
    check(&stage, &import, "", 1, "the agent grants 256 MiB: lower --initial-memory");
    let two = ok
        .replace("(module", "(module (memory 1) (memory 4096)")
        .replace("(export \"memory\")", "");
    check(&stage, &two, "", 1, "Memory_Limit is 268435456; help: raise Memory_Limit");
    check(&stage, "(module)", "", 1, "it exports no function");
}

#[test]
fn check_finds_mistakes_by_a_trial() {
    let stage = Stage::new();
    let trap = format!("(module (memory 1) {})", filter("unreachable"));
    check(
        &stage,
        &trap,
        "",
        1,
        " failed, the first with: Exception: unreachable (in function 0), on the \
         record {\"log\":\"a long line a long line",
    );
    check(
        &stage,
        &answer("{}rest of an older one"),
        "",
        0,
        "warning  answer    its JSON ends without a NUL",
    );
    check(&stage, &answer(r"{}\n\00"), "", 0, "no problems");
    let leak = "(global $top (mut i32) (i32.const 65536))";
    let body = "(global.set $top (i32.add (global.get $top) (i32.const 256)))
        (if (i32.ge_u (i32.add (global.get $top) (i32.const 256)) (i32.shl (memory.size) (i32.const 16)))
            (then (drop (memory.grow (i32.const 1)))))
        (i32.store (global.get $top) (i32.const 0x7d7b))
        (global.get $top)";
    let leak = format!("(module (memory 2) {leak} {})", filter(body));
    check(
        &stage,
        &leak,
        "",
        1,
        "bytes a record, and does not stop; help: free each answer in an exported \
         function flb_free_result(pointer)",
    );
    let frees = leak.replacen(
        "(memory 2)",
        "(memory 2) (func (export \"flb_free_result\") (param i32))",
        1,
    );
    check(&stage, &frees, "", 1, "flb_free_result is called after each record: free there all");
    let needs = "(if (i32.lt_u (local.get 5) (i32.const 9)) (then unreachable)) (local.get 4)";
    let needs = format!("(module (memory 1) {})", filter(needs));
    check(&stage, &needs, "", 1, "on the record {}; help: try it with a record of yours");
    check(&stage, &needs, "--record {\"log\":123}", 0, "10000 answered");
    stage.run("check x.wasm --record nonsense").check(1, &[], &["the record is no JSON object"]);
}

#[test]
fn check_takes_a_heap_that_is_collected_for_no_leak() {
    let stage = Stage::new();
    // Each call takes 1 KiB, and all is given back when 8 MiB are full.
    let body = "(if (i32.ge_u (global.get $top) (i32.const 8388608))
            (then (global.set $top (i32.const 65536))))
        (if (i32.ge_u (i32.add (global.get $top) (i32.const 1024)) (i32.shl (memory.size) (i32.const 16)))
            (then (drop (memory.grow (i32.const 1)))))
        (i32.store (global.get $top) (i32.const 0x7d7b))
        (global.get $top) (global.set $top (i32.add (global.get $top) (i32.const 1024)))";
    let top = "(global $top (mut i32) (i32.const 65536))";
    let collected = format!("(module (memory 2) {top} {})", filter(body));
    check(&stage, &collected, "", 0, "and no longer growing\nno problems");
}

#[test]
fn check_warns_of_code_for_other_machines_and_tries_the_module() {
    let stage = Stage::new();
    let other = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };
    stage.run(&format!("--target={other} -o other.aot ok.wasm")).check(0, &[], &[]);
    let warning = format!("warning  code      built for {other}-unknown-linux-gnu, this host is ");
    let tried = "the module inside is tried, compiled for this host";
    stage.run("check other.aot").check(0, &[&warning, tried, "10000 answered", "no problems"], &[]);
    stage.run(&format!("--no-embed-wasm --target={other} -o bare.aot ok.wasm")).check(0, &[], &[]);
    let untried = "it is not tried, as it does not hold its module";
    stage.run("check bare.aot").check(0, &[&warning, untried, "no problems"], &[]);
}

#[test]
fn check_tells_a_filter_for_the_other_format() {
    let stage = Stage::new();
    let read = |otherwise: &str| {
        let is_map =
            "(i32.eq (i32.and (i32.load8_u (local.get 4)) (i32.const 0xf0)) (i32.const 0x80))";
        let body = format!("(if (i32.eqz {is_map}) (then {otherwise})) (local.get 4)");
        format!("(module (memory 1) {})", filter(&body))
    };
    let suggestion = "warning  format    it answers records that come as msgpack; help: check it with \
        --format msgpack";
    check(&stage, &read("unreachable"), "", 1, suggestion);
    check(&stage, &read("unreachable"), "--format msgpack", 0, "no problems");
    check(&stage, &read("(return (i32.const 0))"), "", 0, suggestion);
    let json = "it answers records that come as json";
    check(&stage, &answer(r"{}\00"), "--format msgpack", 1, json);
    let drops = format!("(module (memory 1) {})", filter("i32.const 0"));
    stage.module("x.wasm", &drops);
    let run = stage.run("check x.wasm");
    assert!(!run.stdout.contains("format"), "{run:?}");
}
