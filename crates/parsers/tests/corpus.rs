//! Replays every file of `tests/corpus` through the checks that every input must pass. A fuzzer's find becomes a file.

mod oracle;

use std::path::Path;

fn replay(folder: &str, check: fn(&[u8])) {
    flb_testkit::replay(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder),
        check,
    );
}

#[test]
fn lines_are_parsed_or_refused() {
    replay("parsers", oracle::check_parser);
}

#[test]
fn lines_are_joined_and_none_is_lost() {
    replay("multiline", oracle::check_multiline);
}
