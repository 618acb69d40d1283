//! Which ABI a function speaks, and modules that cannot be understood.

use flb_runtime::{Abi, FilterModule, FilterOptions};

use crate::answered::{Fate, ask};
use crate::script::batch;
use crate::{engine, start_with};

/// Both ABIs: the filter of the one drops all records, that of the other keeps them.
const BOTH: &str = r#"(module (memory (export "memory") 1)
  (func (export "flb_batch_1"))
  (func (export "malloc") (param i32) (result i32) unreachable)
  (func (export "free") (param i32) unreachable)
  (func (export "one") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0))
  (func (export "many") (param i32) (result i32)
    (i32.store offset=12 (local.get 0) (i32.load offset=8 (local.get 0)))
    (i32.const 0)))"#;

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_module_may_speak_both_and_its_function_says_which() {
    for (function, abi, fate) in
        [("one", Abi::One, Fate::Became(Vec::new())), ("many", Abi::Batch, Fate::Kept)]
    {
        let options = FilterOptions::new(function);
        let module = FilterModule::load(&engine(), wasm(BOTH), options.clone()).unwrap();
        assert_eq!(module.abi(), abi);
        assert_eq!(ask(&mut start_with(wasm(BOTH), options), &batch(&[(0, &[0x80])])), [fate]);
    }
}

#[track_caller]
fn check_refused(text: &str, options: FilterOptions, expected: &str) {
    let error = FilterModule::load(&engine(), wasm(text), options).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("help: "), "{error}");
}

#[test]
fn a_module_that_cannot_be_understood_is_refused() {
    let filter = || FilterOptions::new("f");
    let unmarked =
        r#"(module (memory 1) (func (export "f") (param i32) (result i32) (i32.const 0)))"#;
    check_refused(unmarked, filter(), "does not export 'flb_batch_1'");
    let marked = |more: &str| {
        format!(
            r#"(module (memory 1) (func (export "flb_batch_1")) {more}
              (func (export "f") (param i32) (result i32) (i32.const 0)))"#
        )
    };
    let two = marked(r#"(func (export "flb_batch_2"))"#);
    check_refused(&two, filter(), "it exports 'flb_batch_1' and 'flb_batch_2'");
    let alone = r#"(module (memory 1) (func (export "flb_batch_1"))
      (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))"#;
    check_refused(alone, filter(), "it exports 'flb_batch_1', but no function");
    check_refused(&marked(""), FilterOptions::new("g"), "did you mean 'f'?");
    let versioned = FilterOptions { abi: Some(Abi::Two), ..filter() };
    check_refused(
        &marked(""),
        versioned,
        "returns as the batch ABI does, (i32) -> (i32), and ABI_Version says 2",
    );
    let odd = marked(r#"(func (export "g") (param i64))"#);
    check_refused(&odd, FilterOptions::new("g"), "the function 'g' has the type (i64) -> ()");
}
