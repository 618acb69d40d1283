//! Filters of the batch ABI, `docs/batch-abi.md`: what they say is what becomes of their records, and what kills one batch
//! costs one record.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

mod answered;
mod failures;
mod leaves;
mod loading;
mod script;
mod start;
mod verdicts;

use std::time::Duration;

use flb_artifact::{Interruption, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_runtime::{EngineOptions, FilterEngine, FilterInstance, FilterModule, FilterOptions};

/// Long enough for whatever does not loop.
const LONG: Duration = Duration::from_secs(20);

fn options() -> FilterOptions {
    FilterOptions { deadline: LONG, ..FilterOptions::new("filter") }
}

fn engine() -> FilterEngine {
    FilterEngine::new(EngineOptions::default()).unwrap()
}

/// An instance of the module, compiled here.
fn start(wasm: Vec<u8>) -> FilterInstance {
    start_with(wasm, options())
}

fn start_with(file: Vec<u8>, options: FilterOptions) -> FilterInstance {
    FilterModule::load(&engine(), file, options).unwrap().instantiate().unwrap()
}

/// The module as raw WebAssembly, as artifacts whose calls end by signals and by epochs, and as portable code.
fn files(wasm: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let artifact = |target: Target, kind| {
        let compiler = Compiler::new(CompileOptions {
            targets: vec![target],
            levels: Levels { opt_level: 3, size_level: 3 },
            embed_wasm: false,
            producer: "test".to_owned(),
            jobs: 1,
        });
        compiler.interrupted_by(kind).compile(wasm).unwrap()
    };
    let (host, portable) =
        (Target::host().unwrap(), Target::parse("portable", None, None).unwrap());
    vec![
        ("wasm", wasm.to_vec()),
        ("signal", artifact(host.clone(), Interruption::Signal)),
        ("epoch", artifact(host, Interruption::Epoch)),
        ("portable", artifact(portable, Interruption::Epoch)),
    ]
}
