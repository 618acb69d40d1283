//! Replays every file of `tests/corpus` through the checks that every input must pass, and damages them. A fuzzer's find
//! becomes a file.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

mod oracle;

use std::path::Path;

use flb_artifact::{Artifact, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_engine::image::Image;
use oracle::check_places;
use wasm_encoder::{Module, RawSection};
use wasmparser::Payload;

#[test]
fn places_are_files_and_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/places");
    flb_testkit::replay(&folder, check_places);
}

#[test]
fn damaged_debug_information_is_no_error() {
    let wasm = include_bytes!("corpus/places/places.wasm");
    assert_eq!(
        flb_compiler::Places::read(wasm).functions.into_values().collect::<Vec<_>>(),
        ["places.c:15", "places.c:6"]
    );
    for index in 0..wasm.len() {
        for flip in [1, 0x80, 0xff] {
            let mut wasm = wasm.to_vec();
            wasm[index] ^= flip;
            check_places(&wasm);
        }
        check_places(wasm.get(..index).unwrap());
    }
}

/// The module without debug information.
fn without_debug(wasm: &[u8]) -> Vec<u8> {
    let mut module = Module::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.unwrap();
        let is_debug = matches!(&payload, Payload::CustomSection(section) if section.name().starts_with(".debug"));
        if let Some((id, range)) = payload.as_section().filter(|_| !is_debug) {
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    module.finish()
}

#[test]
fn lines_cost_no_code_and_little_room() {
    let wasm = include_bytes!("corpus/places/lines.wasm");
    for target in ["x86_64", "s390x", "portable"] {
        for size_level in [0, 3] {
            let compiler = Compiler::new(CompileOptions {
                targets: vec![Target::parse(target, None, None).unwrap()],
                levels: Levels { opt_level: 3, size_level },
                embed_wasm: false,
                producer: "test".to_owned(),
                jobs: 1,
            });
            let compile = |wasm: &[u8]| Artifact::parse(compiler.compile(wasm).unwrap()).unwrap();
            let (with, without) = (compile(wasm), compile(&without_debug(wasm)));
            assert!(!with.metadata().sources.is_empty() && without.metadata().sources.is_empty());
            let text = |artifact: &Artifact| {
                let slice = &artifact.metadata().slices[0];
                let code = artifact.code(slice).unwrap();
                Image::read(slice, &code).unwrap().text.to_vec()
            };
            assert!(text(&with) == text(&without), "{target}, size level {size_level}");
            if size_level == 3 {
                let grown = with.bytes().len() - without.bytes().len();
                assert!(grown < 700, "{target}: {grown} bytes");
            }
        }
    }
}
