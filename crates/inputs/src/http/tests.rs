//! Requests over real sockets, byte by byte as a client would send them.

use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use flb_harness::net::{Desk, Identity};
use flb_harness::{build_with, options};

fn input(given: &[(&str, &str)]) -> Result<Served<Clients>, BuildError> {
    let given = [&[("listen", "127.0.0.1"), ("port", "0")], given].concat();
    build_with(&options(OPTIONS, &given), http)
}

/// Runs `client` against an input, then stops it; the records that came out.
fn serve<F: Future<Output = ()>>(
    given: &[(&str, &str)],
    client: impl FnOnce(String, Desk) -> F,
) -> Vec<String> {
    served::serve(|| input(given).unwrap(), client)
}

/// Sends a request and closes; status line and headers, and body of the answer.
async fn ask(address: &str, head: &str, body: &[u8]) -> (String, String) {
    let mut client = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!("{head}Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    // A refusal may come before the body is sent.
    let _ = client.write_all(body).await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_ascii_lowercase(), body.to_owned())
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n")
}

/// A body posted to `/`: the status, and the records.
fn check(given: &[(&str, &str)], body: &str, status: u16, expected: &[&str]) {
    check_request(given, &post("/"), body.as_bytes(), status, expected);
}

fn check_request(given: &[(&str, &str)], head: &str, body: &[u8], status: u16, expected: &[&str]) {
    let records = serve(given, async |address, _| {
        let (answer, text) = ask(&address, head, body).await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer} {text}");
    });
    assert_eq!(records, expected);
}

const ONE: &str = r#"t 5.000000000 {"a":1}"#;
const TWO: &str = r#"t 5.000000000 {"b":2}"#;

