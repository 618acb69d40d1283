//! Artifacts on the road to code: damaged ones are refused, sound ones do as their module does.

use flb_artifact::{Artifact, Host, Levels, Target, Trust};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp, Verdict};
use flb_runtime::{FilterEngine, FilterModule, FilterOptions};

const C_ENRICH: &[u8] = include_bytes!("../../../examples/filters/c-enrich.wasm");

fn compile(target: Target) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: true,
        producer: "test".to_owned(),
    });
    compiler.compile(C_ENRICH).unwrap()
}

fn load(bytes: Vec<u8>) -> Result<FilterModule, flb_runtime::LoadError> {
    FilterModule::load(
        &FilterEngine::new(Trust::anyone()).unwrap(),
        bytes,
        FilterOptions::new("c_filter"),
    )
}

/// A small generator with a fixed start: the same flips in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn an_artifact_answers_as_its_module_does() {
    let answer = |bytes: Vec<u8>| {
        let mut instance = load(bytes).unwrap().instantiate().unwrap();
        let body = [0x81, 0xa1, b'a', 0x01];
        let time = Timestamp { sec: 1_700_000_000, nsec: 5 };
        let event = Event { time, metadata: Event::NO_METADATA, body: &body };
        match instance.call(&Tag::new("t").unwrap(), event).unwrap() {
            Verdict::Replace(body) => body.to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let aot = answer(compile(Target::host().unwrap()));
    assert_eq!(aot, answer(C_ENRICH.to_vec()));
    assert!(aot.windows(6).any(|bytes| bytes == b"\xa4lang\xa1"));
}

#[test]
fn the_same_module_and_options_give_the_same_bytes() {
    let target = || Target::parse("x86_64", None, None).unwrap();
    assert_eq!(compile(target()), compile(target()));
}

#[test]
fn a_thousand_flipped_bits_are_all_refused() {
    let whole = compile(Target::host().unwrap());
    let mut random = Random(1);
    for _ in 0..1000 {
        let (byte, bit) = (random.below(whole.len()), random.below(8));
        let mut flipped = whole.clone();
        flipped[byte] ^= 1 << bit;
        assert!(Artifact::parse(flipped).is_err(), "bit {bit} of byte {byte} went unnoticed");
    }
    for byte in 0..64 {
        let mut flipped = whole.clone();
        flipped[byte] ^= 1;
        assert!(load(flipped).is_err(), "header byte {byte}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let whole = compile(Target::host().unwrap());
    for length in 0..whole.len() {
        assert!(Artifact::parse(whole[..length].to_vec()).is_err(), "{length} bytes");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert!(Artifact::parse(longer).is_err());
}

#[test]
fn an_artifact_for_another_architecture_names_both() {
    let other = if cfg!(target_arch = "aarch64") { "x86_64" } else { "aarch64v8" };
    let error = load(compile(Target::parse(other, None, None).unwrap())).unwrap_err().to_string();
    let host = std::env::consts::ARCH;
    let built_for = if other == "x86_64" { other } else { "aarch64" };
    assert_eq!(
        error,
        format!(
            "built for {built_for}-unknown-linux-gnu, this host is {host}; help: rebuild with --target={host}"
        )
    );
}

#[test]
fn an_artifact_for_a_greater_cpu_names_what_is_missing() {
    let target = Target::parse("x86_64", Some("x86-64-v3"), None).unwrap();
    let artifact = Artifact::parse(compile(target)).unwrap();
    let host = Host::new("x86_64-unknown-linux-gnu".parse().unwrap(), &["sse3", "ssse3"]);
    let error =
        artifact.verify(&host, ("wasmtime", "48.0.8"), &Trust::anyone()).unwrap_err().to_string();
    assert!(
        error.starts_with("built for CPU x86-64-v3, this host's CPU lacks avx, avx2,"),
        "{error}"
    );
}

#[test]
fn an_artifact_of_another_engine_version_is_refused() {
    let artifact = Artifact::parse(compile(Target::host().unwrap())).unwrap();
    let verify =
        |version| artifact.clone().verify(&Host::detect(), ("wasmtime", version), &Trust::anyone());
    assert!(verify("48.0.99").is_ok(), "a patch release loads");
    let error = verify("49.0.0").unwrap_err().to_string();
    assert!(
        error.starts_with("built by engine wasmtime 48.0.8, this program has wasmtime 49.0.0"),
        "{error}"
    );
}

#[test]
fn artifacts_are_made_for_every_architecture() {
    for name in ["x86_64", "aarch64", "riscv64", "s390x"] {
        // Only the whole compiler has all back ends; a build with the host's alone says so.
        let compiler = Compiler::new(CompileOptions {
            targets: vec![Target::parse(name, None, None).unwrap()],
            levels: Levels { opt_level: 3, size_level: 3 },
            embed_wasm: true,
            producer: "test".to_owned(),
        });
        match compiler.compile(C_ENRICH) {
            Ok(bytes) => assert_eq!(Artifact::parse(bytes).unwrap().metadata().slices.len(), 1),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}
