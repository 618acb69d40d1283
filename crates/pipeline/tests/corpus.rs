//! Replays every file of `tests/corpus` through the checks that every input must pass. A fuzzer's find becomes a file.

mod oracle;

use std::path::Path;

#[test]
fn chunk_files_are_handled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/chunk");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        eprintln!("{}", file.display());
        oracle::check_chunk_file(&std::fs::read(&file).unwrap());
    }
}
