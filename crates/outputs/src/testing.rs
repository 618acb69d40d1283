//! What tests of outputs that post share: cases whose answers another program wrote, and every way in which a server fails.

use std::path::Path;
use std::time::Duration;

use flb_event::Chunk;
use flb_harness::chunk;
use flb_harness::net::block_on;
use flb_plugin::{Flush, Output};
use flb_testkit::Case;
use flb_testkit::stub::{Fault, Reply, Stub};

/// The cases in a folder of `tests/`, by their names.
pub(crate) fn cases(folder: &str) -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let case = Case::parse(&text, &["option"], &["records", "expected"]);
        (path.display().to_string(), case)
    };
    let cases: Vec<_> = paths.into_iter().map(read).collect();
    assert!(!cases.is_empty());
    cases
}

/// A case's options.
pub(crate) fn given(case: &Case) -> Vec<(&str, &str)> {
    case.settings("option").map(|option| option.split_once(' ').unwrap()).collect()
}

/// A case's records: each a line with its time and its body.
pub(crate) fn records(case: &Case) -> Chunk {
    let lines = case.section("records").unwrap().lines();
    let records = lines.map(|line| {
        let (time, body) = line.split_once(' ').unwrap();
        let (sec, nsec) = time.split_once('.').unwrap();
        (sec.parse().unwrap(), nsec.parse().unwrap(), body)
    });
    chunk("a.b", &records.collect::<Vec<_>>())
}

/// Whatever is wrong with a server, away, busy, broken or of another opinion who may ask, the chunk comes again, and is taken in the
/// end. [`TAKEN`] says how often.
pub(crate) fn nothing_is_lost(output: &dyn Output, stub: &mut Stub) {
    let records = chunk("t", &[(1_700_000_000, 0, r#"{"log":"x"}"#)]);
    nothing_is_lost_of(output, &records, stub);
}

/// The same, of these records.
pub(crate) fn nothing_is_lost_of(output: &dyn Output, records: &Chunk, stub: &mut Stub) {
    block_on(async {
        for (fault, words, asked_for) in faults() {
            stub.fail(Some(fault.clone()));
            match output.flush(records).await {
                Flush::Retry { reason, after } => {
                    assert!(reason.contains(words), "{fault:?}: {reason}");
                    assert_eq!(after, asked_for);
                }
                other => panic!("{fault:?}: {other:?}"),
            }
        }
        stub.fail(None);
        stub.leave();
        assert!(matches!(output.flush(records).await, Flush::Retry { .. }));
        stub.come_back();
        assert!(matches!(output.flush(records).await, Flush::Done));
    });
}

/// How often [`nothing_is_lost`] leaves the record with the server: garbage and silence come after it took it.
pub(crate) const TAKEN: usize = 3;

/// What goes wrong, what is said of it, and when the server wants to be asked again.
fn faults() -> Vec<(Fault, &'static str, Option<Duration>)> {
    let busy = Reply::new(429, "slow\x1b[31m\ndown").with("Retry-After: 7");
    let harmless = "HTTP status=429 Too Many Requests slow\\u{1b}[31m\\ndown";
    let mut faults = vec![
        (Fault::Instead(busy), harmless, Some(Duration::from_secs(7))),
        (Fault::Garbage, "", None),
        (Fault::Silence, "timed out", None),
    ];
    for status in [401, 403, 404, 408, 500, 503] {
        faults.push((Fault::Instead(Reply::new(status, "no")), "HTTP status=", None));
    }
    faults
}
