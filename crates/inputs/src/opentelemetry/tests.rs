//! Requests over real sockets: HTTP/1.1 byte by byte, HTTP/2 by the library that most clients have in them.

use std::io::Write as _;

use flb_harness::net::{Desk, Identity};
use flb_harness::{build_with, options};
use flb_net::stream::Stream;
use flb_plugin::Service;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const JSON: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"7000000000","body":{"stringValue":"x"}}]}]}]}"#;
const ONE: &str = r#"v1_logs 7.000000000 {"otlp":{"timestamp":7000000000,"trace_flags":0},"group_attributes":{"resource":{},"scope":{}}} {"log":"x"}"#;
/// The same in protocol buffers.
const PROTOBUF: &[u8] =
    b"\x0a\x12\x12\x10\x12\x0e\x09\x00\x86\x3b\xa1\x01\x00\x00\x00\x2a\x03\x0a\x01x";
const GRPC_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn input(given: &[(&str, &str)]) -> Result<Served<Clients>, BuildError> {
    let given = [&[("listen", "127.0.0.1"), ("port", "0")], given].concat();
    build_with(&options(OPTIONS, &given), |options, build| {
        let tag = Tag::new("opentelemetry.0").unwrap();
        let service = Service { max_connections: 1_000, ..build.service.clone() };
        opentelemetry(options, &Build { tag: &tag, service: &service, ..*build })
    })
}

/// Runs `client` against an input, then stops it; the records that came out.
fn serve<F: Future<Output = ()>>(
    given: &[(&str, &str)],
    client: impl FnOnce(String, Desk) -> F,
) -> Vec<String> {
    served::serve(|| input(given).unwrap(), client)
}

/// Sends a request and closes; the answer's head in small letters, and its body.
async fn ask(address: &str, path: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut client = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    // A refusal may come before the body is sent.
    let _ = client.write_all(body).await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
}

const AS_JSON: &str = "Content-Type: application/json\r\n";
const AS_PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";

/// The head and the body of the answer to one request, and the records.
fn post(given: &[(&str, &str)], headers: &str, body: &[u8]) -> (String, Vec<u8>, Vec<String>) {
    let mut told = Default::default();
    let records = serve(given, async |address, _| {
        told = ask(&address, "/v1/logs", headers, body).await;
    });
    (told.0, told.1, records)
}

