//! Modules at the limits, and modules that are refused: read, told of, and never in the way of an artifact that is there.

use crate::stage::{Stage, filter};

#[test]
fn inspect_reads_what_the_compiler_refuses() {
    let stage = Stage::new();
    let text = format!(
        r#"(module (import "env" "log" (func (param i32))) (import "env" "table" (table 1 funcref))
            (memory (export "memory") i64 2) (func (export "g") (result i64 i32) unreachable) {})"#,
        filter("i32.const 0")
    );
    stage.module("refused.wasm", &text);
    stage.run("-o x.aot refused.wasm").check(1, &[], &["its memory is 64-bit"]);
    stage.run("inspect refused.wasm").check(
        0,
        &[
            "refused:       WASM module load failed: its memory is 64-bit",
            "memory:        initial pages 2",
            "  g: () -> (i64, i32)\n",
            "  f: (i32, i32, i32, i32, i32, i32) -> i32\n",
            "  env.log\n",
            "  env.table (table)\n",
            " code\n",
        ],
        &[],
    );
    let run = stage.run("inspect --json refused.wasm");
    let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(object["refused"].as_str().unwrap().contains("64-bit"));
    let run = stage.run("inspect ok.wasm");
    run.check(0, &["arguments:     by pages"], &[]);
    assert!(!run.stdout.contains("refused"));
}

#[test]
fn inspect_shows_as_much_as_there_is_of_a_damaged_module() {
    let stage = Stage::new();
    let whole = std::fs::read(stage.path("ok.wasm")).unwrap();
    stage.write("cut.wasm", &whole[..whole.len() - 3]);
    stage.run("inspect cut.wasm").check(0, &["refused:       ", "  f: (i32,"], &[]);
}

#[test]
fn what_fails_to_compile_leaves_the_older_artifact() {
    let stage = Stage::new();
    stage.run("-o x.aot ok.wasm").check(0, &[], &[]);
    let older = std::fs::read(stage.path("x.aot")).unwrap();
    let nested = format!("{} {} i32.const 0", "loop ".repeat(300), "end ".repeat(300));
    stage.module("nested.wasm", &format!("(module (memory 1) {})", filter(&nested)));
    stage.run("-o x.aot nested.wasm").check(
        1,
        &[],
        &["the number of loops in each other is 300, and the limit is 256; help: move"],
    );
    assert_eq!(std::fs::read(stage.path("x.aot")).unwrap(), older);
}

#[test]
fn many_thousand_exports_make_an_artifact_that_is_read_back() {
    let stage = Stage::new();
    let exports: String =
        (0..20_000).map(|n| format!(r#"(export "an exported function {n}" (func 0)) "#)).collect();
    stage.module("many.wasm", &format!("(module {} {exports})", filter("i32.const 0")));
    stage.run("-o x.aot many.wasm").check(0, &["Compile success"], &[]);
    stage.run("verify x.aot").check(0, &["whole"], &[]);
}

#[test]
fn what_is_left_out_at_a_limit_is_told_to_who_asks() {
    let stage = Stage::new();
    let memories = "(memory 1) ".repeat(100);
    let text = format!(
        r#"(module {memories} (func (export "f") (param i32) (local {})
            block block block local.get 0 br_table 0 1 2 0 1 2 0 1 2 end end end))"#,
        "i32 ".repeat(49_999)
    );
    stage.module("full.wasm", &text);
    let run = stage.run("-v=3 --target=x86_64 -o x.aot full.wasm");
    run.check(
        0,
        &[],
        &[
            "pass br_table is left out: with it, too many locals: locals exceed maximum",
            "calls are ended by epochs, because it has no room for what signals need: memories count",
        ],
    );
    let run = stage.run("--target=x86_64 -o x.aot full.wasm");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn names_of_llvms_for_cpu_features_are_understood() {
    let stage = Stage::new();
    let run = stage.run("--target=x86_64 --cpu-features=+sse4.2,+aes -o x.aot ok.wasm");
    run.check(0, &["cpu features:  +sse42\n"], &["'aes' changes nothing: no code"]);
    assert!(!run.stderr.contains("portable code"), "{run:?}");
    let run = stage.run("--target=riscv64 --cpu-features=+m,+v -o x.aot ok.wasm");
    run.check(0, &["+v,+zvl128b\n"], &["'m' changes nothing: it is part of every riscv64"]);
    stage.run("--target=aarch64 --cpu-features=-neon -o x.aot ok.wasm").check(
        1,
        &[],
        &["CPU feature 'neon' is part of every aarch64; help: leave it out"],
    );
}

#[test]
fn code_for_machines_with_vectors_has_simd() {
    let stage = Stage::new();
    let body =
        "(i32x4.extract_lane 1 (i32x4.mul (i32x4.splat (local.get 4)) (v128.load (i32.const 0))))";
    stage.module("simd.wasm", &format!("(module (memory 1) {})", filter(body)));
    let line = "--target=riscv64 --cpu-features=+v -o x.aot simd.wasm";
    stage.run(line).check(0, &["Compile success"], &[]);
}

#[test]
fn an_options_opposite_is_no_suggestion() {
    let stage = Stage::new();
    for (option, help) in [
        ("--enable-bulk-memory", "leave it out: it is on unless '--disable-bulk-memory' is given"),
        ("--enable-ref-types", "leave it out: it is on unless '--disable-ref-types' is given"),
        ("--disable-tail-call", "see flb-wamrc --help"),
        ("--enable-tail-cal", "did you mean '--enable-tail-call'?"),
    ] {
        stage.run(&format!("{option} -o x.aot ok.wasm")).check(1, &[], &[help]);
    }
}
