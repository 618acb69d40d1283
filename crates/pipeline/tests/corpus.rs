//! Replays every file of `tests/corpus` through the checks that every input must pass. A fuzzer's find becomes a file.

mod oracle;

use std::path::Path;

#[test]
fn chunk_files_are_handled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/chunk");
    flb_testkit::replay(&folder, oracle::check_chunk_file);
}