#[track_caller]
fn check(given: &[(&str, &str)], headers: &str, body: &[u8], status: u16, answer: &[u8]) {
    let (head, told, records) = post(given, headers, body);
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
    assert_eq!(String::from_utf8_lossy(&told), String::from_utf8_lossy(answer));
    assert_eq!(records.len(), usize::from(status < 300));
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_request_in_json_or_protocol_buffers_is_records() {
    for (headers, body) in [(AS_JSON, JSON.as_bytes()), (AS_PROTOBUF, PROTOBUF)] {
        let (head, _, records) = post(&[], headers, body);
        assert!(head.starts_with("http/1.1 201 "), "{head}");
        assert_eq!(records, [ONE]);
    }
}

#[test]
fn a_good_answer_is_an_empty_message_of_the_same_kind() {
    check(&[], AS_JSON, JSON.as_bytes(), 201, b"{}");
    check(&[], AS_PROTOBUF, PROTOBUF, 201, b"");
    check(&[("successful_response_code", "200")], AS_JSON, JSON.as_bytes(), 200, b"{}");
    check(&[("successful_response_code", "204")], AS_JSON, JSON.as_bytes(), 204, b"");
}

#[test]
fn a_refusal_is_a_status_of_the_same_kind() {
    let text = "the request cannot be read: a field is cut off";
    let status = [&[8, 3, 0x12, text.len() as u8], text.as_bytes()].concat();
    check(&[], AS_PROTOBUF, &PROTOBUF[..19], 400, &status);
    let told =
        br#"{"code":3,"message":"the request cannot be read: resourceLogs: a list expected"}"#;
    check(&[], AS_JSON, br#"{"resourceLogs":{}}"#, 400, told);
    let told = br#"{"code":12,"message":"the content type is none of OTLP: application/x-protobuf, application/json, application/grpc"}"#;
    check(&[], "Content-Type: text/plain\r\n", JSON.as_bytes(), 415, told);
    check(&[], "", JSON.as_bytes(), 415, told);
    let brotli = format!("{AS_JSON}Content-Encoding: br\r\n");
    let told = br#"{"code":12,"message":"encoding 'br' is not known: use gzip, zstd or snappy"}"#;
    check(&[], &brotli, JSON.as_bytes(), 415, told);
}

#[test]
fn a_body_may_be_compressed_and_is_no_bomb() {
    let zipped = format!("{AS_PROTOBUF}Content-Encoding: gzip\r\n");
    check(&[], &zipped, &gzip(PROTOBUF), 201, b"");
    let zipped = format!("{AS_JSON}Content-Encoding: gzip\r\n");
    let bomb = gzip(&vec![b' '; 50_000_000]);
    let told = br#"{"code":8,"message":"the body is longer than 10000 bytes"}"#;
    check(&[("buffer_max_size", "10k")], &zipped, &bomb[..9_000.min(bomb.len())], 413, told);
    check(&[("buffer_max_size", "10k")], AS_JSON, &[b' '; 20_000], 413, told);
    let zstd = format!("{AS_JSON}Content-Encoding: zstd\r\n");
    let (head, ..) = post(&[], &zstd, b"no zstd");
    assert!(head.starts_with("http/1.1 400 "), "{head}");
}

#[test]
fn the_tag_tells_the_signal_unless_it_is_given() {
    let tag = |given: &[(&str, &str)]| {
        let records = post(given, AS_JSON, JSON.as_bytes()).2;
        records[0].split_once(' ').unwrap().0.to_owned()
    };
    assert_eq!(tag(&[]), "v1_logs");
    assert_eq!(tag(&[("tag_from_uri", "off")]), "opentelemetry.0");
    let is_default = |tag: &str| is_default(&Tag::new(tag).unwrap());
    assert!(is_default("opentelemetry.12"));
    assert!(!is_default("opentelemetry.x") && !is_default("app.0"));
}

#[test]
fn records_have_the_keys_of_the_options() {
    let given = [("logs_metadata_key", "m"), ("logs_body_key", "b")];
    let records = post(&given, AS_JSON, JSON.as_bytes()).2;
    assert!(records[0].contains(r#"{"m":{"timestamp""#) && records[0].ends_with(r#"{"b":"x"}"#));
}

#[test]
fn traces_and_metrics_are_refused_and_raw_traces_taken() {
    let records = serve(&[], async |address, _| {
        for path in ["/v1/traces", "/v1/metrics", "/v1development/profiles", "/"] {
            let (head, told) = ask(&address, path, AS_JSON, b"{}").await;
            assert!(head.starts_with("http/1.1 404 "), "{head}");
            let told = String::from_utf8(told).unwrap();
            assert!(told.starts_with(r#"{"code":12,"message":"nothing is taken at /"#), "{told}");
        }
    });
    assert!(records.is_empty());
    let records = serve(&[("raw_traces", "on")], async |address, _| {
        for (headers, body) in [(AS_JSON, r#"{"a":1}"#), (AS_PROTOBUF, "x"), (AS_JSON, "[")] {
            ask(&address, "/v1/traces", headers, body.as_bytes()).await;
        }
    });
    let bodies = [r#"{"a":1}"#, r#"{"trace":"x"}"#, r#"{"trace":"["}"#];
    assert_eq!(records, bodies.map(|body| format!("v1_traces 5.000000000 {body}")));
}

#[test]
fn a_full_pipeline_asks_clients_to_come_again() {
    let records = serve(&[("net.io_timeout", "1")], async |address, desk| {
        desk.set_full(true);
        let (head, told) = ask(&address, "/v1/logs", AS_PROTOBUF, PROTOBUF).await;
        assert!(head.starts_with("http/1.1 503 ") && head.contains("retry-after: 1"), "{head}");
        assert!(told.starts_with(&[8, 14, 0x12]), "{told:?}");
        desk.set_full(false);
        let (head, _) = ask(&address, "/v1/logs", AS_PROTOBUF, PROTOBUF).await;
        assert!(head.starts_with("http/1.1 201 "), "{head}");
    });
    assert_eq!(records, [ONE]);
}

/// A gRPC message.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// What a call came to: its status, its text, and the message.
async fn call(
    stream: Stream,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (String, String, Vec<u8>) {
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let call = async {
        let mut client = client.ready().await.unwrap();
        let mut request = Request::post(format!("http://x{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (answer, mut send) = client.send_request(request.body(()).unwrap(), false).unwrap();
        // A refusal may come before the body is sent.
        let _ = send.send_data(Bytes::from(body), true);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut told = answer.headers().clone();
        let mut body = answer.into_body();
        let mut message = Vec::new();
        while let Some(data) = body.data().await {
            message.extend_from_slice(&data.unwrap());
        }
        if let Ok(Some(trailers)) = body.trailers().await {
            told.extend(trailers);
        }
        let text =
            |name: &str| told.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        (text("grpc-status"), text("grpc-message"), message)
    };
    tokio::join!(call, connection).0
}

async fn dial(address: &str) -> Stream {
    Box::new(TcpStream::connect(address).await.unwrap())
}

#[test]
fn a_call_of_grpc_is_records() {
    let records = serve(&[], async |address, _| {
        let told = call(dial(&address).await, GRPC_PATH, &[], framed(0, PROTOBUF)).await;
        assert_eq!(told, ("0".to_owned(), String::new(), vec![0; 5]));
        let packed = framed(1, &gzip(PROTOBUF));
        let told =
            call(dial(&address).await, GRPC_PATH, &[("grpc-encoding", "gzip")], packed).await;
        assert_eq!(told.0, "0");
    });
    assert_eq!(records, [ONE, ONE]);
}

#[test]
fn a_call_that_is_refused_has_a_status() {
    let records = serve(&[("buffer_max_size", "10k")], async |address, _| {
        let status = async |path: &str, body: Vec<u8>| {
            let (status, text, message) = call(dial(&address).await, path, &[], body).await;
            assert!(message.is_empty() && !text.is_empty());
            status
        };
        assert_eq!(status(GRPC_PATH, framed(0, &PROTOBUF[1..])).await, "3");
        assert_eq!(status(GRPC_PATH, framed(2, PROTOBUF)).await, "3");
        assert_eq!(status(GRPC_PATH, b"\x00\x00".to_vec()).await, "3");
        assert_eq!(status(GRPC_PATH, [framed(0, PROTOBUF), vec![0]].concat()).await, "3");
        assert_eq!(status(GRPC_PATH, framed(0, &[0; 20_000])).await, "8");
        let traces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert_eq!(status(traces, framed(0, b"")).await, "12");
        let unknown = [("grpc-encoding", "br")];
        let told = call(dial(&address).await, GRPC_PATH, &unknown, framed(1, PROTOBUF)).await;
        assert_eq!(
            (&*told.0, &*told.1),
            ("12", "encoding 'br' is not known: use gzip, zstd or snappy")
        );
    });
    assert!(records.is_empty());
}

#[test]
fn grpc_clients_are_asked_to_come_again_when_the_pipeline_is_full() {
    serve(&[("net.io_timeout", "1")], async |address, desk| {
        desk.set_full(true);
        let told = call(dial(&address).await, GRPC_PATH, &[], framed(0, PROTOBUF)).await;
        assert_eq!(told.0, "14");
        desk.set_full(false);
    });
}

#[test]
fn calls_go_over_tls() {
    let identity = Identity::new();
    let given =
        [("tls", "on"), ("tls.crt_file", identity.certificate()), ("tls.key_file", identity.key())];
    let records = serve(&given, async |address, _| {
        let stream = identity.connect(&address).await;
        assert_eq!(call(stream, GRPC_PATH, &[], framed(0, PROTOBUF)).await.0, "0");
    });
    assert_eq!(records, [ONE]);
}

#[test]
fn http2_can_be_switched_off() {
    let records = serve(&[("http2", "off")], async |address, _| {
        let mut client = TcpStream::connect(&address).await.unwrap();
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
        let (head, _) = ask(&address, "/v1/logs", AS_JSON, JSON.as_bytes()).await;
        assert!(head.starts_with("http/1.1 201 "), "{head}");
    });
    assert_eq!(records, [ONE]);
}

/// Waits for the good answer to a call.
async fn taken(answer: h2::client::ResponseFuture) {
    let mut body = answer.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), &[0; 5][..]);
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[test]
fn many_calls_share_a_connection() {
    let records = serve(&[], async |address, _| {
        let (client, connection) = h2::client::handshake(dial(&address).await).await.unwrap();
        let calls = async {
            let mut answers = Vec::new();
            let mut client = client;
            for number in 0..200 {
                client = client.ready().await.unwrap();
                let request = Request::post(format!("http://x{GRPC_PATH}"))
                    .header("content-type", "application/grpc")
                    .body(())
                    .unwrap();
                let (answer, mut send) = client.send_request(request, false).unwrap();
                send.send_data(Bytes::from(framed(0, PROTOBUF)), true).unwrap();
                // With the first answer, the client knows how many calls are taken at once.
                match number {
                    0 => taken(answer).await,
                    _ => answers.push(answer),
                }
            }
            for answer in answers {
                taken(answer).await;
            }
        };
        tokio::join!(calls, connection).1.unwrap();
    });
    assert_eq!(records.len(), 200);
}

#[test]
fn a_client_that_opens_and_resets_calls_takes_nothing_from_others() {
    let records = serve(&[], async |address, _| {
        let (client, connection) = h2::client::handshake(dial(&address).await).await.unwrap();
        let flood = async {
            let mut client = client;
            for _ in 0..5_000 {
                let Ok(ready) = client.ready().await else { return };
                client = ready;
                let request = Request::post(format!("http://x{GRPC_PATH}")).body(()).unwrap();
                let Ok((_, mut send)) = client.send_request(request, false) else { return };
                send.send_reset(h2::Reason::CANCEL);
            }
        };
        // Whether it is cut off or not.
        let _ = tokio::join!(flood, connection);
        let (head, _) = ask(&address, "/v1/logs", AS_JSON, JSON.as_bytes()).await;
        assert!(head.starts_with("http/1.1 201 "), "{head}");
    });
    assert_eq!(records, [ONE]);
}

#[test]
fn a_bomb_of_headers_is_refused_and_others_are_served() {
    let records = serve(&[], async |address, _| {
        let (client, connection) = h2::client::handshake(dial(&address).await).await.unwrap();
        let bomb = async {
            let mut client = client.ready().await.unwrap();
            let mut request = Request::post(format!("http://x{GRPC_PATH}"));
            for number in 0..4_000 {
                request = request.header(format!("x-{number}"), "y".repeat(1_000));
            }
            let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
            match answer.await {
                Ok(answer) => assert_eq!(answer.status(), 431),
                Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
            }
        };
        tokio::select! {
            () = bomb => {}
            _ = connection => {}
        }
        let (head, _) = ask(&address, "/v1/logs", AS_JSON, JSON.as_bytes()).await;
        assert!(head.starts_with("http/1.1 201 "), "{head}");
    });
    assert_eq!(records, [ONE]);
}

#[test]
fn hundreds_of_connections_are_served() {
    let records = serve(&[], async |address, _| {
        let mut clients = Vec::new();
        for _ in 0..400 {
            clients.push(TcpStream::connect(&address).await.unwrap());
        }
        let length = PROTOBUF.len();
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nHost: x\r\n{AS_PROTOBUF}Content-Length: {length}\r\n\r\n"
        );
        for client in &mut clients {
            client.write_all(&[head.as_bytes(), PROTOBUF].concat()).await.unwrap();
        }
        for client in &mut clients {
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 201");
        }
    });
    assert_eq!(records.len(), 400);
}

#[test]
fn a_stop_does_not_wait_for_idle_clients_and_finishes_calls() {
    serve(&[], async |address, desk| {
        let _idle = TcpStream::connect(&address).await.unwrap();
        let mut begun = TcpStream::connect(&address).await.unwrap();
        begun.write_all(b"PRI * HT").await.unwrap();
        let (_client, connection) = h2::client::handshake(dial(&address).await).await.unwrap();
        desk.set_full(true);
        let call = call(dial(&address).await, GRPC_PATH, &[], framed(0, PROTOBUF));
        let end = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            desk.stop();
            desk.set_full(false);
        };
        let (told, (), ended) = tokio::join!(call, end, connection);
        assert_eq!(told.0, "0");
        assert!(ended.is_ok(), "{ended:?}");
    });
}
