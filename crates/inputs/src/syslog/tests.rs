//! The input `syslog` over every transport: frames as clients send them, and as nobody should.

use std::path::Path;

use flb_event::msgpack;
use flb_harness::net::{Desk, Identity};
use flb_harness::{build_with, options};
use flb_net::stream::Peer;
use flb_plugin::BuildError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};

use super::*;
use crate::shared::datagrams::{self, Messages as _};
use crate::shared::served;

/// Messages are JSON here, and have no time: how messages of syslog are parsed is a matter of the parsers file.
fn given<'g>(mode: &'g str, more: &[(&'g str, &'g str)]) -> Vec<(&'g str, &'g str)> {
    let own = [("mode", mode), ("listen", "127.0.0.1"), ("port", "0"), ("parser", "json")];
    [&own, more].concat()
}

/// Runs `client` against an input that takes connections, then stops it; the records that came out.
fn streaming<F: Future<Output = ()>>(
    more: &[(&str, &str)],
    client: impl FnOnce(String, Desk) -> F,
) -> Vec<String> {
    let options = options(OPTIONS, &given("tcp", more));
    served::serve(|| build_with(&options, streams).unwrap(), client)
}

/// The same of one that gets datagrams.
fn receiving<F: Future<Output = ()>>(
    mode: &str,
    more: &[(&str, &str)],
    client: impl FnOnce(String, Desk) -> F,
) -> Vec<String> {
    let options = options(OPTIONS, &given(mode, more));
    datagrams::serve(|| build_with(&options, super::datagrams).unwrap(), client)
}

/// What comes out of a connection that sends `stream`.
fn check(more: &[(&str, &str)], stream: &[u8], expected: &[&str]) {
    let records = streaming(more, async |address, _| {
        let mut client = TcpStream::connect(&address).await.unwrap();
        client.write_all(stream).await.unwrap();
        // The input may have closed its side already.
        let _ = client.shutdown().await;
        while client.read(&mut [0]).await.is_ok_and(|length| length > 0) {}
    });
    let expected: Vec<_> = expected.iter().map(|body| format!("t 5.000000000 {body}")).collect();
    assert_eq!(records, expected);
}

fn refused(given: &[(&str, &str)]) -> BuildError {
    build_with(&options(OPTIONS, given), build).err().unwrap()
}

