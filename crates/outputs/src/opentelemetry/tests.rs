//! Records as requests, and requests against a collector made by hand.

use messages::{
    AnyValue, ExportLogsPartialSuccess, ExportLogsServiceRequest, KeyValue, LogRecord, Value,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use flb_event::{ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp};
use flb_harness::net::block_on;
use flb_harness::{build_with, chunk, msgpack, options};
use flb_net::otlp::{self, Format, Keys, Records};

fn output(given: &[(&str, &str)]) -> Result<OpenTelemetry, BuildError> {
    build_with(&options(OPTIONS, given), opentelemetry)
}

fn record(given: &[(&str, &str)], body: &str) -> LogRecord {
    let (bytes, _) = output(given).unwrap().0.request(&chunk("t", &[(1, 5, body)]), 0);
    let request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
    request.resource_logs[0].scope_logs[0].log_records[0].clone()
}

fn show(value: &AnyValue) -> String {
    let list = |values: Vec<String>| values.join(", ");
    match &value.value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => format!("'{text}'"),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Int(value)) => value.to_string(),
        Some(Value::Double(value)) => format!("{value:?}"),
        Some(Value::Bytes(bytes)) => format!("{bytes:?}"),
        Some(Value::Array(array)) => format!("[{}]", list(array.values.iter().map(show).collect())),
        Some(Value::Map(map)) => format!("{{{}}}", entries(&map.values)),
    }
}

