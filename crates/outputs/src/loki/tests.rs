//! Against a server that is as strict as Loki, and against what Fluent Bit posts.

use super::server::{Server, entries};
use super::*;
use flb_harness::net::block_on;
use flb_harness::{build_with, chunk, options};
use flb_plugin::Metrics;
use flb_testkit::stub::{Fault, Reply, Stub};

use crate::testing;

fn output(given: &[(&str, &str)]) -> Result<Loki, BuildError> {
    build_with(&options(OPTIONS, given), loki)
}

fn output_for(server: &Server, given: &[(&str, &str)]) -> Loki {
    let port = server.stub.port().to_string();
    output(&[&[("port", port.as_str()), ("http.response_timeout", "1")], given].concat()).unwrap()
}

const RECORDS: &[(u32, u32, &str)] = &[
    (1_700_000_002, 0, r#"{"log":"a","level":"info","who":"blue"}"#),
    (1_700_000_001, 7, r#"{"log":"b","level":"info","who":"blue"}"#),
    (1_700_000_003, 0, r#"{"log":"c","level":"warn","who":"blue"}"#),
    (1_700_000_002, 0, r#"{"log":"d","level":"info","who":"red"}"#),
    (1_700_000_002, 0, r#"{"log":"e","level":"info"}"#),
    (1_700_000_002, 0, r#"{"log":"f","level":"info","who":"blue"}"#),
];

#[test]
fn entries_are_those_that_fluent_bit_posts() {
    for (name, case) in testing::cases("loki") {
        let mut given = testing::given(&case);
        given.retain(|(key, _)| *key != "compress");
        let pushes = output(&given).unwrap().0.pushes(&testing::records(&case));
        let mut got: Vec<String> = Vec::new();
        for push in pushes {
            let tenant = push.tenant.as_ref().map_or("-", |tenant| tenant.to_str().unwrap());
            got.extend(entries(tenant, &push.body).unwrap());
        }
        let mut expected: Vec<String> = Vec::new();
        for request in case.section("expected").unwrap().lines() {
            let (tenant, body) = request.split_once(' ').unwrap();
            // Fluent Bit's streams may be out of order: each of its entries is checked alone.
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            for stream in body["streams"].as_array().unwrap() {
                let labels = &stream["stream"];
                let values = stream["values"].as_array().unwrap();
                expected.extend(values.iter().map(|value| format!("{tenant} {labels} {value}")));
            }
        }
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn streams_are_grouped_by_labels_and_in_the_order_of_time() {
    let pushes = output(&[("labels", "job=x, $level"), ("remove_keys", "who")]).unwrap();
    let pushes = pushes.0.pushes(&chunk("t", RECORDS));
    let bodies: Vec<&str> =
        pushes.iter().map(|push| std::str::from_utf8(&push.body).unwrap()).collect();
    let entry = |time: &str, log: &str| format!(r#"["{time}","{{\"log\":\"{log}\"}}"]"#);
    let info = [
        entry("1700000001000000007", "b"),
        entry("1700000002000000000", "a"),
        entry("1700000002000000000", "d"),
        entry("1700000002000000000", "e"),
        entry("1700000002000000000", "f"),
    ];
    let expected = format!(
        r#"{{"streams":[{{"stream":{{"job":"x","level":"info"}},"values":[{}]}},{{"stream":{{"job":"x","level":"warn"}},"values":[{}]}}]}}"#,
        info.join(","),
        entry("1700000003000000000", "c"),
    );
    assert_eq!(bodies, [expected]);
}

#[test]
fn every_tenant_has_a_request_of_its_own() {
    for compress in ["none", "gzip"] {
        let server = Server::start(true);
        let given = [
            ("tenant_id", "def"),
            ("tenant_id_key", "who"),
            ("labels", "job=x"),
            ("remove_keys", "level,who"),
            ("compress", compress),
        ];
        let flush = block_on(output_for(&server, &given).flush(&chunk("t", RECORDS)));
        assert!(matches!(flush, Flush::Done), "{flush:?}");
        assert_eq!(server.stub.asked().len(), 3);
        let got: Vec<String> = server
            .entries()
            .iter()
            .map(|entry| format!("{} {}", &entry[..4], &entry[entry.len() - 6..entry.len() - 5]))
            .collect();
        assert_eq!(got, ["blue b", "blue a", "blue f", "blue c", "red  d", "def  e"]);
    }
}

#[test]
fn a_tenant_that_loki_could_not_know_keeps_its_record_out() {
    let server = Server::start(true);
    let output = output_for(&server, &[("tenant_id", "def"), ("tenant_id_key", "$who")]);
    let records = [
        (1, 0, r#"{"log":"a","who":"x|y"}"#),
        (2, 0, r#"{"log":"b","who":"x\r\nA: b"}"#),
        (3, 0, r#"{"log":"c","who":""}"#),
        (4, 0, r#"{"log":"d","who":5}"#),
    ];
    let flush = block_on(output.flush(&chunk("t", &records)));
    assert!(matches!(flush, Flush::Partly { left_out: 2, refused: None }), "{flush:?}");
    assert_eq!(server.entries().len(), 2);
}

#[test]
fn a_server_that_needs_a_tenant_gets_the_chunk_again() {
    let server = Server::start(true);
    let flush = block_on(output_for(&server, &[]).flush(&chunk("t", RECORDS)));
    let Flush::Retry { reason, .. } = flush else { panic!("{flush:?}") };
    assert!(reason.ends_with("HTTP status=401 Unauthorized no org id"), "{reason}");
}

#[test]
fn whatever_the_server_does_nothing_is_lost() {
    let mut server = Server::start(false);
    let output = output_for(&server, &[]);
    testing::nothing_is_lost(&output, &mut server.stub);
    assert_eq!(server.entries().len(), testing::TAKEN);
}

#[test]
fn what_the_server_refuses_is_counted_by_its_status() {
    let server = Server::start(false);
    let port = server.stub.port().to_string();
    let given = options(OPTIONS, &[("port", &port), ("tenant_id_key", "who")]);
    let (output, metrics): (_, Metrics) =
        build_with(&given, |options, build| (loki(options, build), build.metrics.clone()));
    server.stub.fail(Some(Fault::Instead(Reply::new(400, "entry\ttoo far behind"))));
    let flush = block_on(output.unwrap().flush(&chunk("t", RECORDS)));
    let Flush::Fail(error) = flush else { panic!("{flush:?}") };
    assert!(error.0.contains("HTTP status=400 Bad Request entry\\ttoo far behind"), "{}", error.0);
    let counted = metrics.counter_of(&crate::post::REFUSED, "400").get();
    assert_eq!(counted, RECORDS.len() as u64);
}

#[test]
fn one_tenant_s_refusal_is_not_the_others() {
    let server = Server::start(false);
    server.refuse("red");
    let output = output_for(&server, &[("tenant_id_key", "who")]);
    let flush = block_on(output.flush(&chunk("t", RECORDS)));
    match flush {
        Flush::Partly { left_out: 1, refused: Some(refused) } => assert_eq!(refused.len(), 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.entries().len(), RECORDS.len() - 1);
}

#[test]
fn what_one_tenant_has_is_not_sent_again_when_another_one_has_to_wait() {
    let stub = Stub::start(|request| match request.header("x-scope-orgid") {
        Some("red") => Reply::new(429, "slow").with("Retry-After: 7"),
        Some("blue") => Reply::new(400, "never"),
        _ => Reply::new(204, ""),
    });
    let port = stub.port().to_string();
    let output = output(&[("port", &port), ("tenant_id_key", "who")]).unwrap();
    let records = [
        (1, 0, r#"{"who":"green"}"#),
        (2, 0, r#"{"who":"red"}"#),
        (3, 0, r#"{"who":"blue"}"#),
        (4, 0, r#"{"who":"a|b"}"#),
    ];
    let flush = block_on(output.flush(&chunk("t", &records)));
    let Flush::Rest { again, left_out: 2, refused, after, .. } = flush else { panic!("{flush:?}") };
    assert_eq!(again, [false, true, false, false]);
    assert_eq!(after, Some(std::time::Duration::from_secs(7)));
    assert_eq!(flb_harness::bodies(&[refused.unwrap()]), [r#"{"who":"blue"}"#]);
}

#[test]
fn whoever_asks_is_known_by_a_password_or_a_token() {
    let check = |given: &[(&str, &str)], expected: &str| {
        let server = Server::start(false);
        let flush = block_on(output_for(&server, given).flush(&chunk("t", RECORDS)));
        assert!(matches!(flush, Flush::Done), "{flush:?}");
        assert_eq!(server.stub.requests()[0].header("authorization"), Some(expected));
    };
    check(&[("http_user", "u"), ("http_passwd", "p"), ("bearer_token", "abc")], "Basic dTpw");
    check(&[("bearer_token", "abc")], "Bearer abc");
    check(&[("bearer_token", "abc"), ("header", "Authorization Other x")], "Other x");
}

#[test]
fn a_file_gives_labels_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.json");
    std::fs::write(&path, r#"{"level":"lvl","k":{"pod":"pod"}}"#).unwrap();
    let output = output(&[("label_map_path", path.to_str().unwrap())]).unwrap();
    let pushes =
        output.0.pushes(&chunk("t", &[(1, 0, r#"{"level":"info","k":{"pod":"p"},"n":1}"#)]));
    assert_eq!(
        std::str::from_utf8(&pushes[0].body).unwrap(),
        r#"{"streams":[{"stream":{"lvl":"info","pod":"p"},"values":[["1000000000","{\"k\":{},\"n\":1}"]]}]}"#
    );
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |key: &str, text: &str| output(&[(key, text)]).err().unwrap().message;
    assert_eq!(refused("label_keys", "level"), "label_keys: 'level' does not begin with '$'");
    assert_eq!(refused("labels", "level"), "labels: 'level' has no name or no value");
    assert!(refused("remove_keys", "$a['b").contains("a bracket at byte"));
    assert!(refused("structured_metadata_map_keys", "m").contains("does not begin with '$'"));
    assert!(refused("tenant_id", "a|b").contains("'a|b' is no tenant that Loki knows"));
    assert!(refused("label_map_path", "/no/such/file").contains("label_map_path '/no/such/file'"));
    assert!(refused("bearer_token", "a\nb").contains("no header"));
    assert!(refused("port", "loki").contains("is not a port number"));
}

#[test]
fn options_without_effect_are_taken() {
    output(&[("buffer_size", "1M"), ("tenant_id_key_error_handling", "partial_error")]).unwrap();
}
