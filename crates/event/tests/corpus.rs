//! Replays every file of `tests/corpus` through the checks that every input must pass. A fuzzer's find becomes a file.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

mod oracle;

use std::path::Path;

fn replay(folder: &str, check: fn(&[u8])) {
    flb_testkit::replay(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder),
        check,
    );
}

#[test]
fn msgpack_files_are_handled() {
    replay("msgpack", oracle::check_msgpack);
}

#[test]
fn json_files_are_handled() {
    replay("json", oracle::check_json);
}

#[test]
fn the_sdk_reads_and_edits_as_the_host_does() {
    replay("sdk", oracle::check_sdk);
}

#[test]
fn edits_files_are_handled() {
    replay("edits", oracle::check_edits);
}
