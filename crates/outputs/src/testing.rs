//! What tests of outputs that post share: cases whose answers another program wrote, and every way in which a server fails.

use std::path::Path;
use std::time::Duration;

use flb_event::Chunk;
use flb_harness::chunk;
use flb_harness::net::block_on;
use flb_plugin::{Flush, Output, Spec};
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
    nothing_is_lost_of(output, &records, &[401, 403, 404], stub);
}

/// The same, of these records, where these statuses, too, are retries.
pub(crate) fn nothing_is_lost_of(
    output: &dyn Output,
    records: &Chunk,
    statuses: &[u16],
    stub: &mut Stub,
) {
    block_on(async {
        for (fault, words, asked_for) in faults(statuses) {
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

/// What goes wrong, these statuses too, what is said of it, and when the server wants to be asked again.
fn faults(statuses: &[u16]) -> Vec<(Fault, &'static str, Option<Duration>)> {
    let busy = Reply::new(429, "slow\x1b[31m\ndown").with("Retry-After: 7");
    let harmless = "HTTP status=429 Too Many Requests slow\\u{1b}[31m\\ndown";
    let mut faults = vec![
        (Fault::Instead(busy), harmless, Some(Duration::from_secs(7))),
        (Fault::Garbage, "", None),
        (Fault::Silence, "timed out", None),
    ];
    for status in [&[408, 500, 503], statuses].concat() {
        faults.push((Fault::Instead(Reply::new(status, "no")), "HTTP status=", None));
    }
    faults
}

/// Each output over HTTP, with a record that it takes, and what is a retry there beside the usual.
const OVER_HTTP: [(&Spec<dyn Output>, &str, &[u16]); 6] = [
    (&crate::http::SPEC, r#"{"log":"x"}"#, &[302]),
    (&crate::opentelemetry::SPEC, r#"{"log":"x"}"#, &[302]),
    (&crate::es::SPEC, r#"{"log":"x"}"#, &[302, 400, 401, 403, 404]),
    (&crate::loki::SPEC, r#"{"log":"x"}"#, &[302, 401, 403, 404]),
    (&crate::splunk::SPEC, r#"{"log":"x"}"#, &[302, 401, 403, 404]),
    (
        &crate::prometheus_remote_write::SPEC,
        r#"{"name":"up","type":"gauge","help":"Up.","samples":[{"name":"up","labels":{},"value":1}]}"#,
        &[302, 401, 403, 404],
    ),
];

/// Runs a test with each of them, and a server that takes everything.
fn with_each(test: impl Fn(&dyn Output, &Chunk, &[u16], &mut Stub)) {
    for (spec, record, statuses) in OVER_HTTP {
        let mut stub = Stub::start(|_| Reply::new(200, r#"{"errors":false}"#));
        let port = stub.port().to_string();
        let mut given = vec![("port", port.as_str()), ("http.response_timeout", "1")];
        if spec.name == "splunk" {
            given.push(("splunk_token", "token"));
        }
        let output = flb_harness::build(spec, &given).unwrap();
        let records = chunk("t", &[(1_700_000_000, 0, record)]);
        test(&*output, &records, statuses, &mut stub);
    }
}

#[test]
fn whatever_a_server_does_no_output_over_http_loses_a_record() {
    with_each(nothing_is_lost_of);
}

#[test]
fn half_an_answer_and_a_slow_one_lose_nothing_and_hang_nowhere() {
    with_each(|output, records, _, stub| {
        for fault in [Fault::Half, Fault::Trickle(Duration::from_millis(10))] {
            stub.fail(Some(fault.clone()));
            let flush = block_on(output.flush(records));
            // Where the status says all, the rest of the answer is not waited for in vain.
            assert!(matches!(flush, Flush::Done | Flush::Retry { .. }), "{fault:?}: {flush:?}");
        }
        stub.fail(Some(Fault::Trickle(Duration::from_millis(200))));
        let flush = block_on(output.flush(records));
        assert!(matches!(flush, Flush::Done | Flush::Retry { .. }), "{flush:?}");
    });
}
