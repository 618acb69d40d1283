//! Whole connections over real sockets, with messages made by hand.

use std::io::Write;

use flb_event::msgpack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::shared::served;
use flb_harness::net::{Desk, Identity};
use flb_harness::{build_with, msgpack as json, options};
use flb_net::forward::handshake::{Helo, Ping, Pong};
use flb_net::stream::Stream;

fn input(given: &[(&str, &str)]) -> Result<Served<Clients>, BuildError> {
    let mut given = [&[("listen", "127.0.0.1")], given].concat();
    if !given.iter().any(|(key, _)| *key == "port") {
        given.push(("port", "0"));
    }
    build_with(&options(OPTIONS, &given), forward)
}

/// Runs `client` against an input, then stops it; the records that came out.
fn serve<F: Future<Output = ()>>(
    given: &[(&str, &str)],
    client: impl FnOnce(String, Desk) -> F,
) -> Vec<String> {
    served::serve(|| input(given).unwrap(), client)
}

/// Sends bytes and closes; the records that come out, and what is answered.
fn check(given: &[(&str, &str)], data: &[u8], expected: &[&str], answer: &[u8]) {
    let records = serve(given, async |address, _| {
        let mut client = TcpStream::connect(address).await.unwrap();
        // The input may have closed the connection over what came first.
        let _ = client.write_all(data).await;
        let _ = client.shutdown().await;
        let mut answered = Vec::new();
        let _ = client.read_to_end(&mut answered).await;
        assert_eq!(answered, answer);
    });
    assert_eq!(records, expected);
}

/// An array's header and its elements.
fn array(elements: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    msgpack::write_array_header(&mut out, elements.len() as u32);
    out.extend_from_slice(&elements.concat());
    out
}

fn bin(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    msgpack::write_bin(&mut out, data);
    out
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    flb_net::packing::Packing::Zstd.pack(data.to_vec())
}

const TAG: &[u8] = b"\xa3a.b";
/// Seven seconds and eight nanoseconds.
const TIME: &[u8] = b"\xd7\x00\0\0\0\x07\0\0\0\x08";

