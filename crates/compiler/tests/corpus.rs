//! Replays every file of `tests/corpus` through the checks that every input must pass, and damages them. A fuzzer's find
//! becomes a file.

mod oracle;

use std::path::Path;

use oracle::check_places;

#[test]
fn places_are_files_and_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/places");
    flb_testkit::replay(&folder, check_places);
}

#[test]
fn damaged_debug_information_is_no_error() {
    let wasm = include_bytes!("corpus/places/places.wasm");
    assert_eq!(
        flb_compiler::places(wasm).into_values().collect::<Vec<_>>(),
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
