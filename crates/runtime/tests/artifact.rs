//! Artifacts on the road to code: damaged ones are refused, sound ones do as their module does.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_artifact::{
    Artifact, ArtifactBuilder, EngineSettings, Host, Levels, SecretKey, SliceCode, Target, Trust,
};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp};
use flb_runtime::{EngineOptions, FilterEngine, FilterModule, FilterOptions};

const C_ENRICH: &[u8] = include_bytes!("../../../examples/filters/c-enrich.wasm");

fn compile(target: Target) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: true,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.compile(C_ENRICH).unwrap()
}

fn load(bytes: Vec<u8>) -> Result<FilterModule, flb_runtime::LoadError> {
    FilterModule::load(
        &FilterEngine::new(EngineOptions::default()).unwrap(),
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
        instance.ask(&Tag::new("t").unwrap(), event).unwrap().concat()
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
fn a_hundred_thousand_flips_and_cuts_of_signed_and_unsigned_artifacts_are_refused() {
    let wasm = wat::parse_str(
        r#"(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))"#,
    );
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: true,
        jobs: 1,
        producer: "test".to_owned(),
    });
    let unsigned = compiler.compile(&wasm.unwrap()).unwrap();
    let mut signed = Artifact::parse(unsigned.clone()).unwrap();
    signed.sign(&SecretKey::from_random([1; 32]));
    let mut random = Random(2);
    for whole in [unsigned, signed.bytes().to_vec()] {
        for round in 0..50_000 {
            let mut damaged = whole.clone();
            damaged[random.below(whole.len())] ^= 1 << random.below(8);
            if round % 2 == 1 {
                damaged.truncate(random.below(whole.len()));
            }
            assert!(Artifact::parse(damaged).is_err(), "round {round}");
        }
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
    let error = artifact
        .verify(&host, &[("wasmtime", "48.0.8")], &Trust::anyone())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("built for CPU x86-64-v3, this host's CPU lacks avx, avx2,"),
        "{error}"
    );
}

#[test]
fn an_artifact_of_another_engine_version_is_refused() {
    let artifact = Artifact::parse(compile(Target::host().unwrap())).unwrap();
    let verify = |version| {
        artifact.clone().verify(&Host::detect(), &[("wasmtime", version)], &Trust::anyone())
    };
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
            jobs: 1,
        });
        match compiler.compile(C_ENRICH) {
            Ok(bytes) => assert_eq!(Artifact::parse(bytes).unwrap().metadata().slices.len(), 1),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// An artifact of this host's that an older engine made, with the module inside.
fn unfit() -> Vec<u8> {
    let artifact = Artifact::parse(compile(Target::host().unwrap())).unwrap();
    let metadata = artifact.metadata();
    let slice = &metadata.slices[0];
    let older = EngineSettings { version: "47.0.1".to_owned(), ..slice.engine.clone() };
    ArtifactBuilder::new("test", C_ENRICH, metadata.interface.clone())
        .slice(SliceCode {
            target: Target::host().unwrap(),
            options: slice.options,
            engine: older,
            no_signals: None,
            code: artifact.code(slice).unwrap().into_owned(),
            compress: true,
        })
        .build(Some(C_ENRICH))
        .unwrap()
}

fn load_with(
    bytes: Vec<u8>,
    options: EngineOptions,
) -> Result<FilterModule, flb_runtime::LoadError> {
    FilterModule::load(&FilterEngine::new(options).unwrap(), bytes, FilterOptions::new("c_filter"))
}

#[test]
fn an_artifact_that_does_not_fit_is_compiled_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let options = EngineOptions { cache: Some(cache.clone()), ..EngineOptions::default() };
    let files = || std::fs::read_dir(&cache).unwrap().map(|file| file.unwrap()).collect::<Vec<_>>();

    let module = load_with(unfit(), options.clone()).unwrap();
    assert!(module.notes()[0].contains("built by engine wasmtime 47.0.1"), "{:?}", module.notes());
    let kept = files();
    assert_eq!(kept.len(), 1);
    let written = kept[0].metadata().unwrap().modified().unwrap();

    load_with(C_ENRICH.to_vec(), options.clone()).unwrap();
    assert_eq!(files()[0].metadata().unwrap().modified().unwrap(), written, "compiled again");

    let mut damaged = std::fs::read(kept[0].path()).unwrap();
    damaged[5000] ^= 1;
    std::fs::write(kept[0].path(), damaged).unwrap();
    load_with(unfit(), options).unwrap();
    assert!(Artifact::parse(std::fs::read(kept[0].path()).unwrap()).is_ok(), "not mended");
}