/// Two entries: an EventTime without metadata, and a number with some.
fn entries() -> Vec<u8> {
    let first = array(&[TIME, &json(r#"{"n":1}"#)]);
    let second = array(&[&array(&[&[9], &json(r#"{"m":1}"#)]), &json(r#"{"n":2}"#)]);
    [first, second].concat()
}

const FIRST: &str = r#"a.b 7.000000008 {"n":1}"#;
const SECOND: &str = r#"a.b 9.000000000 {"m":1} {"n":2}"#;

fn forward_mode(options: &[u8]) -> Vec<u8> {
    let entries = [&[0x92], &entries()[..]].concat();
    if options.is_empty() { array(&[TAG, &entries]) } else { array(&[TAG, &entries, options]) }
}

#[test]
fn a_message_holds_one_record() {
    let body = json(r#"{"n":1}"#);
    let message = array(&[TAG, TIME, &body]);
    check(&[], &message, &[FIRST], b"");
    let with_options = array(&[TAG, &[9], &body, &json(r#"{"chunk":"x"}"#)]);
    check(&[], &with_options, &[r#"a.b 9.000000000 {"n":1}"#], &json(r#"{"ack":"x"}"#));
}

#[test]
fn an_array_holds_many_records() {
    check(&[], &forward_mode(b""), &[FIRST, SECOND], b"");
    check(&[], &forward_mode(&json("{}")), &[FIRST, SECOND], b"");
    check(&[], &forward_mode(&json(r#"{"size":2}"#)), &[FIRST, SECOND], b"");
}

#[test]
fn packed_records_are_taken_apart() {
    let packed = array(&[TAG, &bin(&entries())]);
    check(&[], &packed, &[FIRST, SECOND], b"");
    let mut text = Vec::new();
    msgpack::write_str(&mut text, entries());
    let options = json(r#"{"chunk":"c1","compressed":"text"}"#);
    check(&[], &array(&[TAG, &text, &options]), &[FIRST, SECOND], &json(r#"{"ack":"c1"}"#));
}

#[test]
fn compressed_records_are_unpacked() {
    // Two gzip files one behind the other, as some senders make them.
    let compressed = [gzip(&entries()), gzip(&entries())].concat();
    let options = json(r#"{"compressed":"gzip","chunk":"c"}"#);
    let message = array(&[TAG, &bin(&compressed), &options]);
    check(&[], &message, &[FIRST, SECOND, FIRST, SECOND], &json(r#"{"ack":"c"}"#));
    let frames = [zstd(&entries()), zstd(&entries())].concat();
    let options = json(r#"{"compressed":"zstd","chunk":"c"}"#);
    let message = array(&[TAG, &bin(&frames), &options]);
    check(&[], &message, &[FIRST, SECOND, FIRST, SECOND], &json(r#"{"ack":"c"}"#));
    check(&[], &array(&[TAG, &bin(b"no zstd"), &options]), &[], b"");
}

#[test]
fn many_messages_come_over_one_connection() {
    let all = [forward_mode(b""), forward_mode(&json(r#"{"chunk":"x"}"#))].concat();
    check(&[], &all, &[FIRST, SECOND, FIRST, SECOND], &json(r#"{"ack":"x"}"#));
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let records = serve(&[], async |address, desk| {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.set_nodelay(true).unwrap();
        for byte in forward_mode(b"") {
            client.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        desk.records(2).await;
    });
    assert_eq!(records, [FIRST, SECOND]);
}

#[test]
fn the_tag_is_the_sender_s_unless_it_is_replaced_or_prefixed() {
    let message = array(&[TAG, &[9], &json("{}")]);
    check(&[("tag_prefix", "p.")], &message, &["p.a.b 9.000000000 {}"], b"");
    check(&[("tag", "mine")], &message, &["mine 9.000000000 {}"], b"");
}

#[test]
fn what_is_good_before_a_fault_is_kept_and_not_acknowledged() {
    let good = array(&[TIME, &json(r#"{"n":1}"#)]);
    let options = json(r#"{"chunk":"x"}"#);
    let packed = array(&[TAG, &bin(&[&good, &b"\x92\xc1"[..]].concat()), &options]);
    check(&[], &packed, &[FIRST], b"");
    let cut = array(&[TAG, &bin(&[&good, &good[..5]].concat()), &options]);
    check(&[], &cut, &[FIRST], b"");
    let mut damaged = gzip(&entries());
    let end = damaged.len() - 6;
    damaged[end] ^= 1;
    let options = json(r#"{"compressed":"gzip","chunk":"c"}"#);
    check(&[], &array(&[TAG, &bin(&damaged), &options]), &[FIRST, SECOND], b"");
}

#[test]
fn an_entry_that_is_no_record_is_dropped_and_the_others_are_kept() {
    let entries = [json("[1]"), json("[1,2]"), json("5"), array(&[TIME, &json(r#"{"n":1}"#)])];
    let message = array(&[TAG, &bin(&entries.concat()), &json(r#"{"chunk":"x"}"#)]);
    check(&[], &message, &[FIRST], &json(r#"{"ack":"x"}"#));
}

#[test]
fn a_record_without_a_usable_time_gets_the_time_of_its_arrival() {
    for time in ["null", "-1", "99999999999999", "\"now\"", "{\"a\":1}"] {
        let message = array(&[TAG, &bin(&array(&[&json(time), &json("{}")]))]);
        check(&[], &message, &["a.b 5.000000000 {}"], b"");
    }
}

#[test]
fn a_group_s_markers_are_told_from_records() {
    let marker = |sec: &[u8; 4]| {
        let time = [&b"\xd7\x00"[..], sec, &[0; 4]].concat();
        array(&[&array(&[&time, &json(r#"{"g":1}"#)]), &json("{}")])
    };
    let record = array(&[TIME, &json(r#"{"n":1}"#)]);
    let group = [marker(b"\xff\xff\xff\xff"), record, marker(b"\xff\xff\xff\xfe")].concat();
    check(&[], &array(&[TAG, &bin(&group)]), &[FIRST], b"");
}

#[test]
fn metrics_are_dropped_and_acknowledged() {
    let options = json(r#"{"chunk":"x","fluent_signal":1}"#);
    let message = array(&[TAG, &bin(b"anything"), &options]);
    check(&[], &message, &[], &json(r#"{"ack":"x"}"#));
}

#[test]
fn what_is_no_message_ends_the_connection() {
    let good = forward_mode(b"");
    for bad in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\xc1",
        b"\x90",
        b"\x94\xa1t\x01\x80\xc1",
        b"\x92\x01\x90",
        b"\x94\xa1t\x01\x80\x05",
    ] {
        check(&[], &[&good, bad, &good].concat(), &[FIRST, SECOND], b"");
    }
    let options = json(r#"{"compressed":"snappy"}"#);
    check(&[], &array(&[TAG, &bin(b""), &options]), &[], b"");
    check(&[], &[0x91; 200], &[], b"");
}

#[test]
fn a_length_that_lies_costs_no_memory() {
    // Four billion bytes, entries, elements: announced, and never sent.
    for head in [
        &b"\x92\xa1t\xc6\xff\xff\xff\xff"[..],
        b"\xdd\xff\xff\xff\xff",
        b"\x92\xa1t\xdf\xff\xff\xff\xff",
    ] {
        check(&[], head, &[], b"");
    }
    let flood = [&b"\x92\xa1t\xc6\xff\xff\xff\xff"[..], &[0; 100_000]].concat();
    check(&[("buffer_max_size", "50000")], &flood, &[], b"");
}

#[test]
fn a_bomb_is_refused() {
    let bomb = gzip(&vec![0x80; 1_000_000]);
    assert!(bomb.len() < 5000);
    let options = json(r#"{"compressed":"gzip","chunk":"x"}"#);
    let message = array(&[TAG, &bin(&bomb), &options]);
    check(&[("buffer_max_size", "100000")], &message, &[], b"");
    let options = json(r#"{"compressed":"zstd","chunk":"x"}"#);
    let message = array(&[TAG, &bin(&zstd(&vec![0x80; 1_000_000])), &options]);
    check(&[("buffer_max_size", "100000")], &message, &[], b"");
}

#[test]
fn a_client_that_stalls_within_a_message_is_closed() {
    let records = serve(&[("net.io_timeout", "1")], async |address, _| {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&forward_mode(b"")[..9]).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
    assert_eq!(records, [""; 0]);
}

#[test]
fn the_acknowledgement_waits_for_the_pipeline_also_when_the_input_stops() {
    let records = serve(&[], async |address, desk| {
        desk.set_full(true);
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&forward_mode(&json(r#"{"chunk":"x"}"#))).await.unwrap();
        let mut answer = [0; 100];
        let early =
            tokio::time::timeout(std::time::Duration::from_millis(50), client.read(&mut answer));
        assert!(early.await.is_err());
        desk.stop();
        desk.set_full(false);
        let length = client.read(&mut answer).await.unwrap();
        assert_eq!(answer[..length], json(r#"{"ack":"x"}"#));
    });
    assert_eq!(records, [FIRST, SECOND]);
}

#[test]
fn a_unix_socket_serves_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forward.sock");
    let records = serve(&[("unix_path", path.to_str().unwrap())], async |address, desk| {
        let mut client = UnixStream::connect(address).await.unwrap();
        client.write_all(&forward_mode(b"")).await.unwrap();
        desk.records(2).await;
    });
    assert_eq!(records, [FIRST, SECOND]);
}

#[test]
fn connections_speak_tls() {
    let identity = Identity::new();
    let given =
        [("tls", "on"), ("tls.crt_file", identity.certificate()), ("tls.key_file", identity.key())];
    let records = serve(&given, async |address, desk| {
        let mut client = identity.connect(&address).await;
        client.write_all(&forward_mode(b"")).await.unwrap();
        desk.records(2).await;
    });
    assert_eq!(records, [FIRST, SECOND]);
}

/// A client's side of the handshake; the server's answer.
async fn shake(address: &str, key: &str, user: (&str, &str)) -> (Stream, Helo, Ping, Pong) {
    let mut stream: Stream = Box::new(TcpStream::connect(address).await.unwrap());
    let mut data = [0; 1000];
    let length = stream.read(&mut data).await.unwrap();
    let helo = Helo::decode(&data[..length]).unwrap();
    let ping = Ping::new(&helo, "client", key, user, [3; 16]);
    stream.write_all(&ping.encode()).await.unwrap();
    let length = stream.read(&mut data).await.unwrap();
    let pong = Pong::decode(&data[..length]).unwrap();
    (stream, helo, ping, pong)
}

#[test]
fn whoever_knows_the_key_is_served_and_nobody_else() {
    let records = serve(&[("shared_key", "secret")], async |address, desk| {
        let (mut stream, helo, ping, pong) = shake(&address, "secret", ("", "")).await;
        assert!(pong.accepted && pong.knows(&helo, &ping, "secret"));
        stream.write_all(&forward_mode(b"")).await.unwrap();
        desk.records(2).await;
        let (mut stream, .., pong) = shake(&address, "guess", ("", "")).await;
        assert!(!pong.accepted && pong.reason == b"shared key mismatch");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        // Records without a handshake are not taken.
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(&forward_mode(b"")).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    });
    assert_eq!(records, [FIRST, SECOND]);
}

#[test]
fn a_client_that_never_shakes_hands_is_closed() {
    let given = [("shared_key", "secret"), ("net.accept_timeout", "1")];
    serve(&given, async |address, _| {
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut helo = Vec::new();
        silent.read_to_end(&mut helo).await.unwrap();
        assert!(Helo::decode(&helo).is_some());
    });
}

#[test]
fn users_have_passwords() {
    let given = [
        ("empty_shared_key", "on"),
        ("security.users", "me  pass word"),
        ("security.users", "you secret"),
    ];
    let records = serve(&given, async |address, desk| {
        for user in [("me", "secret"), ("", ""), ("nobody", "secret")] {
            let (.., pong) = shake(&address, "", user).await;
            assert!(!pong.accepted && pong.reason == b"username/password mismatch");
        }
        for user in [("me", "pass word"), ("you", "secret")] {
            let (mut stream, .., pong) = shake(&address, "", user).await;
            assert!(pong.accepted);
            stream.write_all(&forward_mode(b"")).await.unwrap();
        }
        desk.records(4).await;
    });
    assert_eq!(records.len(), 4);
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| input(given).err().unwrap().to_string();
    assert!(refused(&[("security.users", "me")]).contains("no password"));
    assert!(refused(&[("security.users", "me secret")]).contains("needs a handshake"));
    assert!(refused(&[("port", "many")]).contains("is not a port number"));
}
