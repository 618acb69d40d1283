//! Replays every file of `tests/corpus` through the checks that every input must pass. A fuzzer's find becomes a file.

mod oracle;

use std::path::Path;

#[test]
fn answers_are_whole_maps_or_failures() {
    let calls = oracle::Calls::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/calls");
    flb_testkit::replay(&folder, |data| calls.check(data));
}

#[test]
fn a_batch_is_answered_whatever_its_guest_forges() {
    let batches = oracle::Batches::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/batch");
    flb_testkit::replay(&folder, |data| batches.check(data));
}

#[test]
fn the_c_library_keeps_to_the_guests_memory() {
    let library = oracle::Library::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/library");
    flb_testkit::replay(&folder, |data| library.check(data));
}