#[cfg(unix)]
#[test]
fn a_cache_that_others_may_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let options =
        EngineOptions { cache: Some(folder.path().to_owned()), ..EngineOptions::default() };
    let module = load_with(C_ENRICH.to_vec(), options).unwrap();
    let expected = format!("others may write to {}", folder.path().display());
    assert!(module.notes()[0].contains(&expected), "{:?}", module.notes());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn only_trusted_signers_run_when_signatures_are_required() {
    let [mine, other] = [1, 2].map(|byte| SecretKey::from_random([byte; 32]));
    let options =
        EngineOptions { trust: Trust::only(vec![mine.public()]), ..EngineOptions::default() };
    let signed = |key: &SecretKey, bytes: Vec<u8>| {
        let mut artifact = Artifact::parse(bytes).unwrap();
        artifact.sign(key);
        artifact.bytes().to_vec()
    };
    let fit = compile(Target::host().unwrap());
    let load = |bytes| load_with(bytes, options.clone()).map(|_| ()).map_err(|e| e.to_string());
    assert_eq!(load(signed(&mine, fit.clone())), Ok(()));
    assert_eq!(load(signed(&mine, unfit())), Ok(()), "compiled from the signed module");
    let refused = load(signed(&other, fit.clone())).unwrap_err();
    assert!(refused.contains("which is not trusted"), "{refused}");
    for unsigned in [fit, unfit(), C_ENRICH.to_vec()] {
        let refused = load(unsigned).unwrap_err();
        assert!(refused.starts_with("not signed, and a signature is required"), "{refused}");
    }
}

#[test]
fn flipped_bits_in_a_signed_artifact_are_refused() {
    let mut artifact = Artifact::parse(compile(Target::host().unwrap())).unwrap();
    artifact.sign(&SecretKey::from_random([1; 32]));
    let whole = artifact.bytes().to_vec();
    for byte in 0..160 {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[byte] ^= 1 << bit;
            assert!(Artifact::parse(flipped).is_err(), "bit {bit} of byte {byte}");
        }
    }
}

#[test]
fn a_trap_names_the_function_at_the_smallest_size_too() {
    let text = r#"(module (memory 1)
        (func $never (unreachable))
        (func $inner (unreachable))
        (func $outer (export "c_filter") (param i32 i32 i32 i32 i32 i32) (result i32) (call $inner) (i32.const 0)))"#;
    let target = Target::host().unwrap();
    for target in [target, Target::parse("portable", None, None).unwrap()] {
        let compiler = Compiler::new(CompileOptions {
            targets: vec![target],
            levels: Levels { opt_level: 3, size_level: 3 },
            embed_wasm: false,
            producer: "test".to_owned(),
            jobs: 1,
        });
        let bytes = compiler.compile(&wat::parse_str(text).unwrap()).unwrap();
        let mut instance = load(bytes).unwrap().instantiate().unwrap();
        let time = Timestamp { sec: 0, nsec: 0 };
        let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
        let error = instance.ask(&Tag::new("t").unwrap(), event).unwrap_err().to_string();
        assert_eq!(error, "Exception: unreachable (in inner)");
    }
}
