//! `tcp`: JSON values, or text between separators, from clients on the network.

use flb_net::listener::{self, Listener};
use flb_net::server::{self, Server};
use flb_net::tls;
use flb_plugin::keys::{Int, Key, Options, Table, Text};
use flb_plugin::{Build, BuildError, Input, Spec, keys};

use super::shared::payloads::{self, Clients, Payloads};
use super::shared::served::Served;

pub(super) const SPEC: Spec<dyn Input> =
    Spec { name: "tcp", about: "Take JSON or text from clients over TCP", options: OPTIONS, build };

keys! {
    const OWN;
    PORT: Text = listener::port_key("5170");
    WORKERS: Option<Int> = Key::new("workers", "").idle("one task serves all");
}

const OPTIONS: Table =
    Table(&[payloads::KEYS, OWN, listener::KEYS, server::KEYS, tls::KEYS, tls::SERVER]);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(tcp(options, build)?))
}

fn tcp(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let payloads = Payloads::new("tcp", options, build)?;
    let listener = Listener::tcp(options, PORT, build.service)?;
    let server = Server::new(listener, payloads.label(), options, build)?;
    Ok(Served { clients: Clients { payloads, patience: server.patience }, server })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::served;
    use flb_harness::net::{Desk, Identity};
    use flb_harness::{build_with, options};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Sends each text to an input; the records that come out once all connections have ended.
    fn check(given: &[(&str, &str)], texts: &[&str], expected: &[&str]) {
        let records = serve(given, async |address, _| {
            for text in texts {
                let mut client = TcpStream::connect(&address).await.unwrap();
                client.write_all(text.as_bytes()).await.unwrap();
                client.shutdown().await.unwrap();
                // The input closes its side when it has taken everything.
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            }
        });
        assert_eq!(records, expected);
    }

    fn input(given: &[(&str, &str)]) -> Result<Served<Clients>, BuildError> {
        let given = [&[("listen", "127.0.0.1"), ("port", "0")], given].concat();
        build_with(&options(OPTIONS, &given), tcp)
    }

    /// Runs `client` against an input, then stops it; the records that came out.
    fn serve<F: Future<Output = ()>>(
        given: &[(&str, &str)],
        client: impl FnOnce(String, Desk) -> F,
    ) -> Vec<String> {
        served::serve(|| input(given).unwrap(), client)
    }

    #[test]
    fn json_maps_are_records_and_arrays_stand_under_msg() {
        check(
            &[],
            &["{\"a\":1} {\"b\":2}\n[1,2]{\"c\":3}", "{\"d\":4}"],
            &[
                r#"t 5.000000000 {"a":1}"#,
                r#"t 5.000000000 {"b":2}"#,
                r#"t 5.000000000 {"msg":[1,2]}"#,
                r#"t 5.000000000 {"c":3}"#,
                r#"t 5.000000000 {"d":4}"#,
            ],
        );
    }

    #[test]
    fn invalid_json_loses_its_own_line_only() {
        check(
            &[],
            &["{\"a\":1}\n{nonsense\n\"text\" {\"b\":2}\n"],
            &[r#"t 5.000000000 {"a":1}"#, r#"t 5.000000000 {"b":2}"#],
        );
    }

    #[test]
    fn a_value_above_buffer_size_is_skipped() {
        let long = format!("{{\"a\":\"{}\"}}\n{{\"b\":2}}\n", "x".repeat(3000));
        check(&[("buffer_size", "1")], &[&long], &[r#"t 5.000000000 {"b":2}"#]);
        let long = format!("{};b;", "x".repeat(3000));
        let given = [("buffer_size", "1"), ("format", "none"), ("separator", ";")];
        check(&given, &[&long], &[r#"t 5.000000000 {"log":"b"}"#]);
    }

    #[test]
    fn sizes_are_kilobytes_or_have_a_unit() {
        for (text, bytes) in [
            ("1", 1024),
            ("512k", 512 << 10),
            ("512KB", 512 << 10),
            ("64 k", 64 << 10),
            ("1M", 1 << 20),
            ("1g", 1 << 30),
        ] {
            assert_eq!(
                input(&[("chunk_size", text)]).unwrap().clients.payloads.limit,
                bytes,
                "{text}"
            );
            assert_eq!(
                input(&[("buffer_size", text)]).unwrap().clients.payloads.limit,
                bytes,
                "{text}"
            );
        }
    }

    #[test]
    fn a_text_that_stands_still_ends_its_connection() {
        serve(&[("net.io_timeout", "1"), ("format", "none")], async |address, desk| {
            let mut idle = TcpStream::connect(&address).await.unwrap();
            let mut client = TcpStream::connect(&address).await.unwrap();
            client.write_all(b"whole\nhalf").await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it is closed");
            idle.write_all(b"after a silence\n").await.unwrap();
            let records = desk.records(3).await;
            let texts = ["whole", "half", "after a silence"];
            assert_eq!(records, texts.map(|text| format!("t 5.000000000 {{\"log\":\"{text}\"}}")));
        });
    }

    #[test]
    fn texts_are_cut_at_the_separator() {
        let line = |text: &str| format!("t 5.000000000 {{\"log\":\"{text}\"}}");
        let expected = ["a", "b", "c"].map(line);
        let expected = expected.each_ref().map(String::as_str);
        check(&[("format", "none")], &["a\nb\n\nc"], &expected);
        check(&[("format", "none"), ("separator", "\\r\\n")], &["a\r\nb\r\nc\r\n"], &expected);
    }

    #[test]
    fn a_parser_makes_records_of_texts() {
        check(
            &[("parser", "json")],
            &["{\"a\":1}\nno\n"],
            &[r#"t 5.000000000 {"a":1}"#, r#"t 5.000000000 {"log":"no"}"#],
        );
    }

    #[test]
    fn the_client_s_address_stands_under_its_key() {
        serve(&[("source_address_key", "from")], async |address, desk| {
            let mut client = TcpStream::connect(&address).await.unwrap();
            client.write_all(b"{}").await.unwrap();
            let from = client.local_addr().unwrap();
            let records = desk.records(1).await;
            assert_eq!(records, [format!("t 5.000000000 {{\"from\":\"tcp://{from}\"}}")]);
        });
    }

    #[test]
    fn connections_speak_tls() {
        let identity = Identity::new();
        serve(
            &[
                ("tls", "on"),
                ("tls.crt_file", identity.certificate()),
                ("tls.key_file", identity.key()),
            ],
            async |address, desk| {
                // Whoever does not speak TLS is turned away, and the others are served.
                let mut plain = TcpStream::connect(&address).await.unwrap();
                plain.write_all(b"{\"a\":1}\n").await.unwrap();
                let mut client = identity.connect(&address).await;
                client.write_all(b"{\"b\":2}").await.unwrap();
                let records = desk.records(1).await;
                assert_eq!(records, [r#"t 5.000000000 {"b":2}"#]);
            },
        );
    }

    #[test]
    fn connections_beyond_the_limit_are_closed() {
        serve(&[("net.max_connections", "1")], async |address, desk| {
            let mut first = TcpStream::connect(&address).await.unwrap();
            first.write_all(b"{\"a\":1}").await.unwrap();
            desk.records(1).await;
            let mut second = TcpStream::connect(&address).await.unwrap();
            assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
            first.write_all(b"{\"b\":2}").await.unwrap();
            desk.records(2).await;
        });
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused = |given: &[(&str, &str)]| input(given).err().unwrap().to_string();
        for wrong in ["0", "k", "-1", "1.5m", "2g", "32x", "99999999999999999999"] {
            assert!(
                refused(&[("chunk_size", wrong)]).contains("not a number of kilobytes"),
                "{wrong}"
            );
        }
        assert!(refused(&[("parser", "nobody")]).contains("not known"));
        assert!(refused(&[("tls", "on")]).contains("no certificate to show"));
    }
}
