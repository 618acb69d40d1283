//! Replays every file of `tests/corpus` through the checks that every input must pass. A fuzzer's find becomes a file.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

mod oracle;

use std::path::Path;

fn replay(folder: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    for file in files {
        eprintln!("{}", file.display());
        check(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn lines_are_parsed_or_refused() {
    replay("parsers", oracle::check_parser);
}

#[test]
fn lines_are_joined_and_none_is_lost() {
    replay("multiline", oracle::check_multiline);
}
