//! Modules at the limits: compiled otherwise than usual and noted, or refused by the limit's name.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_artifact::{Artifact, Interruption, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};

fn compiler(target: &str) -> Compiler {
    Compiler::new(CompileOptions {
        targets: vec![Target::parse(target, None, None).unwrap()],
        levels: Levels { opt_level: 1, size_level: 3 },
        embed_wasm: true,
        producer: "test".to_owned(),
        jobs: 1,
    })
}

fn compile(text: &str) -> (Artifact, Vec<String>) {
    let wasm = wat::parse_str(text).unwrap();
    let (bytes, notes) = compiler("x86_64").compile_with_notes(&wasm).unwrap();
    (Artifact::parse(bytes).unwrap(), notes)
}

fn refusal(text: &str) -> String {
    compiler("x86_64").compile(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
}

#[test]
fn many_thousand_exports_and_imports_find_room_in_an_artifact() {
    let exports: String =
        (0..20_000).map(|n| format!(r#"(export "an exported name {n}" (func $f)) "#)).collect();
    let imports: String =
        (0..2_000).map(|n| format!(r#"(import "env" "import {n}" (func)) "#)).collect();
    let text =
        format!(r#"(module {imports} (func $f (param i32) (result i32) local.get 0) {exports})"#);
    let (artifact, _) = compile(&text);
    let interface = &artifact.metadata().interface;
    assert_eq!((interface.exports.len(), interface.imports.len()), (20_000, 2_000));
}

#[test]
fn a_module_without_room_for_signals_is_interrupted_by_epochs() {
    let text = format!(r#"(module {} (func (export "f")))"#, "(memory 1) ".repeat(100));
    let (artifact, _) = compile(&text);
    let slice = &artifact.metadata().slices[0];
    assert_eq!(slice.engine.interruption, Interruption::Epoch);
    assert_eq!(
        slice.no_signals.as_deref(),
        Some("it has no room for what signals need: memories count exceeds limit of 100")
    );
}

#[test]
fn intricate_code_is_given_registers_in_one_pass() {
    let body = "(if (local.get 0) (then (local.set 1 (i32.load (local.get 0))))) ".repeat(9_000);
    let text = format!(
        r#"(module (memory 1) (func (export "f") (param i32) (result i32) (local i32) {body} local.get 1))"#
    );
    let (_, notes) = compile(&text);
    assert_eq!(
        notes,
        ["registers are given out in one pass: its functions branch or carry too much"]
    );
}

#[test]
fn what_costs_the_code_generator_too_much_is_refused_by_the_limits_name() {
    let nested = format!(
        r#"(module (func (export "f") {} {}))"#,
        "loop ".repeat(300_000),
        "end ".repeat(300_000)
    );
    let error = refusal(&nested);
    assert!(
        error.contains("the number of loops in each other is 300000, and the limit is 256"),
        "{error}"
    );
    let elements = format!(
        r#"(module (table 1100000 funcref) (func $f (export "f")) (elem (i32.const 0) func {}))"#,
        "$f ".repeat(1_100_000)
    );
    let error = refusal(&elements);
    assert!(
        error.contains("is 1100000, and the limit is 65536; help: give it smaller tables"),
        "{error}"
    );
}

#[test]
fn a_limit_of_the_code_generator_is_no_reason_to_report_anything() {
    let ways = "0 ".repeat(70_000);
    let text = format!(
        r#"(module (func (export "f") (param i32) block local.get 0 br_table {ways} end))"#
    );
    let error = refusal(&text);
    assert!(error.contains("`br_table` has"), "{error}");
    assert!(error.contains("; help: split the function") && !error.contains("report"), "{error}");
}