#[test]
fn messages_of_a_connection_end_with_a_newline_or_a_nul() {
    let stream = b"{\"a\":1}\n{\"b\":2}\0\n{\"c\":3}\r\n{\"d\":4}";
    check(&[], stream, &[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#, r#"{"d":4}"#]);
}

#[test]
fn messages_of_a_connection_may_have_their_lengths_before_them() {
    let given = [("format", "octet_counting")];
    check(
        &given,
        b"7 {\"a\":1}8 {\"b\":\n2}7 {\"c\":3}\n7 {\"d",
        &[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#],
    );
}

#[test]
fn a_length_that_lies_ends_the_connection_and_no_other() {
    check(&[("format", "octet")], b"7 {\"a\":1}{\"b\":2}\n7 {\"c\":3}", &[r#"{"a":1}"#]);
    check(&[("format", "octet")], b"4000000000 {\"a\":1}", &[]);
}

#[test]
fn a_message_that_the_parser_refuses_is_kept_as_it_is() {
    check(&[], b"no\n\xff\xc3\xa9\n", &[r#"{"log":"no"}"#, "{\"log\":\"\u{fffd}é\"}"]);
}

#[test]
fn a_message_that_is_too_long_is_skipped_and_the_next_one_is_taken() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(10_000_000));
    let stream = format!("{long}\n{{\"b\":2}}\n");
    check(&[("buffer_max_size", "100k")], stream.as_bytes(), &[r#"{"b":2}"#]);
    let stream = format!("{} {long}7 {{\"b\":2}}", long.len());
    let given = [("buffer_max_size", "100k"), ("format", "octet_counting")];
    check(&given, stream.as_bytes(), &[r#"{"b":2}"#]);
}

#[test]
fn a_message_as_long_as_buffer_max_size_allows_comes_whole() {
    let text = "x".repeat(5_000_000 - 9);
    let body = format!("{{\"a\":\"{text}\"}}");
    check(&[("buffer_max_size", "5M")], format!("{body}\n").as_bytes(), &[&body]);
}

#[test]
fn what_a_client_sends_without_end_costs_one_buffer() {
    streaming(&[("buffer_chunk_size", "1k")], async |address, desk| {
        let mut endless = TcpStream::connect(&address).await.unwrap();
        for _ in 0..100 {
            endless.write_all(&[b'x'; 100_000]).await.unwrap();
        }
        let mut other = TcpStream::connect(&address).await.unwrap();
        other.write_all(b"{\"a\":1}\n").await.unwrap();
        desk.records(1).await;
    });
}

#[test]
fn a_message_that_stands_still_ends_its_connection() {
    streaming(&[("net.io_timeout", "1")], async |address, desk| {
        let mut client = TcpStream::connect(&address).await.unwrap();
        client.write_all(b"{\"a\":1}\n{\"b\":").await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it is closed");
        let records = desk.records(2).await;
        assert_eq!(records[1], r#"t 5.000000000 {"log":"{\"b\":"}"#);
    });
}

#[test]
fn a_full_pipeline_makes_clients_wait_and_loses_nothing() {
    let sent = std::cell::Cell::new(0);
    let records = streaming(&[], async |address, desk| {
        desk.set_full(true);
        let mut client = TcpStream::connect(&address).await.unwrap();
        let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1000));
        // Until the system takes no more for a while.
        let wait = std::time::Duration::from_millis(200);
        while let Ok(written) = tokio::time::timeout(wait, client.write(line.as_bytes())).await {
            let rest = &line.as_bytes()[written.unwrap()..];
            if !rest.is_empty() {
                desk.set_full(false);
                client.write_all(rest).await.unwrap();
            }
            sent.set(sent.get() + 1);
            if !rest.is_empty() {
                break;
            }
        }
        desk.set_full(false);
        desk.records(sent.get()).await;
    });
    assert_eq!(records.len(), sent.get());
}

#[test]
fn five_thousand_clients_one_after_the_other_are_served() {
    let records = streaming(&[], async |address, desk| {
        for number in 0..5000 {
            let mut client = TcpStream::connect(&address).await.unwrap();
            client.write_all(format!("{{\"n\":{number}}}\n").as_bytes()).await.unwrap();
        }
        desk.records(5000).await;
    });
    assert_eq!(records.len(), 5000);
}

#[test]
fn connections_speak_tls() {
    let identity = Identity::new();
    let more =
        [("tls", "on"), ("tls.crt_file", identity.certificate()), ("tls.key_file", identity.key())];
    streaming(&more, async |address, desk| {
        let mut client = identity.connect(&address).await;
        client.write_all(b"{\"b\":2}\n").await.unwrap();
        assert_eq!(desk.records(1).await, [r#"t 5.000000000 {"b":2}"#]);
    });
}

#[test]
fn a_datagram_is_a_message() {
    receiving("udp", &[("source_address_key", "from")], async |address, desk| {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for text in ["{\"a\":1}", "", "{\"b\":\n2}\n", "no"] {
            client.send_to(text.as_bytes(), &address).await.unwrap();
        }
        let from = client.local_addr().unwrap();
        let expected = [r#"{"a":1,"#, r#"{"b":2,"#, "{"].map(|begin| {
            let end = if begin == "{" { r#","log":"no""# } else { "" };
            format!("t 5.000000000 {begin}\"from\":\"udp://{from}\"{end}}}")
        });
        assert_eq!(desk.records(3).await, expected);
    });
}

#[test]
fn a_datagram_that_is_too_long_is_cut_off() {
    receiving("udp", &[("buffer_chunk_size", "100")], async |address, desk| {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&[b'x'; 60_000], &address).await.unwrap();
        client.send_to(b"{\"a\":1}", &address).await.unwrap();
        let records = desk.records(2).await;
        assert_eq!(records[0], format!("t 5.000000000 {{\"log\":\"{}\"}}", "x".repeat(100)));
        assert_eq!(records[1], r#"t 5.000000000 {"a":1}"#);
    });
}

#[test]
fn datagrams_that_are_there_when_the_input_stops_are_taken() {
    let records = receiving("udp", &[], async |address, desk| {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        desk.stop();
        for _ in 0..20 {
            client.send_to(b"{}", &address).await.unwrap();
        }
    });
    assert_eq!(records.len(), 20);
}

#[test]
fn a_unix_socket_gets_datagrams_and_its_file_has_the_permissions() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let more = [("path", path.to_str().unwrap()), ("unix_perm", "0666")];
    receiving("unix_udp", &more, async |address, desk| {
        let mode = Path::new(&address).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"{\"a\":1}", &address).await.unwrap();
        assert_eq!(desk.records(1).await, [r#"t 5.000000000 {"a":1}"#]);
    });
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_takes_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let more = [("mode", "unix_tcp"), ("path", path.to_str().unwrap()), ("parser", "json")];
    let options = options(OPTIONS, &more);
    served::serve(
        || build_with(&options, streams).unwrap(),
        async |address, desk| {
            let mut client = UnixStream::connect(&address).await.unwrap();
            client.write_all(b"{\"a\":1}\0").await.unwrap();
            assert_eq!(desk.records(1).await, [r#"t 5.000000000 {"a":1}"#]);
        },
    );
}

#[test]
fn datagrams_that_the_system_drops_are_counted() {
    let given = options(OPTIONS, &given("udp", &[("receive_buffer_size", "4096")]));
    let (input, metrics) = build_with(&given, |options, build| {
        (super::datagrams(options, build).unwrap(), build.metrics.clone())
    });
    let address = input.address();
    let records = flb_harness::net::serve(
        || (input, address),
        async |address, _| {
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for _ in 0..1000 {
                client.send_to(b"{}", &address).await.unwrap();
            }
        },
    );
    let dropped = metrics.counter(&datagrams::DROPPED).get();
    assert!(dropped > 0 && records.len() as u64 + dropped == 1000, "{dropped}");
}

#[test]
fn a_receive_buffer_that_the_system_does_not_give_is_told() {
    let scene = flb_harness::Scene::new(0.0);
    let given = given("udp", &[("receive_buffer_size", "1G")]);
    assert!(scene.build(&SPEC, &given, build).is_ok());
    assert!(scene.log().contains("sysctl net.core.rmem_max"), "{}", scene.log());
}

#[test]
fn the_message_as_it_came_stands_under_its_key_before_the_address() {
    let given = given("tcp", &[("raw_message_key", "raw"), ("source_address_key", "from")]);
    let syslog = build_with(&options(OPTIONS, &given), syslog).unwrap();
    let mut batch = flb_event::ChunkBuilder::new(flb_event::Tag::new("t").unwrap());
    let peer = Peer::Tcp("192.0.2.1:514".parse().unwrap());
    syslog.take(b"{\"a\":1}", &peer, flb_harness::NOW, &mut batch);
    let batch = batch.build();
    let body = batch.records().next().unwrap().body;
    let entries: Vec<_> = msgpack::entries(body).unwrap().map(Result::unwrap).collect();
    assert_eq!(entries[1], (&b"\xa3raw"[..], &b"\xc4\x07{\"a\":1}"[..]), "it is binary");
    assert_eq!(msgpack::as_str(entries[2].1), Some(&b"tcp://192.0.2.1:514"[..]));
}

#[test]
fn a_wrong_configuration_is_refused() {
    for (mode, parser) in [("tcp", "syslog-rfc5424"), ("unix_udp", "syslog-rfc3164-local")] {
        let error = refused(&[("mode", mode), ("listen", "127.0.0.1"), ("path", "/x/y")]);
        assert_eq!(error.message, format!("parser '{parser}' is not known"));
    }
    assert!(refused(&[("parser", "json")]).message.contains("no 'path'"));
    assert!(refused(&given("udp", &[("tls", "on")])).message.contains("not encrypted"));
    assert!(refused(&given("tcp", &[("tls", "on")])).message.contains("no certificate"));
    assert!(refused(&given("udp", &[("receive_buffer_size", "4G")])).message.contains("2 GB"));
    let path = [("path", "/no/such/folder/s"), ("parser", "json")];
    assert!(refused(&path).message.contains("cannot listen on /no/such/folder/s"));
}

#[test]
fn the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/syslog");
    flb_testkit::replay(&corpus, oracle::check);
}
