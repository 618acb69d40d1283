//! Against servers made by hand, over real sockets.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::scripted::{answer, read};
use flb_harness::net::{Identity, block_on};
use flb_harness::{build_in, build_with, chunk, options};
use flb_testkit::stub::{Fault, Reply, Stub};

fn output(given: &[(&str, &str)]) -> Result<Http, BuildError> {
    build_with(&options(OPTIONS, given), http)
}

/// Posts two records to a server that answers so; the fate of the chunk, and the request.
fn post(given: &[(&str, &str)], status: &str) -> (Flush, String, Vec<u8>) {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let output = output(&[&[("port", port.as_str())], given].concat()).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (head, body) = read(&mut stream).await;
            answer(&mut stream, status, "what the server says").await;
            (head, body)
        };
        let chunk = chunk("a.b", &[(1, 500_000_000, r#"{"n":1}"#), (2, 0, r#"{"n":2}"#)]);
        let (flush, (head, body)) = tokio::join!(output.flush(&chunk), server);
        (flush, head, body)
    })
}

fn check_body(given: &[(&str, &str)], content_type: &str, expected: &str) {
    let (flush, head, body) = post(given, "200 OK");
    assert!(matches!(flush, Flush::Done));
    assert!(head.contains(&format!("content-type: {content_type}\r\n")), "{head}");
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[test]
fn records_are_posted_in_every_format() {
    let json = r#"[{"date":1.5,"n":1},{"date":2.0,"n":2}]"#;
    check_body(&[], "application/json", json);
    let lines = "{\"date\":1.5,\"n\":1}\n{\"date\":2.0,\"n\":2}\n";
    check_body(&[("format", "json_lines")], "application/x-ndjson", lines);
    let given = [("format", "json_stream"), ("json_date_key", "off")];
    check_body(&given, "application/x-ndjson", "{\"n\":1}{\"n\":2}");
    let gelf = "{\"version\":\"1.1\",\"_n\":1,\"short_message\":\"-\",\"host\":\"unknown\",\"timestamp\":1.500}\n";
    let gelf = gelf.to_owned() + &gelf.replace("_n\":1", "_n\":2").replace("1.500", "2.000");
    check_body(&[("format", "gelf")], "application/json", &gelf);
    let (flush, head, body) = post(&[("format", "msgpack")], "204 No Content");
    assert!(matches!(flush, Flush::Done));
    assert!(head.contains("content-type: application/msgpack"), "{head}");
    let records = chunk("a.b", &[(1, 500_000_000, r#"{"n":1}"#), (2, 0, r#"{"n":2}"#)]);
    assert_eq!(body, records.bytes());
}

#[test]
fn a_proxy_is_named_by_an_option_or_by_the_environment() {
    let check = |given: &[(&str, &str)], variables: &[(&str, &str)], expected: &str| {
        block_on(async {
            let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = server.local_addr().unwrap().port().to_string();
            let address = format!("http://{}", proxy.local_addr().unwrap());
            let real = |text: &str| if text == "PROXY" { address.clone() } else { text.to_owned() };
            let mut service = flb_plugin::Service::default();
            for (name, value) in variables {
                service.variables.set(*name, real(value));
            }
            let given: Vec<(&str, String)> = given.iter().map(|(n, v)| (*n, real(v))).collect();
            let mut all = vec![("port", port.as_str())];
            all.extend(given.iter().map(|(name, value)| (*name, value.as_str())));
            let output = build_in(&service, &options(OPTIONS, &all), http).unwrap();
            let asked = async {
                let (mut stream, whom) = tokio::select! {
                    taken = proxy.accept() => (taken.unwrap().0, "proxy"),
                    taken = server.accept() => (taken.unwrap().0, "server"),
                };
                read(&mut stream).await;
                answer(&mut stream, "200 OK", "").await;
                whom
            };
            let chunk = chunk("t", &[(1, 0, "{}")]);
            let (flush, whom) = tokio::join!(output.flush(&chunk), asked);
            assert!(matches!(flush, Flush::Done), "{flush:?}");
            assert_eq!(whom, expected, "{variables:?}");
        });
    };
    check(&[], &[], "server");
    check(&[("proxy", "PROXY")], &[], "proxy");
    check(&[], &[("HTTP_PROXY", "PROXY")], "proxy");
    check(&[], &[("http_proxy", "PROXY"), ("no_proxy", "example.com")], "proxy");
    check(&[], &[("HTTP_PROXY", "PROXY"), ("NO_PROXY", "example.com,127.0.0.1")], "server");
    check(&[], &[("HTTP_PROXY", "PROXY"), ("NO_PROXY", "*")], "server");
    check(&[("net.proxy_env_ignore", "on")], &[("HTTP_PROXY", "PROXY")], "server");
}

#[test]
fn gelf_has_fields_of_its_own() {
    let given = [("format", "gelf"), ("gelf_short_message_key", "msg"), ("gelf_host_key", "from")];
    let output = output(&given).unwrap();
    let body = r#"{"msg":"hello","from":"h","level":3,"id":7,"deep":{"a":1}}"#;
    let (text, _) = output.0.body(&chunk("t", &[(1, 0, body)]));
    let expected = r#"{"version":"1.1","short_message":"hello","host":"h","level":3,"_record_id":7,"_deep":{"a":1},"timestamp":1.000}"#;
    assert_eq!(String::from_utf8(text).unwrap(), format!("{expected}\n"));
    let (text, _) = output.0.body(&chunk("t", &[(1, 0, r#"{"log":"x"}"#)]));
    assert!(String::from_utf8(text).unwrap().contains(r#""_log":"x","short_message":"x""#));
}

#[test]
fn the_request_is_what_the_options_say() {
    let given = [
        ("uri", "path?x=1"),
        ("http_method", "put"),
        ("header", "X-One first value"),
        ("header", "Content-Type application/special"),
        ("header_tag", "X-Tag"),
        ("http_user", "me"),
        ("http_passwd", "secret"),
    ];
    let (_, head, _) = post(&given, "200 OK");
    assert!(head.starts_with("PUT /path?x=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "x-one: first value",
        "content-type: application/special",
        "x-tag: a.b",
        "authorization: Basic bWU6c2VjcmV0",
        "host: 127.0.0.1:",
    ] {
        assert!(head.contains(line), "no {line} in {head}");
    }
    assert_eq!(head.matches("content-type").count(), 1);
}

#[test]
fn gzip_packs_the_body() {
    let (_, head, body) = post(&[("compress", "gzip")], "200 OK");
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
    assert_eq!(text, r#"[{"date":1.5,"n":1},{"date":2.0,"n":2}]"#);
}

#[test]
fn every_compression_has_its_name() {
    for (name, magic) in
        [("zstd", &b"\x28\xb5\x2f\xfd"[..]), ("snappy", &[39]), ("gzip", &[0x1f, 0x8b])]
    {
        let (flush, head, body) = post(&[("compress", name)], "200 OK");
        assert!(matches!(flush, Flush::Done));
        assert!(head.contains(&format!("content-encoding: {name}\r\n")), "{head}");
        assert!(body.starts_with(magic), "{body:?}");
    }
}

#[test]
fn each_record_may_be_a_request_with_a_fate_of_its_own() {
    let keys = [("body_key", "$request['body']"), ("headers_key", "$headers")];
    let request = |body: &str| {
        format!(
            "{{\"request\":{{\"body\":\"{body}\"}},\"headers\":{{\"X-Kind\":\"k\",\"Content-Type\":\"text/plain\"}}}}"
        )
    };
    let flushed = |bodies: &[&str], given: &[(&str, &str)]| {
        let stub = Stub::start(|request| match &*request.body {
            b"bad" => Reply::new(400, "no"),
            b"busy" => Reply::new(503, "later").with("Retry-After: 3"),
            _ => Reply::new(200, ""),
        });
        let port = stub.port().to_string();
        let output = output(&[&[("port", port.as_str())], given].concat()).unwrap();
        let records: Vec<_> = bodies.iter().map(|body| (1, 0, *body)).collect();
        (block_on(output.flush(&chunk("a.b", &records))), stub.requests())
    };
    let (one, bad, busy) = (request("one"), request("bad"), request("busy"));
    let (flush, requests) =
        flushed(&[&one, &one], &[&keys[..], &[("header_tag", "x-tag")]].concat());
    assert!(matches!(flush, Flush::Done), "{flush:?}");
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, b"one");
    for (name, value) in [("x-kind", "k"), ("content-type", "text/plain"), ("x-tag", "a.b")] {
        assert_eq!(requests[0].header(name), Some(value));
    }
    let strange = r#"{"request":{"body":1},"headers":{}}"#;
    let wrong = r#"{"request":{"body":"x"},"headers":{"a b":"c"}}"#;
    let (flush, requests) = flushed(&[&bad, strange, wrong, &one], &keys);
    let Flush::Partly { left_out: 3, refused: Some(refused) } = flush else { panic!("{flush:?}") };
    assert_eq!((refused.len(), requests.len()), (1, 2));
    let (flush, _) = flushed(&[&one, strange, &busy, &one], &keys);
    let Flush::Rest { again, left_out: 1, after, .. } = flush else { panic!("{flush:?}") };
    assert_eq!((again, after), (vec![false, false, true, true], Some(Duration::from_secs(3))));
    assert!(matches!(flushed(&[&busy, &one], &keys).0, Flush::Retry { .. }));
}

#[test]
fn a_token_is_sent_and_renewed_once_when_the_server_refuses_it() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let giver = Stub::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Reply::new(200, format!("{{\"access_token\":\"t{number}\",\"expires_in\":600}}"))
    });
    let taken = Stub::start(|request| match request.header("authorization") {
        Some("Bearer t1") => Reply::new(200, ""),
        _ => Reply::new(401, "who are you?"),
    });
    let (url, port) = (format!("http://127.0.0.1:{}/", giver.port()), taken.port().to_string());
    let given = [
        ("port", port.as_str()),
        ("oauth2.enable", "on"),
        ("oauth2.token_url", url.as_str()),
        ("oauth2.client_id", "me"),
        ("oauth2.client_secret", "secret"),
    ];
    let output = output(&given).unwrap();
    let records = chunk("t", &[(1, 0, "{}")]);
    block_on(async {
        for _ in 0..2 {
            assert!(matches!(output.flush(&records).await, Flush::Done));
        }
        assert_eq!((giver.requests().len(), taken.requests().len()), (2, 3));
        // Nothing is lost when the tokens do not help, or there are none.
        taken.fail(Some(Fault::Instead(Reply::new(401, "no"))));
        let Flush::Retry { reason, .. } = output.flush(&records).await else { panic!() };
        assert!(reason.contains("401 Unauthorized to a new token"), "{reason}");
        giver.fail(Some(Fault::Instead(Reply::new(400, "unknown client"))));
        let Flush::Retry { reason, .. } = output.flush(&records).await else { panic!() };
        assert!(reason.contains("unknown client; check oauth2.client_id"), "{reason}");
    });
}

#[test]
fn an_answer_that_stops_is_given_up_when_nothing_comes_for_a_while() {
    let stub = Stub::start(|_| Reply::new(200, ""));
    stub.fail(Some(Fault::Silence));
    let port = stub.port().to_string();
    let output = output(&[("port", port.as_str()), ("http.read_idle_timeout", "1")]).unwrap();
    let flush = block_on(output.flush(&chunk("t", &[(1, 0, "{}")])));
    let Flush::Retry { reason, .. } = flush else { panic!("{flush:?}") };
    assert!(reason.contains("timed out"), "{reason}");
}

#[test]
fn the_status_is_the_chunk_s_fate() {
    for status in ["200 OK", "201 Created", "204 No Content"] {
        assert!(matches!(post(&[], status).0, Flush::Done), "{status}");
    }
    for status in ["400 Bad Request", "404 Not Found", "413 Payload Too Large"] {
        let Flush::Fail(error) = post(&[], status).0 else { panic!("{status}") };
        let text = error.to_string();
        assert!(text.contains(status) && text.contains("what the server says"), "{text}");
    }
    for status in ["302 Found", "408 Request Timeout", "500 Oops", "503 Busy"] {
        assert!(matches!(post(&[], status).0, Flush::Retry { after: None, .. }), "{status}");
    }
    let Flush::Retry { after, reason } = post(&[], "429 Slow\r\nRetry-After: 7").0 else {
        panic!()
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
    assert!(reason.contains("HTTP status=429"), "{reason}");
    let Flush::Fail(error) = post(&[("log_response_payload", "off")], "400 No").0 else { panic!() };
    assert!(!error.to_string().contains("what the server says"));
}

#[test]
fn nobody_there_and_no_answer_are_retries() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let output = output(&[("port", port.as_str()), ("http.response_timeout", "1")]).unwrap();
        let chunk = chunk("t", &[(1, 0, "{}")]);
        let (flush, stream) = tokio::join!(output.flush(&chunk), listener.accept());
        drop(stream);
        let Flush::Retry { reason, .. } = flush else { panic!() };
        assert!(reason.contains("timed out"), "{reason}");
        drop(listener);
        let Flush::Retry { reason, .. } = output.flush(&chunk).await else { panic!() };
        assert!(reason.contains("refused"), "{reason}");
    });
}

/// An output in an agent whose environment has credentials.
fn signing(port: u16, given: &[(&str, &str)]) -> Http {
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "very secret"),
        ("AWS_SESSION_TOKEN", "lent"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let files = Arc::new(flb_config::Memory::default());
    let variables = flb_config::Variables::new(environment.into(), None, files);
    let service = flb_plugin::Service { variables, ..flb_plugin::Service::default() };
    let port = port.to_string();
    let own = [("port", port.as_str()), ("aws_auth", "on"), ("aws_region", "eu-central-1")];
    build_in(&service, &options(OPTIONS, &[&own, given].concat()), http).unwrap()
}

#[test]
fn requests_are_signed_for_aws_and_who_may_not_sign_loses_nothing() {
    let stub = Stub::start(|_| Reply::new(200, ""));
    let given = [("aws_service", "osis"), ("uri", "/in/a b?x=1"), ("http_user", "me")];
    let output = signing(stub.port(), &given);
    let chunk = chunk("t", &[(1, 0, r#"{"n":1}"#)]);
    let flush = || block_on(async { output.flush(&chunk).await });
    assert!(matches!(flush(), Flush::Done));
    let request = stub.requests().pop().unwrap();
    let signed = request.header("authorization").unwrap();
    let scope = "/eu-central-1/osis/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{signed}");
    assert!(signed.contains(scope), "{signed}");
    assert_eq!(
        (request.path.as_str(), request.header("x-amz-security-token")),
        ("/in/a%20b?x=1", Some("lent"))
    );
    stub.fail(Some(Fault::Instead(Reply::new(
        403,
        "The security token included in the request is expired",
    ))));
    let before = stub.asked().len();
    let fate = flush();
    let Flush::Retry { reason, .. } = fate else { panic!("{fate:?}") };
    assert!(reason.contains("HTTP status=403") && !reason.contains("secret"), "{reason}");
    assert_eq!(stub.asked().len() - before, 2);
}

#[test]
fn a_connection_is_kept_for_the_next_chunk() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let output = output(&[("port", port.as_str())]).unwrap();
        let one = chunk("t", &[(1, 0, "{}")]);
        let mut kept: Option<TcpStream> = None;
        for _ in 0..2 {
            let server = async {
                let mut stream = match kept.take() {
                    Some(stream) => stream,
                    None => listener.accept().await.unwrap().0,
                };
                read(&mut stream).await;
                answer(&mut stream, "200 OK", "").await;
                stream
            };
            let (flush, stream) = tokio::join!(output.flush(&one), server);
            assert!(matches!(flush, Flush::Done));
            kept = Some(stream);
        }
    });
}

#[test]
fn posts_go_over_tls() {
    let identity = Identity::new();
    for (host, more, words) in [
        ("localhost", ("tls.verify", "on"), ""),
        ("127.0.0.1", ("tls.vhost", "localhost"), ""),
        ("127.0.0.1", ("tls.verify_hostname", "off"), ""),
        ("127.0.0.1", ("tls.verify_hostname", "on"), "certificate not valid for name"),
    ] {
        block_on(async {
            let (listener, server) = identity.listen().await;
            let port = listener.local_addr().unwrap().port().to_string();
            let given = [
                ("host", host),
                ("port", port.as_str()),
                ("tls", "on"),
                ("tls.ca_file", identity.certificate()),
                more,
            ];
            let output = output(&given).unwrap();
            let serve = async {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = server.accept(Box::new(stream)).await else { return };
                let (head, _) = read(&mut stream).await;
                assert!(head.contains(&format!("host: {host}:{port}")), "{head}");
                answer(&mut stream, "200 OK", "").await;
            };
            let chunk = chunk("t", &[(1, 0, "{}")]);
            let (flush, ()) = tokio::join!(output.flush(&chunk), serve);
            match flush {
                Flush::Done => assert_eq!(words, ""),
                Flush::Retry { reason, .. } if !words.is_empty() => {
                    assert!(reason.contains(words), "{reason}");
                }
                other => panic!("{host} {more:?}: {other:?}"),
            }
        });
    }
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| output(given).err().unwrap().to_string();
    assert!(refused(&[("port", "http")]).contains("is not a port number"));
    assert!(refused(&[("header", "alone")]).contains("is not a header"));
    assert!(refused(&[("header_tag", "a b")]).contains("not a header name"));
    assert!(refused(&[("host", "a b")]).contains("are no address"));
    assert!(refused(&[("body_key", "$b")]).contains("go together"));
    assert!(
        refused(&[("body_key", "b"), ("headers_key", "$h")]).contains("does not begin with '$'")
    );
    assert!(refused(&[("oauth2.enable", "on")]).contains("something lacks"));
}
