//! Against a server that is as strict as Splunk, and against what Fluent Bit posts.

use super::server::Server;
use super::*;
use flb_harness::net::block_on;
use flb_harness::{build_with, chunk, options};
use flb_plugin::Metrics;
use flb_testkit::stub::{Fault, Reply};

use crate::testing;

fn output(given: &[(&str, &str)]) -> Result<Splunk, BuildError> {
    build_with(&options(OPTIONS, given), splunk)
}

fn output_for(server: &Server, given: &[(&str, &str)]) -> Splunk {
    let port = server.stub.port().to_string();
    output(&[&[("port", port.as_str()), ("http.response_timeout", "1")], given].concat()).unwrap()
}

const TOKEN: (&str, &str) = ("splunk_token", "tok");
const RECORDS: &[(u32, u32, &str)] =
    &[(1, 500_000_000, r#"{"log":"a","n":1}"#), (2, 0, r#"{"log":"b"}"#)];

#[test]
fn requests_are_those_that_fluent_bit_posts() {
    for (name, case) in testing::cases("splunk") {
        let server = Server::start();
        let given = testing::given(&case);
        let is_raw = given.contains(&("splunk_send_raw", "on"));
        let flush = block_on(output_for(&server, &given).flush(&testing::records(&case)));
        // Records that are no events are refused, as by the real one.
        assert_eq!(matches!(flush, Flush::Done), !is_raw, "{name}: {flush:?}");
        let [request] = &server.stub.requests()[..] else { panic!("{name}: not one request") };
        let (body, left_out) = output(&given).unwrap().0.body(&testing::records(&case));
        let body = String::from_utf8(body).unwrap().replace('\n', "\\n");
        let authorization = request.header("authorization").unwrap();
        let got = format!("{} {authorization} {body}\n", request.path);
        assert_eq!((got.as_str(), left_out), (case.section("expected").unwrap(), 0), "{name}");
    }
}

#[test]
fn what_is_known_of_an_event_goes_with_it() {
    let server = Server::start();
    let given = [
        TOKEN,
        ("channel", "abc"),
        ("event_host", "h-$TAG[0]"),
        ("event_source", "$none"),
        ("event_sourcetype", "st"),
        ("event_sourcetype_key", "$log"),
        ("event_index", "main"),
        ("event_index_key", "$none"),
        ("event_field", "n $n"),
        ("compress", "gzip"),
    ];
    let flush = block_on(output_for(&server, &given).flush(&chunk("a.b", RECORDS)));
    assert!(matches!(flush, Flush::Done), "{flush:?}");
    let events: Vec<String> = server.events().iter().map(ToString::to_string).collect();
    assert_eq!(
        events,
        [
            r#"{"event":{"log":"a","n":1},"fields":{"n":1},"host":"h-a","index":"main","sourcetype":"a","time":1.5}"#,
            r#"{"event":{"log":"b"},"fields":{},"host":"h-a","index":"main","sourcetype":"b","time":2.0}"#,
        ]
    );
    assert_eq!(server.stub.requests()[0].header("x-splunk-request-channel"), Some("abc"));
}

#[test]
fn whatever_the_server_does_nothing_is_lost() {
    let mut server = Server::start();
    let output = output_for(&server, &[TOKEN]);
    testing::nothing_is_lost(&output, &mut server.stub);
    assert_eq!(server.events().len(), testing::TAKEN);
}

#[test]
fn half_an_answer_of_a_server_that_took_it_is_enough() {
    let server = Server::start();
    server.stub.fail(Some(Fault::Half));
    let flush = block_on(output_for(&server, &[TOKEN]).flush(&chunk("t", RECORDS)));
    assert!(matches!(flush, Flush::Done), "{flush:?}");
    assert_eq!(server.events().len(), 2);
}

#[test]
fn with_a_wrong_token_the_chunk_comes_again() {
    let server = Server::start();
    let flush =
        block_on(output_for(&server, &[("splunk_token", "old")]).flush(&chunk("t", RECORDS)));
    let Flush::Retry { reason, .. } = flush else { panic!("{flush:?}") };
    assert!(reason.ends_with(r#"HTTP status=403 Forbidden {"text":"Invalid token"}"#), "{reason}");
}

#[test]
fn what_the_server_refuses_is_counted_by_its_status() {
    let server = Server::start();
    let port = server.stub.port().to_string();
    let given = options(OPTIONS, &[("port", &port), TOKEN]);
    let (output, metrics): (_, Metrics) =
        build_with(&given, |options, build| (splunk(options, build), build.metrics.clone()));
    server.stub.fail(Some(Fault::Instead(Reply::new(400, "Incorrect\nindex"))));
    let flush = block_on(output.unwrap().flush(&chunk("t", RECORDS)));
    let Flush::Fail(error) = flush else { panic!("{flush:?}") };
    assert!(error.0.contains("HTTP status=400 Bad Request Incorrect\\nindex"), "{}", error.0);
    assert_eq!(metrics.counter_of(&crate::post::REFUSED, "400").get(), 2);
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| output(given).err().unwrap().message;
    assert_eq!(refused(&[]), "neither splunk_token nor http_user is given");
    assert!(refused(&[TOKEN, ("event_key", "log")]).contains("does not begin with '$'"));
    assert!(refused(&[TOKEN, ("event_index_key", "i")]).contains("does not begin with '$'"));
    assert!(refused(&[TOKEN, ("event_field", "alone")]).contains("no key behind the name"));
    assert!(refused(&[TOKEN, ("event_host", "$a[")]).contains("a bracket at byte"));
    assert!(refused(&[TOKEN, ("channel", "a\nb")]).contains("channel: "));
    assert!(refused(&[("splunk_token", "a\nb")]).contains("no header"));
}

#[test]
fn options_without_effect_are_taken() {
    output(&[TOKEN, ("http_buffer_size", "1M"), ("http_debug_bad_request", "on")]).unwrap();
}
