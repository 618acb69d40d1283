//! The hazard of memory that host and guest share: no allocator of any toolchain may take a record's place for its own.
//!
//! Every module of `tests/allocators` is called a thousand times with a record of 20 KB, as `.wasm` and as `.aot`; its README says
//! what they do. Modules that are too large to be kept are taken from where `cargo xtask allocators` puts them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flb_artifact::{Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp, msgpack};
use flb_runtime::{EngineOptions, EventFormat, FilterEngine, FilterModule, FilterOptions};
use libtest_mimic::{Arguments, Failed, Trial};

const CALLS: u32 = 1000;
const RECORD: usize = 20_000;

fn main() {
    let mut trials = Vec::new();
    for path in modules() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for kind in ["wasm", "aot"] {
            let (path, missing) = (path.clone(), !path.exists());
            let trial = Trial::test(format!("{name}.{kind}"), move || check(&path, kind));
            // Skipped, and said so: `cargo xtask allocators go` makes it.
            trials.push(trial.with_ignored_flag(missing));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Those that are kept, in order of their names, and those that are not.
fn modules() -> Vec<PathBuf> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/allocators");
    let mut paths: Vec<PathBuf> = fs::read_dir(kept)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("wasm".as_ref()))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.push(Path::new(env!("CARGO_TARGET_TMPDIR")).join("../filters/allocators/go.wasm"));
    paths
}

fn check(path: &Path, kind: &str) -> Result<(), Failed> {
    let wasm = fs::read(path)?;
    let bytes = if kind == "aot" { compile(&wasm) } else { wasm };
    let options = FilterOptions {
        format: EventFormat::Msgpack,
        deadline: Duration::from_secs(60),
        ..FilterOptions::new("hazard")
    };
    let engine = FilterEngine::new(EngineOptions::default())?;
    let mut instance = FilterModule::load(&engine, bytes, options)?.instantiate()?;
    let tag = Tag::new("a.tag.of.some.length")?;
    for call in 0..CALLS {
        let body = record(call);
        let time = Timestamp { sec: call, nsec: 0 };
        let event = Event { time, metadata: Event::NO_METADATA, body: &body };
        match instance.ask(&tag, event)?.as_slice() {
            [answer] if *answer == body => {}
            [_] => return Err(format!("call {call}: the answer differs").into()),
            _ => return Err(format!("call {call}: the guest overwrote it").into()),
        }
    }
    Ok(())
}

/// A map with one long text, another one for each call.
fn record(call: u32) -> Vec<u8> {
    let letter = |index: usize| b'a' + ((index + call as usize) % 26) as u8;
    let text: Vec<u8> = (0..RECORD).map(letter).collect();
    let mut body = Vec::new();
    msgpack::write_map_header(&mut body, 1);
    msgpack::write_str(&mut body, "text");
    msgpack::write_str(&mut body, &text);
    body
}

fn compile(wasm: &[u8]) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: false,
        producer: "flb-runtime's tests".to_owned(),
        jobs: 1,
    });
    compiler.compile(wasm).unwrap()
}
