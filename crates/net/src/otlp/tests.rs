//! Requests as records.

use flb_event::{Tag, Timestamp};
use flb_harness::json_text;

use super::*;

fn keys(body: Option<&str>) -> Keys {
    Keys { metadata: "otlp".to_owned(), body: body.map(str::to_owned) }
}

/// The records of a request: time, metadata, body.
fn taken(format: Format, request: &[u8], keys: &Keys) -> Result<Vec<String>, OtlpError> {
    let tag = Tag::new("t").unwrap();
    let mut records = Records::new(&tag, Timestamp { sec: 5, nsec: 0 }, keys, 1_000_000);
    read(format, request, &mut records)?;
    let mut shown = Vec::new();
    for chunk in records.finish() {
        for event in chunk.records() {
            let Timestamp { sec, nsec } = event.time;
            let (metadata, body) = (json_text(event.metadata), json_text(event.body));
            shown.push(format!("{sec}.{nsec:09} {metadata} {body}"));
        }
    }
    Ok(shown)
}

/// A JSON request with one log.
fn json(log: &str) -> String {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{log}]}}]}}]}}"#)
}

/// The one record of a JSON request with one log; without the group, which is empty.
fn one(log: &str) -> Result<String, OtlpError> {
    let records = taken(Format::Json, json(log).as_bytes(), &keys(None))?;
    Ok(records.concat().replace(r#","group_attributes":{"resource":{},"scope":{}}"#, ""))
}

/// What becomes of a body: the metadata says whether it was a map.
#[track_caller]
fn check_body(body: &str, expected: &str) {
    let is_map = if body.contains("kvlist") && !body.contains("array") {
        r#","body_type":"kvlist""#
    } else {
        ""
    };
    let record = one(&format!(r#"{{"body":{body}}}"#)).unwrap();
    assert_eq!(record, format!(r#"5.000000000 {{"otlp":{{"trace_flags":0{is_map}}}}} {expected}"#));
}

fn nested(depth: usize) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..depth {
        let mut list = Vec::new();
        wire::write_bytes(&mut list, 1, &value);
        value.clear();
        wire::write_bytes(&mut value, 5, &list);
    }
    [5, 2, 2, 1].iter().fold(value, |inner, field| {
        let mut outer = Vec::new();
        wire::write_bytes(&mut outer, *field, &inner);
        outer
    })
}

#[test]
fn every_kind_of_body_is_a_record() {
    check_body(r#"{"stringValue":"x"}"#, r#"{"log":"x"}"#);
    check_body(r#"{"boolValue":true}"#, r#"{"log":true}"#);
    check_body(r#"{"intValue":"-9223372036854775808"}"#, r#"{"log":-9223372036854775808}"#);
    check_body(r#"{"intValue":7}"#, r#"{"log":7}"#);
    check_body(r#"{"doubleValue":1}"#, r#"{"log":1.0}"#);
    check_body("{}", r#"{"log":null}"#);
    check_body("null", r#"{"log":null}"#);
    let list = r#"{"arrayValue":{"values":[{"intValue":1},{},{"kvlistValue":{}}]}}"#;
    check_body(list, r#"{"log":[1,null,{}]}"#);
    let map =
        r#"{"kvlistValue":{"values":[{"key":"a","value":{"doubleValue":"1.5"}},{"key":"b"}]}}"#;
    check_body(map, r#"{"a":1.5,"b":null}"#);
    check_body(r#"{"kvlistValue":{}}"#, "{}");
}

#[test]
fn a_log_s_fields_are_metadata() {
    let log = r#"{"timeUnixNano":"1500000000000000001","observedTimeUnixNano":"1500000000000000002",
        "severityNumber":9,"severityText":"Info","body":{"stringValue":"x"},
        "attributes":[{"key":"n","value":{"intValue":"1"}}],"droppedAttributesCount":2,"flags":1,
        "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","eventName":"e"}"#;
    let record = one(log).unwrap();
    let (time, rest) = record.split_once(' ').unwrap();
    assert_eq!(time, "1500000000.000000001");
    assert!(rest.starts_with(
        r#"{"otlp":{"observed_timestamp":1500000000000000002,"timestamp":1500000000000000001,"severity_number":9,"severity_text":"Info","attributes":{"n":1},"dropped_attributes_count":2,"trace_id":"#
    ));
    assert!(rest.ends_with(r#","trace_flags":1,"event_name":"e"}} {"log":"x"}"#), "{rest}");
}

#[test]
fn the_time_is_the_log_s_or_when_it_was_seen_or_now() {
    let time = |log: &str| one(log).unwrap().split_once(' ').unwrap().0.to_owned();
    assert_eq!(time(r#"{"observedTimeUnixNano":3000000001}"#), "3.000000001");
    assert_eq!(time(r#"{"timeUnixNano":0,"observedTimeUnixNano":"0"}"#), "5.000000000");
    assert_eq!(time(r#"{"timeUnixNano":"18446744073709551615"}"#), "5.000000000");
}

#[test]
fn what_logs_of_one_origin_have_in_common_is_part_of_each() {
    let request = r#"{"resourceLogs":[
        {"resource":{"attributes":[{"key":"r","value":{"stringValue":"1"}}],"droppedAttributesCount":3},"schemaUrl":"u",
         "scopeLogs":[{"scope":{"name":"n","version":"v","attributes":[{"key":"s"}]},"logRecords":[{},{}]},{"logRecords":[{}]}]},
        {"scopeLogs":[{"schemaUrl":"w","logRecords":[{}]}]}, {"resource":null,"scopeLogs":[]}, {}]}"#;
    let resource =
        r#"{"resource":{"attributes":{"r":"1"},"dropped_attributes_count":3,"schema_url":"u"},"#;
    let groups = [
        format!(r#"{resource}"scope":{{"name":"n","version":"v","attributes":{{"s":null}}}}}}"#),
        format!(r#"{resource}"scope":{{}}}}"#),
        r#"{"resource":{},"scope":{"schema_url":"w"}}"#.to_owned(),
    ];
    let expected = [0, 0, 1, 2].map(|group: usize| {
        let group = &groups[group];
        format!(
            r#"5.000000000 {{"otlp":{{"trace_flags":0}},"group_attributes":{group}}} {{"log":null}}"#
        )
    });
    assert_eq!(taken(Format::Json, request.as_bytes(), &keys(None)).unwrap(), expected);
}

#[test]
fn keys_are_those_of_the_options() {
    let keys = Keys { metadata: "m".to_owned(), body: Some("b".to_owned()) };
    let request = json(r#"{"body":{"kvlistValue":{}}}"#);
    let records = taken(Format::Json, request.as_bytes(), &keys).unwrap().concat();
    assert!(records.contains(r#"{"m":{"trace_flags":0},"#) && records.ends_with(r#"{"b":{}}"#));
}

#[test]
fn a_wrong_document_is_refused_with_the_field() {
    let why = |request: &str| {
        taken(Format::Json, request.as_bytes(), &keys(None)).unwrap_err().to_string()
    };
    assert_eq!(why("{} x"), "the document: nothing behind it expected");
    assert_eq!(why(r#"{"resourceLogs":5}"#), "resourceLogs: a list expected");
    assert_eq!(why(r#"{"resourceLogs":[5]}"#), "resourceLogs: an object expected");
    assert!(why("[]").contains("at byte"), "{}", why("[]"));
    let why = |log: &str| one(log).unwrap_err().to_string();
    assert_eq!(why(r#"{"timeUnixNano":-1}"#), "timeUnixNano: a number from 0 expected");
    assert!(why(r#"{"traceId":"12"}"#).starts_with("traceId: "));
    assert!(why(r#"{"body":{"intValue":"9223372036854775808"}}"#).starts_with("intValue: "));
    assert!(why(r#"{"body":{"bytesValue":"?"}}"#).starts_with("bytesValue: "));
    assert!(why(r#"{"body":{"textValue":"x"}}"#).starts_with("body: "));
}

#[test]
fn values_may_lie_so_deep_and_no_deeper() {
    let read = |depth| taken(Format::Protobuf, &nested(depth), &keys(None));
    assert_eq!(read(100).unwrap().len(), 1);
    assert_eq!(read(101), Err(OtlpError::TooDeep));
    let deep = format!(r#"{{"resourceLogs":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(taken(Format::Json, deep.as_bytes(), &keys(None)), Err(OtlpError::Json(_))));
}

#[test]
fn a_small_request_cannot_become_many_bytes_of_records() {
    let mut attribute = Vec::new();
    wire::write_bytes(&mut attribute, 1, &[b'k'; 10_000]);
    let mut resource = Vec::new();
    wire::write_bytes(&mut resource, 1, &attribute);
    let mut group = Vec::new();
    wire::write_bytes(&mut group, 1, &resource);
    wire::write_bytes(&mut group, 2, &[0x12, 0].repeat(1000));
    let mut request = Vec::new();
    wire::write_bytes(&mut request, 1, &group);
    let refused = taken(Format::Protobuf, &request, &keys(None));
    assert_eq!(refused, Err(OtlpError::TooMuch(1_000_000)));
}

#[test]
fn a_cut_request_is_refused_as_a_whole() {
    let whole = nested(3);
    assert_eq!(taken(Format::Protobuf, &whole, &keys(None)).unwrap().len(), 1);
    for length in 1..whole.len() {
        let cut = taken(Format::Protobuf, &whole[..length], &keys(None));
        assert_eq!(cut, Err(OtlpError::Wire(wire::WireError::Truncated)), "{length}");
    }
    assert_eq!(taken(Format::Protobuf, b"", &keys(None)), Ok(vec![]));
}

#[test]
fn requests_of_the_corpus_are_handled() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    flb_testkit::replay(&corpus.join("otlp"), oracle::check);
}
