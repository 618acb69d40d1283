//! The output against receivers made by hand, over real sockets. The two plugins against each other: see the agent's tests.

use flb_event::msgpack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use flb_harness::net::block_on;
use flb_harness::{build_with, chunk, json_text, options};
use flb_net::forward::decode::Scan;
use flb_net::forward::handshake::{Helo, Ping, Pong};

fn output(given: &[(&str, &str)]) -> Result<Forward, BuildError> {
    build_with(&options(OPTIONS, given), forward)
}

/// An output to a receiver that listens.
async fn receiver(given: &[(&str, &str)]) -> (TcpListener, Forward) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let given = [&[("port", port.as_str()), ("time_as_integer", "on")], given].concat();
    (listener, output(&given).unwrap())
}

fn record(n: u32) -> Chunk {
    chunk("t", &[(n, 0, &format!("{{\"n\":{n}}}"))])
}

/// Reads one message; its text.
async fn read(stream: &mut TcpStream) -> Vec<u8> {
    let (mut data, mut scan) = (Vec::new(), Scan::default());
    loop {
        if let Some(length) = scan.advance(&data).unwrap() {
            assert_eq!(length, data.len(), "one message at a time");
            return data;
        }
        assert!(stream.read_buf(&mut data).await.unwrap() > 0, "closed within a message");
    }
}

async fn message(stream: &mut TcpStream) -> String {
    json_text(&read(stream).await)
}

fn ack(of: &str) -> Vec<u8> {
    flb_harness::msgpack(&format!("{{\"ack\":\"{of}\"}}"))
}

#[track_caller]
fn assert_retry(flush: &Flush, words: &str) {
    let Flush::Retry { reason, after: None } = flush else { panic!("{flush:?}") };
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn chunks_go_over_one_connection_in_their_order() {
    block_on(async {
        let (listener, output) = receiver(&[]).await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let first = message(&mut stream).await;
            (stream, first)
        };
        let chunks = [record(1), record(2)];
        let (flush, (mut stream, first)) = tokio::join!(output.flush(&chunks[0]), server);
        assert!(matches!(flush, Flush::Done));
        assert_eq!(first, r#"["t",[[1,{"n":1}]]]"#);
        let (flush, second) = tokio::join!(output.flush(&chunks[1]), message(&mut stream));
        assert!(matches!(flush, Flush::Done));
        assert_eq!(second, r#"["t",[[2,{"n":2}]]]"#);
    });
}

#[test]
fn a_connection_that_the_receiver_closed_is_not_used() {
    block_on(async {
        let (listener, output) = receiver(&[]).await;
        for n in 1..4 {
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let got = message(&mut stream).await;
                stream.shutdown().await.unwrap();
                // The other side has seen the end when its own end comes back, or when it is used again.
                got
            };
            let chunk = record(n);
            let (flush, got) = tokio::join!(output.flush(&chunk), server);
            assert!(matches!(flush, Flush::Done));
            assert_eq!(got, format!("[\"t\",[[{n},{{\"n\":{n}}}]]]"));
        }
    });
}

#[test]
fn a_chunk_is_done_when_the_receiver_acknowledges_it() {
    block_on(async {
        let (listener, output) = receiver(&[("require_ack_response", "on")]).await;
        let id = output.encoding.encode(&record(1)).chunk.unwrap();
        for (answer, words) in [
            (ack("other"), "another chunk"),
            (vec![0xc1], "begins no msgpack"),
            (vec![], "closed before an answer"),
            (ack(&id), ""),
        ] {
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let got = message(&mut stream).await;
                assert!(got.contains(&format!("\"chunk\":\"{id}\"")), "{got}");
                stream.write_all(&answer).await.unwrap();
                stream
            };
            let chunk = record(1);
            let flush = async {
                if words.is_empty() {
                    assert!(matches!(output.flush(&chunk).await, Flush::Done));
                } else {
                    assert_retry(&output.flush(&chunk).await, words);
                }
            };
            let server = async { drop(server.await) };
            tokio::join!(flush, server);
        }
    });
}

#[test]
fn an_acknowledgement_that_does_not_come_is_a_retry() {
    block_on(async {
        let given = [("require_ack_response", "on"), ("net.io_timeout", "1")];
        let (listener, output) = receiver(&given).await;
        let chunk = record(1);
        let (flush, stream) = tokio::join!(output.flush(&chunk), listener.accept());
        drop(stream);
        assert_retry(&flush, "nothing moved for 1 seconds");
    });
}

#[test]
fn nobody_there_is_a_retry() {
    block_on(async {
        let (listener, output) = receiver(&[]).await;
        drop(listener);
        assert_retry(&output.flush(&record(1)).await, "refused");
    });
}

