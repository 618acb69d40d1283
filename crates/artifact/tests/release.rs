//! Artifacts that say which filter they are: the same code and module, another digest, another signature.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use flb_artifact::{
    Arguments, Artifact, ArtifactBuilder, ArtifactError, EngineSettings, Interface, Levels,
    Release, SecretKey, SliceCode, Target,
};
use serde_json::json;

const WASM: &[u8] = b"\0asm\x01\0\0\0, or something like it";

fn artifact(compress: bool) -> Artifact {
    let settings = json!({
        "name": "wasmtime", "version": "48.0.8", "memory_reservation": 0, "memory_guard_size": 0,
        "guard_before_linear_memory": true, "memory_may_move": true,
        "memory_reservation_for_growth": 0, "memory_init_cow": true, "table_lazy_init": true,
        "signals_based_traps": true, "inlining": false, "debug_symbols": false,
        "debug_info": false, "concurrency": false, "collector": "drc",
    });
    let engine: EngineSettings = serde_json::from_value(settings).unwrap();
    let slice = |target| SliceCode {
        target: Target::parse(target, None, None).unwrap(),
        options: Levels { opt_level: 3, size_level: 0 },
        engine: engine.clone(),
        no_signals: None,
        code: vec![7; 5000],
        compress,
    };
    let arguments = Arguments::Malloc;
    let interface = Interface { exports: Vec::new(), imports: Vec::new(), arguments };
    let builder = ArtifactBuilder::new("test", WASM, interface);
    let file = builder.slice(slice("x86_64")).slice(slice("aarch64")).build(Some(WASM));
    Artifact::parse(file.unwrap()).unwrap()
}

fn release(name: &str, version: &str) -> Release {
    Release { name: name.parse().unwrap(), version: version.parse().unwrap() }
}

#[test]
fn a_release_changes_nothing_but_what_it_says() {
    for compress in [true, false] {
        let before = artifact(compress);
        let after = before.clone().released(Some(release("redact", "1.4.0"))).unwrap();
        assert_ne!(before.digest(), after.digest());
        assert_eq!(before.wasm().unwrap(), after.wasm().unwrap());
        let slices = before.metadata().slices.iter().zip(&after.metadata().slices);
        for (old, new) in slices {
            assert_eq!(before.code(old).unwrap(), after.code(new).unwrap());
            assert!(new.code.offset.is_multiple_of(old.code.align));
        }
        let again = after.clone().released(Some(release("redact", "1.4.1"))).unwrap();
        assert_eq!(again.released(None).unwrap().bytes(), before.bytes());
    }
}

#[test]
fn a_signature_covers_the_release() {
    let mut signed = artifact(true).released(Some(release("redact", "1.4.0"))).unwrap();
    signed.sign(&SecretKey::from_random([3; 32]));
    assert!(Artifact::parse(signed.bytes().to_vec()).unwrap().signer().is_some());
    assert_eq!(signed.clone().released(Some(release("redact", "9"))).unwrap().signer(), None);
    let mut forged = signed.bytes().to_vec();
    let at = forged.windows(5).position(|part| part == b"1.4.0").unwrap();
    forged[at] = b'9';
    assert!(Artifact::parse(forged).is_err());
}

#[test]
fn another_release_than_the_required_one_is_named() {
    let required = "redact 1.4".parse().unwrap();
    let check = |found: Option<Release>, expected: &str| {
        let shown = artifact(true).released(found).unwrap().require(&required);
        let shown = shown.map_or_else(|error: ArtifactError| error.to_string(), |()| String::new());
        assert_eq!(shown.split("; help: ").next(), Some(expected));
    };
    check(Some(release("redact", "1.4")), "");
    check(None, "its signer gave it no name, and redact 1.4 or later is required");
    let expected = "it is enrich 2, and redact 1.4 or later is required";
    check(Some(release("enrich", "2")), expected);
}
