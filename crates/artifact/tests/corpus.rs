//! Replays every file of `tests/corpus` through the checks that every input must pass. A fuzzer's
//! find becomes a file: in `file` as a whole artifact, in `metadata` as JSON with what stands
//! behind it.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

mod oracle;

use std::path::Path;

use flb_artifact::{Artifact, ArtifactError};
use oracle::{check_file, check_metadata};

/// Checks each file of the folder. Those whose name begins with `sound` are accepted, and only
/// those.
fn replay(folder: &str, check: fn(&[u8]) -> Result<Artifact, ArtifactError>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    for (file, bytes) in flb_testkit::corpus(&folder) {
        let checked = check(&bytes);
        let is_sound = file.file_name().unwrap().as_encoded_bytes().starts_with(b"sound");
        assert_eq!(checked.is_ok(), is_sound, "{}: {:?}", file.display(), checked.err());
    }
}

#[test]
fn files_are_handled() {
    replay("file", check_file);
}

#[test]
fn metadata_files_are_handled() {
    replay("metadata", check_metadata);
}