#[test]
fn a_body_is_an_object_an_array_or_objects() {
    check(&[], r#"{"a":1}"#, 201, &[ONE]);
    check(&[], r#"[{"a":1}, {"b":2}]"#, 201, &[ONE, TWO]);
    check(&[], "{\"a\":1}\n{\"b\":2}\n", 201, &[ONE, TWO]);
    check(&[], r#"{"a":1}[{"b":2}]"#, 201, &[ONE, TWO]);
}

#[test]
fn a_bad_body_is_refused_as_a_whole() {
    for body in ["", " \n", "[]", "{\"a\":1}{nonsense", "[{\"a\":1},2]", "{\"a\":1} 5", "[[{}]]"] {
        check(&[], body, 400, &[]);
    }
}

#[test]
fn the_reason_of_a_refusal_is_told() {
    serve(&[], async |address, _| {
        let reason = async |head: &str, body: &str| ask(&address, head, body.as_bytes()).await.1;
        assert_eq!(reason("GET / HTTP/1.1\r\n", "").await, "error: invalid HTTP method\n");
        let none = "POST / HTTP/1.1\r\n";
        assert_eq!(reason(none, "{}").await, "error: header 'Content-Type' is not set\n");
        let text = "POST / HTTP/1.1\r\nContent-Type: text/plain\r\n";
        assert_eq!(reason(text, "{}").await, "error: invalid 'Content-Type'\n");
        assert_eq!(reason(&post("/"), "").await, "error: no payload found\n");
        let bad = reason(&post("/"), "{\"a\":1}\n{\"b\"}").await;
        assert_eq!(bad, "error: unable to process records: expected ':' at byte 12\n");
        let brotli = post("/") + "Content-Encoding: br\r\n";
        assert!(reason(&brotli, "x").await.contains("'br' is not known: use gzip, zstd or snappy"));
    });
}

#[test]
fn the_path_is_the_tag() {
    let records = serve(&[], async |address, _| {
        for path in ["/app.log", "/a/b-c%20d", "/x?query=1"] {
            ask(&address, &post(path), b"{}").await;
        }
    });
    let tags = ["app.log", "a_b_c_20d", "x"];
    assert_eq!(records, tags.map(|tag| format!("{tag} 5.000000000 {{}}")));
}

#[test]
fn a_record_may_say_its_tag() {
    let body = r#"[{"k":"one"},{"k":"one"},{"k":5},{"k":"other"}]"#;
    let expected = [
        r#"one 5.000000000 {"k":"one"}"#,
        r#"one 5.000000000 {"k":"one"}"#,
        r#"t 5.000000000 {"k":5}"#,
        r#"other 5.000000000 {"k":"other"}"#,
    ];
    check(&[("tag_key", "k")], body, 201, &expected);
    check(&[("tag_key", "$k")], body, 201, &expected);
}

#[test]
fn a_good_answer_is_what_the_options_say() {
    let given = [
        ("successful_response_code", "200"),
        ("success_header", "X-One first value"),
        ("success_header", "X-Two 2"),
    ];
    serve(&given, async |address, _| {
        let (head, body) = ask(&address, &post("/"), b"{}").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("x-one: first value\r\nx-two: 2"), "{head}");
        assert_eq!(body, "");
    });
    check(&[("successful_response_code", "204")], "{}", 204, &["t 5.000000000 {}"]);
}

#[test]
fn the_client_s_address_is_added() {
    let given = [("add_remote_addr", "on")];
    check(&given, "{}", 201, &[r#"t 5.000000000 {"REMOTE_ADDR":"127.0.0.1"}"#]);
    let head = post("/") + "X-Forwarded-For: h1, h2\r\nX-Forwarded-For: h3, h4\r\n";
    let given = [("add_remote_addr", "on"), ("remote_addr_key", "from")];
    check_request(&given, &head, b"{}", 201, &[r#"t 5.000000000 {"from":"h3"}"#]);
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_body_may_be_compressed() {
    let head = post("/") + "Content-Encoding: gzip\r\n";
    check_request(&[], &head, &gzip(br#"{"a":1}"#), 201, &[ONE]);
    check_request(&[], &head, b"no gzip", 400, &[]);
    let bomb = gzip(&vec![b' '; 1_000_000]);
    check_request(&[("buffer_max_size", "10k")], &head, &bomb, 413, &[]);
    let head = post("/") + "Content-Encoding: zstd\r\n";
    check_request(&[], &head, include_bytes!("../../tests/data/record.zst"), 201, &[ONE]);
    check_request(&[], &head, b"no zstd", 400, &[]);
}

#[test]
fn a_form_is_one_record() {
    let head =
        "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    let expected = [r#"t 5.000000000 {"a b":"1 é","c":"","d":"%zz="}"#];
    check_request(&[], head, b"a+b=1+%C3%a9&c&d=%zz=", 201, &expected);
}

#[test]
fn a_body_above_the_limit_is_refused() {
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(20_000));
    check(&[("buffer_max_size", "10k")], &body, 413, &[]);
    // Without a length, it is refused as soon as it is above.
    serve(&[("buffer_max_size", "10k")], async |address, _| {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = post("/") + "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        let chunk = format!("{:x}\r\n{}\r\n", 6000, "x".repeat(6000));
        client.write_all(chunk.as_bytes()).await.unwrap();
        client.write_all(chunk.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
    });
}

#[test]
fn a_client_that_stalls_is_given_up() {
    serve(&[("net.io_timeout", "1")], async |address, _| {
        let mut slow = TcpStream::connect(&address).await.unwrap();
        slow.write_all(b"POST / HT").await.unwrap();
        let mut liar = TcpStream::connect(&address).await.unwrap();
        let head = post("/") + "Host: x\r\nContent-Length: 100\r\n\r\n{";
        liar.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        liar.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest).await;
    });
}

#[test]
fn the_answer_waits_for_the_pipeline_also_when_the_input_stops() {
    let records = serve(&[], async |address, desk| {
        desk.set_full(true);
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = post("/") + "Host: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        let early = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(early, client.read(&mut answer)).await.is_err());
        desk.stop();
        desk.set_full(false);
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 201");
    });
    assert_eq!(records, [ONE]);
}

#[test]
fn a_connection_serves_many_requests() {
    let records = serve(&[], async |address, _| {
        let mut client = TcpStream::connect(address).await.unwrap();
        for body in [r#"{"a":1}"#, r#"{"b":2}"#] {
            let request = post("/") + &format!("Host: x\r\nContent-Length: 7\r\n\r\n{body}");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 1000];
            let length = client.read(&mut answer).await.unwrap();
            assert!(answer[..length].starts_with(b"HTTP/1.1 201"));
        }
    });
    assert_eq!(records, [ONE, TWO]);
}

#[test]
fn health_is_answered_if_asked_for() {
    serve(&[("enable_health_endpoint", "on")], async |address, _| {
        let (head, body) = ask(&address, "GET /health HTTP/1.1\r\n", b"").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "{\"status\":\"ok\",\"timestamp\":5}\n");
    });
}

#[test]
fn connections_speak_tls() {
    let identity = Identity::new();
    let given =
        [("tls", "on"), ("tls.crt_file", identity.certificate()), ("tls.key_file", identity.key())];
    let records = serve(&given, async |address, desk| {
        let mut client = identity.connect(&address).await;
        let request = post("/") + "Host: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        client.write_all(request.as_bytes()).await.unwrap();
        desk.records(1).await;
    });
    assert_eq!(records, [ONE]);
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| input(given).err().unwrap().to_string();
    assert!(refused(&[("success_header", "alone")]).contains("is not a header"));
    assert!(refused(&[("tag_key", "$a[")]).contains("tag_key"));
}

#[test]
fn http_bodies_of_the_corpus_are_handled() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    flb_testkit::replay(&corpus.join("http"), oracle::check);
}

#[test]
fn uploads_that_announce_much_and_send_little_hold_no_memory() {
    let records = serve(&[], async |address, _| {
        let head = post("/") + "Host: x\r\nContent-Length: 4000000\r\n\r\n{";
        let mut uploads = Vec::new();
        for _ in 0..75 {
            let mut upload = TcpStream::connect(&address).await.unwrap();
            upload.write_all(head.as_bytes()).await.unwrap();
            uploads.push(upload);
        }
        let (answer, text) = ask(&address, &post("/"), br#"{"a":1}"#).await;
        assert!(answer.starts_with("http/1.1 201"), "{answer} {text}");
    });
    assert_eq!(records, [ONE]);
}
