//! Against a server made by hand that reads what Graylog reads.

use std::io::Read as _;

use flb_harness::net::block_on;
use flb_harness::{build, chunk};
use flb_plugin::Flush;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};

use super::*;

/// The message of datagrams that come in any order.
async fn message(socket: &UdpSocket) -> (usize, Value) {
    let (mut parts, mut datagrams, mut name) = (Vec::new(), 0, None);
    loop {
        let mut data = vec![0; 65_536];
        let length = socket.recv(&mut data).await.unwrap();
        data.truncate(length);
        datagrams += 1;
        if !data.starts_with(&MAGIC) {
            assert_eq!(datagrams, 1);
            return (1, parsed(&data));
        }
        let (number, count) = (usize::from(data[10]), usize::from(data[11]));
        assert_eq!(*name.get_or_insert(data[2..10].to_vec()), data[2..10], "all have one name");
        parts.resize(count, Vec::new());
        parts[number] = data[HEAD..].to_vec();
        if parts.iter().all(|part| !part.is_empty()) {
            return (datagrams, parsed(&parts.concat()));
        }
    }
}

fn parsed(data: &[u8]) -> Value {
    let mut text = Vec::new();
    match data.starts_with(&[0x1f, 0x8b]) {
        true => drop(flate2::read::GzDecoder::new(data).read_to_end(&mut text).unwrap()),
        false => text.extend_from_slice(data),
    }
    serde_json::from_slice(&text).unwrap()
}

/// Sends records over UDP; the fate, and what each becomes with the number of its datagrams.
fn sent(given: &[(&str, &str)], bodies: &[&str], messages: usize) -> (Flush, Vec<(usize, Value)>) {
    block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        let output = build(&SPEC, &[&[("port", port.as_str())], given].concat()).unwrap();
        let records: Vec<_> = bodies.iter().map(|body| (7, 250_000_000, *body)).collect();
        let flush = output.flush(&chunk("app.web", &records)).await;
        let mut got = Vec::new();
        for _ in 0..messages {
            got.push(message(&socket).await);
        }
        (flush, got)
    })
}

const SHORT: &str = r#"{"msg":"hello","host":"h"}"#;

fn hello() -> Value {
    json!({"version": "1.1", "short_message": "hello", "host": "h", "timestamp": 7.25})
}

#[test]
fn a_record_is_a_compressed_datagram_unless_that_is_off() {
    let key = ("gelf_short_message_key", "msg");
    for compress in ["on", "off"] {
        let (flush, got) = sent(&[key, ("compress", compress)], &[SHORT, SHORT], 2);
        assert!(matches!(flush, Flush::Done), "{flush:?}");
        assert_eq!(got, [(1, hello()), (1, hello())]);
    }
    let (_, got) = sent(&[key, ("gelf_tag_key", "tag")], &[SHORT], 1);
    assert_eq!(got[0].1["_tag"], "app.web");
}

/// A text that hardly gets smaller.
fn noise(length: usize) -> String {
    let mut seed = 1u64;
    let next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + (seed >> 33) as u8 % 90)
    };
    std::iter::repeat_with(next)
        .take(length)
        .map(|char| if char == '\\' || char == '"' { 'x' } else { char })
        .collect()
}

#[test]
fn what_one_datagram_does_not_hold_comes_in_parts_and_what_128_do_not_is_left_out() {
    let (long, endless) = (noise(20_000), noise(300_000));
    let body = |text: &str| format!("{{\"short_message\":\"{text}\"}}");
    let bodies = [body(&long), body(&endless), body("x")];
    let (flush, got) = sent(&[], &bodies.each_ref().map(String::as_str), 2);
    assert!(matches!(flush, Flush::Partly { left_out: 1, .. }), "{flush:?}");
    assert_eq!((&got[0].1["short_message"], got[0].0 > 10), (&Value::from(long), true));
    assert_eq!((&got[1].1["short_message"], got[1].0), (&Value::from("x"), 1));
    let (_, got) = sent(&[("packet_size", "60"), ("compress", "off")], &[SHORT], 1);
    assert_eq!(got[0].0, 2, "it is compressed where that may save parts");
}

#[test]
fn over_a_connection_a_zero_ends_each() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let given = [
            ("port", port.as_str()),
            ("mode", "tcp"),
            ("net.keepalive", "off"),
            ("gelf_short_message_key", "msg"),
        ];
        let output = build(&SPEC, &given).unwrap();
        let records = chunk("t", &[(7, 250_000_000, SHORT), (7, 250_000_000, SHORT)]);
        let server = async {
            let mut data = Vec::new();
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_to_end(&mut data).await.unwrap();
            data
        };
        let (flush, data) = tokio::join!(output.flush(&records), server);
        assert!(matches!(flush, Flush::Done), "{flush:?}");
        let messages: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
        assert_eq!((messages.len(), messages[2]), (3, &b""[..]));
        assert_eq!([parsed(messages[0]), parsed(messages[1])], [hello(), hello()]);
    });
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| build(&SPEC, given).err().unwrap().to_string();
    assert!(refused(&[("packet_size", "0")]).contains("packet_size 0 is none"));
    assert!(refused(&[("tls", "on")]).contains("mode udp does not go with tls on"));
    assert!(refused(&[("port", "x")]).contains("is not a port number"));
}
