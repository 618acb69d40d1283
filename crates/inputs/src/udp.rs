//! `udp`: JSON values, or text between separators, in datagrams from the network.

use flb_net::listener::{self, Listener};
use flb_plugin::keys::{Int, Key, Options, Table, Text};
use flb_plugin::{Build, BuildError, Input, Spec, keys};

use super::shared::datagrams::Datagrams;
use super::shared::payloads::{self, Payloads};

pub(super) const SPEC: Spec<dyn Input> =
    Spec { name: "udp", about: "Take JSON or text from datagrams", options: OPTIONS, build };

keys! {
    const OWN;
    PORT: Text = listener::port_key("5170");
    WORKERS: Option<Int> = Key::new("workers", "").idle("one task takes all");
}

const OPTIONS: Table = Table(&[payloads::KEYS, OWN, listener::KEYS]);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(udp(options, build)?))
}

fn udp(options: &Options, build: &Build<'_>) -> Result<Datagrams<Payloads>, BuildError> {
    let payloads = Payloads::new("udp", options, build)?;
    let listener = Listener::udp(options, PORT, build.service)?;
    Ok(Datagrams::new(listener, payloads.limit, payloads, build))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::datagrams;
    use flb_harness::{build_with, options};
    use tokio::net::UdpSocket;

    /// Sends each text to an input in a datagram of its own; the records that come out.
    fn check(given: &[(&str, &str)], texts: &[&str], expected: &[&str]) {
        let given = [&[("listen", "127.0.0.1"), ("port", "0")], given].concat();
        let input = || build_with(&options(OPTIONS, &given), udp).unwrap();
        let records = datagrams::serve(input, async |address, desk| {
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for text in texts {
                client.send_to(text.as_bytes(), &address).await.unwrap();
            }
            desk.records(expected.len()).await;
        });
        let expected = expected.iter().map(|body| format!("t 5.000000000 {body}"));
        assert_eq!(records, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_datagram_holds_json_values_and_what_is_broken_costs_no_other() {
        let texts = [r#"{"a":1}[2]"#, r#"{"b":"#, "{\"c\":3}\n"];
        check(&[], &texts, &[r#"{"a":1}"#, r#"{"msg":[2]}"#, r#"{"c":3}"#]);
    }

    #[test]
    fn a_datagram_holds_texts_and_its_end_is_one_s_end() {
        let given = [("format", "none"), ("separator", ";")];
        check(&given, &["a;b", "c;"], &[r#"{"log":"a"}"#, r#"{"log":"b"}"#, r#"{"log":"c"}"#]);
    }

    #[test]
    fn a_parser_makes_records_of_a_datagram_s_texts() {
        let parsed = [r#"{"a":1}"#, r#"{"log":"no"}"#];
        check(&[("parser", "json")], &["{\"a\":1}\nno\n"], &parsed);
    }

    #[test]
    fn a_datagram_that_is_too_long_is_cut_off() {
        let long = "x".repeat(1500);
        let cut = format!("{{\"log\":\"{}\"}}", &long[..1024]);
        check(&[("format", "none"), ("buffer_size", "1")], &[&long], &[&cut]);
    }
}