#[test]
fn gzip_packs_the_entries() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let output = output_to(&port, &[("compress", "gzip"), ("tag", "x.$TAG")]);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await
        };
        let chunk = chunk("t", &[(1, 2, r#"{"n":1}"#), (3, 4, r#"{"n":2}"#)]);
        let (flush, got) = tokio::join!(output.flush(&chunk), server);
        assert!(matches!(flush, Flush::Done));
        let message = flb_net::forward::decode::message(&got).unwrap();
        assert_eq!(message.tag, b"x.t");
        let (unpacked, damage) = message.entries.unpack(1000).unwrap();
        assert_eq!(damage, None);
        let entries = flb_net::forward::decode::Records::new(&message.entries, &unpacked);
        assert_eq!(entries.map(Result::unwrap).count(), 2);
    });
}

fn output_to(port: &str, given: &[(&str, &str)]) -> Forward {
    output(&[&[("port", port)], given].concat()).unwrap()
}

#[test]
fn the_handshake_proves_both_ends() {
    block_on(async {
        let user = [("shared_key", "secret"), ("username", "me"), ("password", "pass")];
        let given = [&user[..], &[("net.keepalive", "off")]].concat();
        let (listener, output) = receiver(&given).await;
        for (key, accepted, words) in [
            ("secret", Ok(()), ""),
            ("secret", Err("go away"), "it refuses the handshake: go away"),
            ("wrong", Ok(()), "it does not know the shared key"),
        ] {
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let helo = Helo { nonce: vec![1; 16], auth: vec![2; 16] };
                stream.write_all(&helo.encode()).await.unwrap();
                let ping = Ping::decode(&read(&mut stream).await).unwrap();
                assert!(ping.knows(&helo, "secret") && ping.is_user(&helo, ("me", "pass")));
                let pong = Pong::new(&helo, &ping, "server", key, accepted);
                stream.write_all(&pong.encode()).await.unwrap();
                if words.is_empty() {
                    assert_eq!(message(&mut stream).await, r#"["t",[[1,{"n":1}]]]"#);
                }
            };
            let chunk = record(1);
            let (flush, ()) = tokio::join!(output.flush(&chunk), server);
            match words {
                "" => assert!(matches!(flush, Flush::Done)),
                words => assert_retry(&flush, words),
            }
        }
    });
}

/// An output to the nodes that a file describes.
fn upstream(text: &str) -> Result<Forward, BuildError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    output(&[("upstream", file.path().to_str().unwrap()), ("time_as_integer", "on")])
}

#[test]
fn nodes_take_turns_and_the_next_one_takes_over() {
    block_on(async {
        let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nodes = [&one, &other].map(|listener| {
            let port = listener.local_addr().unwrap().port();
            format!("[NODE]\n    name n\n    host 127.0.0.1\n    port {port}\n")
        });
        let output = upstream(&format!("[UPSTREAM]\n    name u\n\n{}", nodes.concat())).unwrap();
        let take = async |listener: &TcpListener| {
            let (mut stream, _) = listener.accept().await.unwrap();
            message(&mut stream).await
        };
        let chunks: Vec<Chunk> = (0..4).map(record).collect();
        let (flush, _) = tokio::join!(output.flush(&chunks[0]), take(&one));
        assert!(matches!(flush, Flush::Done));
        let (flush, _) = tokio::join!(output.flush(&chunks[1]), take(&other));
        assert!(matches!(flush, Flush::Done));
        drop(one);
        let (flush, _) = tokio::join!(output.flush(&chunks[2]), take(&other));
        assert!(matches!(flush, Flush::Done));
        drop(other);
        assert_retry(&output.flush(&chunks[3]).await, "refused");
    });
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| output(given).err().unwrap().to_string();
    let both = [("compress", "gzip"), ("time_as_integer", "on")];
    assert!(refused(&both).contains("does not go with"));
    assert!(refused(&[("username", "me")]).contains("part of a handshake"));
    assert!(refused(&[("add_option", "key")]).contains("has no value"));
    assert!(refused(&[("tag", "$key")]).contains("one tag"));
    assert!(refused(&[("upstream", "/nowhere")]).contains("could not open"));
    let refused = |text: &str| upstream(text).err().unwrap().to_string();
    assert!(refused("[UPSTREAM]\n    name u\n").contains("no [NODE]"));
    assert!(
        refused("[UPSTREAM]\n    name u\n[NODE]\n    hots x\n").contains("did you mean 'host'")
    );
}

#[test]
fn an_answer_acknowledges_one_chunk() {
    let mut bin = Vec::new();
    msgpack::write_map_header(&mut bin, 1);
    msgpack::write_str(&mut bin, "ack");
    msgpack::write_bin(&mut bin, b"x");
    assert_eq!(node::acknowledged(&bin), Some(&b"x"[..]));
    assert_eq!(node::acknowledged(&ack("y")), Some(&b"y"[..]));
    assert_eq!(node::acknowledged(&[0x80]), None);
    assert_eq!(node::acknowledged(&[0x05]), None);
}