fn entries(entries: &[KeyValue]) -> String {
    let show = |entry: &KeyValue| format!("{}: {}", entry.key, show(entry.value.as_ref().unwrap()));
    entries.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// A record's body and attributes.
fn check(given: &[(&str, &str)], body: &str, expected: &str, attributes: &str) {
    let record = record(given, body);
    assert_eq!(record.time_unix_nano, 1_000_000_005);
    assert_eq!(show(&record.body.unwrap()), expected);
    assert_eq!(entries(&record.attributes), attributes);
}

#[test]
fn a_record_is_the_body_with_every_kind_of_value() {
    let body = r#"{"s":"x","b":true,"i":-5,"d":1.5,"n":null,"l":[1,"y"],"m":{"k":{}},"u":18446744073709551615}"#;
    let expected = "{s: 'x', b: true, i: -5, d: 1.5, n: nothing, l: [1, 'y'], m: {k: {}}, u: '18446744073709551615'}";
    check(&[], body, expected, "");
}

#[test]
fn a_log_or_message_is_the_body_and_the_rest_are_attributes() {
    check(&[], r#"{"a":1,"log":"x","b":"y"}"#, "'x'", "a: 1, b: 'y'");
    check(&[], r#"{"a":1,"message":"x"}"#, "'x'", "a: 1");
}

#[test]
fn the_body_s_key_can_be_chosen() {
    let body = r#"{"a":1,"deep":{"text":"x"},"log":"y"}"#;
    let key = ("logs_body_key", "$deep['text']");
    check(&[key], body, "'x'", "");
    let with = [("logs_body_key", "$none"), ("logs_body_key", "log")];
    let with = [with[0], with[1], ("logs_body_key_attributes", "on")];
    check(&with, body, "'y'", "a: 1, deep: {text: 'x'}");
    check(&[("logs_body_key_attributes", "off")], body, "'y'", "");
}

#[test]
fn severity_and_trace_come_from_the_record() {
    let body = r#"{"SeverityText":"WARN","severityNumber":13,"TraceId":"000102030405060708090a0B0c0d0e0f","SpanId":"0001020304050607"}"#;
    let found = record(&[], body);
    assert_eq!((found.severity_text.as_str(), found.severity_number), ("WARN", 13));
    assert_eq!(found.trace_id, (0..16).collect::<Vec<u8>>());
    assert_eq!(found.span_id, (0..8).collect::<Vec<u8>>());
    let body =
        r#"{"SeverityText":5,"severityNumber":99,"TraceId":"00","SpanId":"nonsense00112233"}"#;
    let found = record(&[], body);
    assert_eq!((found.severity_text.as_str(), found.severity_number), ("", 0));
    assert!(found.trace_id.is_empty() && found.span_id.is_empty());
    let own = [("logs_severity_text_message_key", "level")];
    assert_eq!(record(&own, r#"{"level":"info"}"#).severity_text, "info");
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    let (bytes, _) = output(&[]).unwrap().0.request(&chunk("t", &[(1, 0, r#"{"log":"x"}"#)]), 0);
    let time = 1_000_000_000_u64.to_le_bytes();
    let body = [0x2a, 3, 0x0a, 1, b'x'];
    let record = [&[0x09][..], &time, &body, &[0x59], &time].concat();
    let length = record.len() as u8;
    let expected = [&[0x0a, length + 4, 0x12, length + 2, 0x12, length][..], &record].concat();
    assert_eq!(bytes, expected);
}

/// Sends three records to a collector that gives these answers; the fate, and how many records each request had.
fn send(given: &[(&str, &str)], answers: &[(&str, Vec<u8>)]) -> (Flush, Vec<usize>, u64) {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let given = [&[("port", port.as_str()), ("net.keepalive", "off")], given].concat();
        let output = output(&given).unwrap();
        let server = async {
            let mut counts = Vec::new();
            let (mut stream, _) = listener.accept().await.unwrap();
            for (index, (status, answer)) in answers.iter().enumerate() {
                let mut data = Vec::new();
                let request = loop {
                    if stream.read_buf(&mut data).await.unwrap() == 0 {
                        assert!(data.is_empty() && index > 0);
                        stream = listener.accept().await.unwrap().0;
                    }
                    let Some(end) = data.windows(4).position(|four| four == b"\r\n\r\n") else {
                        continue;
                    };
                    let head = String::from_utf8_lossy(&data[..end]).to_lowercase();
                    assert!(head.starts_with("post /v1/logs "), "{head}");
                    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
                    let length = head.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.lines().next().unwrap().parse().unwrap();
                    if data.len() == end + 4 + length {
                        break ExportLogsServiceRequest::decode(&data[end + 4..]).unwrap();
                    }
                };
                counts.push(request.resource_logs[0].scope_logs[0].log_records.len());
                let length = answer.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(&[head.as_bytes(), answer].concat()).await.unwrap();
            }
            counts
        };
        let chunk = chunk("t", &[(1, 0, "{}"), (2, 0, "{}"), (3, 0, "{}")]);
        let (flush, counts) = tokio::join!(output.flush(&chunk), server);
        (flush, counts, output.0.rejected.load(Ordering::Relaxed))
    })
}

#[test]
fn a_chunk_is_one_request_unless_batches_are_smaller() {
    let (flush, counts, _) = send(&[], &[("200 OK", vec![])]);
    assert!(matches!(flush, Flush::Done));
    assert_eq!(counts, [3]);
    let (flush, counts, _) =
        send(&[("batch_size", "2")], &[("200 OK", vec![]), ("200 OK", vec![])]);
    assert!(matches!(flush, Flush::Done));
    assert_eq!(counts, [2, 1]);
}

#[test]
fn the_status_decides_and_what_was_dropped_is_counted() {
    let partial =
        ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "too old".to_owned() };
    let partial = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let (flush, _, rejected) = send(&[], &[("200 OK", partial)]);
    assert!(matches!(flush, Flush::Partly { left_out: 2, .. }));
    assert_eq!(rejected, 2);
    assert!(matches!(send(&[], &[("503 Busy", vec![])]).0, Flush::Retry { .. }));
    assert!(matches!(send(&[], &[("400 Bad", vec![])]).0, Flush::Fail(_)));
    // An answer that is no protocol buffer is a good one all the same.
    assert!(matches!(send(&[], &[("200 OK", b"{}".to_vec())]).0, Flush::Done));
}

/// What a request becomes on its way through records.
fn through(format: Format, request: &[u8]) -> Vec<u8> {
    let keys = Keys { metadata: "otlp".to_owned(), body: None };
    let (tag, now) = (Tag::new("t").unwrap(), Timestamp { sec: 5, nsec: 0 });
    let mut records = Records::new(&tag, now, &keys, 1_000_000);
    otlp::read(format, request, &mut records).unwrap();
    let chunks = records.finish();
    assert_eq!(chunks.len(), 1);
    let (bytes, left_out) = output(&[]).unwrap().0.request(&chunks[0], 0);
    assert_eq!(left_out, 0);
    bytes
}

const EVERY_FIELD: &[u8] = include_bytes!("../../../net/tests/corpus/otlp/every_field");
const PYTHON_SDK: &[u8] = include_bytes!("../../../net/tests/corpus/otlp/python_sdk");
const PYTHON_SDK_JSON: &[u8] = include_bytes!("../../../net/tests/corpus/otlp/python_sdk_json");

#[test]
fn what_came_in_by_otlp_goes_out_as_it_came() {
    let read = |bytes: &[u8]| ExportLogsServiceRequest::decode(bytes).unwrap();
    assert_eq!(read(&through(Format::Protobuf, EVERY_FIELD)), read(EVERY_FIELD));
    assert_eq!(read(&through(Format::Protobuf, PYTHON_SDK)), read(PYTHON_SDK));
    assert_eq!(read(&through(Format::Json, PYTHON_SDK_JSON)), read(PYTHON_SDK));
}

#[test]
fn what_filters_have_changed_goes_out_as_they_left_it() {
    let metadata = r#"{"otlp":{"timestamp":9000000000,"observed_timestamp":9000000001,"attributes":{"a":1},"severity_number":9,"trace_flags":0},"group_attributes":{"resource":{},"scope":{}},"more":2}"#;
    let mut chunk = ChunkBuilder::new(Tag::new("t").unwrap());
    let (metadata, body) = (msgpack(metadata), msgpack(r#"{"log":"x","added":3}"#));
    let time = Timestamp { sec: 8, nsec: 0 };
    let pushed: Result<(), RecordTooLarge> =
        chunk.push(Event { time, metadata: &metadata, body: &body });
    pushed.unwrap();
    let (bytes, _) = output(&[]).unwrap().0.request(&chunk.build(), 0);
    let mut request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
    let log = request.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0);
    assert_eq!((log.time_unix_nano, log.observed_time_unix_nano), (8_000_000_000, 9_000_000_001));
    assert_eq!(show(&log.body.unwrap()), "'x'");
    assert_eq!(entries(&log.attributes), "a: 1, added: 3, more: 2");
}

#[test]
fn metadata_of_other_names_says_what_a_log_is() {
    let log = |given: &[(&str, &str)], metadata: &str| {
        let mut chunk = ChunkBuilder::new(Tag::new("t").unwrap());
        let (metadata, body) = (msgpack(metadata), msgpack(r#"{"log":"x","SeverityText":"low"}"#));
        let time = Timestamp { sec: 8, nsec: 0 };
        let pushed: Result<(), RecordTooLarge> =
            chunk.push(Event { time, metadata: &metadata, body: &body });
        pushed.unwrap();
        let (bytes, _) = output(given).unwrap().0.request(&chunk.build(), 0);
        let mut request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
        request.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0)
    };
    let id = "000102030405060708090a0b0c0d0e0f";
    let metadata = format!(
        r#"{{"Timestamp":5,"ObservedTimestamp":6,"SeverityNumber":9,"level":"INFO","TraceId":"{id}","SpanId":"0001020304050607","TraceFlags":1,"Attributes":{{"a":1}}}}"#
    );
    let told = log(&[("logs_severity_text_metadata_key", "$level")], &metadata);
    assert_eq!((told.time_unix_nano, told.observed_time_unix_nano), (5, 6));
    assert_eq!((told.severity_number, &*told.severity_text, told.flags), (9, "INFO", 1));
    assert_eq!((told.trace_id.len(), told.span_id.len()), (16, 8));
    assert!(entries(&told.attributes).ends_with("a: 1"), "{}", entries(&told.attributes));
    let told = log(
        &[],
        r#"{"otlp":{"timestamp":8000000000,"severity_number":3},"SeverityNumber":9,"Timestamp":5}"#,
    );
    assert_eq!(
        (told.time_unix_nano, told.severity_number, &*told.severity_text),
        (8_000_000_000, 3, "low")
    );
}

/// What a call is answered with: headers, a body, trailers.
type Told =
    (&'static [(&'static str, &'static str)], Vec<u8>, &'static [(&'static str, &'static str)]);

/// Flushes a record to a server of HTTP/2; the fate, what was asked for by path and headers, and the body.
fn called(given: &[(&str, &str)], told: Told) -> (Flush, http::request::Parts, Vec<u8>) {
    use http_body_util::{BodyExt as _, Full};
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let output = output(&[&[("port", port.as_str())], given].concat()).unwrap();
        let (asked, mut questions) = tokio::sync::mpsc::channel(1);
        let (headers, body, trailers) = told;
        let map = |pairs: &[(&'static str, &'static str)]| -> http::HeaderMap {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect()
        };
        let (headers, trailers) = (map(headers), map(trailers));
        let service =
            hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (asked, headers, body, trailers) =
                    (asked.clone(), headers.clone(), body.clone(), trailers.clone());
                async move {
                    let (parts, incoming) = request.into_parts();
                    let question = incoming.collect().await.unwrap().to_bytes().to_vec();
                    asked.send((parts, question)).await.unwrap();
                    let body = Full::new(hyper::body::Bytes::from(body));
                    let mut answer =
                        http::Response::new(body.with_trailers(async move { Some(Ok(trailers)) }));
                    answer.headers_mut().extend(headers);
                    Ok::<_, std::convert::Infallible>(answer)
                }
            });
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let io = hyper_util::rt::TokioIo::new(stream);
            let executor = hyper_util::rt::TokioExecutor::new();
            hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await
        };
        let chunk = chunk("t", &[(1, 0, r#"{"log":"x"}"#)]);
        let flush = tokio::select! {
            flush = output.flush(&chunk) => flush,
            _ = serve => panic!("the connection ended"),
        };
        let (parts, body) = questions.recv().await.unwrap();
        (flush, parts, body)
    })
}

fn message(bytes: &[u8]) -> Vec<u8> {
    flb_net::grpc::framed(bytes.to_vec(), Packing::Nothing)
}

const GRPC: (&str, &str) = ("grpc", "on");
const GOOD: &[(&str, &str)] = &[("grpc-status", "0")];

#[test]
fn grpc_calls_the_collector_and_its_status_decides() {
    let (flush, parts, body) = called(&[GRPC], (&[], message(b""), GOOD));
    assert!(matches!(flush, Flush::Done), "{flush:?}");
    assert_eq!(parts.uri.path(), "/opentelemetry.proto.collector.logs.v1.LogsService/Export");
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(
        (header("content-type"), header("te")),
        (Some("application/grpc"), Some("trailers"))
    );
    let request = ExportLogsServiceRequest::decode(&body[5..]).unwrap();
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records.len(), 1);
    let partial =
        ExportLogsPartialSuccess { rejected_log_records: 1, error_message: String::new() };
    let partial = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let (flush, ..) = called(&[GRPC], (&[], message(&partial), GOOD));
    assert!(matches!(flush, Flush::Partly { left_out: 1, .. }), "{flush:?}");
    for (headers, trailers, words) in [
        (
            &[("grpc-status", "14"), ("grpc-message", "not%20now"), ("retry-after", "5")][..],
            &[][..],
            "gRPC status=14 not now",
        ),
        (&[], &[("grpc-status", "16")], "gRPC status=16"),
        (&[], &[], "nothing of gRPC"),
        (&[], &[("grpc-status", "x")], "nothing of gRPC"),
    ] {
        let (flush, ..) = called(&[GRPC], (headers, vec![], trailers));
        let Flush::Retry { reason, after } = flush else { panic!("{flush:?}") };
        assert!(reason.contains(words), "{reason}");
        assert_eq!(after.is_some(), headers.len() == 3);
    }
    let (flush, ..) =
        called(&[GRPC], (&[], vec![], &[("grpc-status", "3"), ("grpc-message", "bad")]));
    let Flush::Fail(error) = flush else { panic!("{flush:?}") };
    assert!(error.to_string().contains("gRPC status=3 bad"), "{error}");
}

#[test]
fn messages_of_grpc_and_bodies_of_http2_are_compressed_as_their_headers_say() {
    let (_, parts, body) = called(&[GRPC, ("compress", "gzip")], (&[], message(b""), GOOD));
    let header = |parts: &http::request::Parts, name: &str| {
        parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header(&parts, "grpc-encoding").as_deref(), Some("gzip"));
    assert_eq!((header(&parts, "content-encoding"), body[0]), (None, 1));
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[5..]), &mut unpacked)
        .unwrap();
    assert!(ExportLogsServiceRequest::decode(&*unpacked).is_ok());
    let (flush, parts, body) = called(&[("http2", "on"), ("compress", "zstd")], (&[], vec![], &[]));
    assert!(matches!(flush, Flush::Done), "{flush:?}");
    assert_eq!((parts.version, parts.uri.path()), (http::Version::HTTP_2, "/v1/logs"));
    assert_eq!(header(&parts, "content-encoding").as_deref(), Some("zstd"));
    assert_eq!(body[..4], *b"\x28\xb5\x2f\xfd");
}
