//! `udp`: a datagram of each record.

use flb_event::Chunk;
use flb_plugin::keys::{Choice, Key, Text};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Options, Output, Spec, Table, keys};

use super::json;
use super::layout::{self, Format, FormatName, Layout, format_key, raw_lines};
use super::messages::{Compose, Messages, Mode, Unanswered, Way};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "udp",
    about: "Send records over UDP",
    options: Table(&[OWN, layout::KEYS, json::KEYS]),
    build,
};

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Receiver").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("5170");
    FORMAT: Choice<FormatName> = format_key("json_lines");
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    let place = (options.get(HOST), options.get(PORT));
    let way = Way::new(Mode::Udp, place, options, build)?;
    let format = Format::new(options.get(FORMAT), options, build)?;
    Ok(Box::new(Unanswered::new(way, Udp(format), Label::output("udp", build))))
}

struct Udp(Format);

impl Compose for Udp {
    fn compose(&self, chunk: &Chunk) -> Messages {
        match &self.0 {
            Format::Msgpack => entries(chunk),
            Format::Raw(raw) => raw_lines(raw, chunk),
            Format::Json(layout, json) => {
                let mut printer = json.printer();
                let (open, close): (&[u8], &[u8]) = match layout {
                    Layout::Array => (b"[", b"]\n"),
                    Layout::Lines | Layout::Stream => (b"", b"\n"),
                };
                Messages::of_each(chunk, |event, out| {
                    out.extend_from_slice(open);
                    json.write(event, &mut printer, out)?;
                    out.extend_from_slice(close);
                    Ok::<_, flb_event::msgpack::MsgpackError>(())
                })
            }
        }
    }
}

/// Each record with its time, as it stands in the chunk.
fn entries(chunk: &Chunk) -> Messages {
    let (mut messages, mut records) = (Messages::default(), chunk.records());
    for place in 0..chunk.len() {
        let start = records.position();
        records.pass(1);
        messages.push(place, &[&chunk.bytes()[start..records.position()]]);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::net::block_on;
    use flb_harness::{build, chunk};
    use flb_plugin::Flush;
    use tokio::net::UdpSocket;

    /// The datagrams that two records are.
    fn sent(given: &[(&str, &str)]) -> [Vec<u8>; 2] {
        block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let port = socket.local_addr().unwrap().port().to_string();
            let output = build(&SPEC, &[&[("port", port.as_str())], given].concat()).unwrap();
            let records = chunk("t", &[(1, 500_000_000, r#"{"log":"a"}"#), (2, 0, r#"{"n":2}"#)]);
            let flush = output.flush(&records).await;
            assert!(matches!(flush, Flush::Done), "{flush:?}");
            let mut datagrams = [vec![0; 100], vec![0; 100]];
            for datagram in &mut datagrams {
                let length = socket.recv(datagram).await.unwrap();
                datagram.truncate(length);
            }
            datagrams
        })
    }

    #[track_caller]
    fn check(given: &[(&str, &str)], expected: [&str; 2]) {
        assert_eq!(sent(given).map(|datagram| String::from_utf8(datagram).unwrap()), expected);
    }

    #[test]
    fn a_record_is_a_datagram_in_every_format() {
        let objects = ["{\"date\":1.5,\"log\":\"a\"}\n", "{\"date\":2.0,\"n\":2}\n"];
        check(&[], objects);
        check(&[("format", "json_stream")], objects);
        let arrays = ["[{\"log\":\"a\"}]\n", "[{\"n\":2}]\n"];
        check(&[("format", "json"), ("json_date_key", "off")], arrays);
        check(&[("raw_message_key", "$TAG $log")], ["t a\n", "t \n"]);
        let entries = sent(&[("format", "msgpack")]);
        let bytes = chunk("t", &[(1, 500_000_000, r#"{"log":"a"}"#), (2, 0, r#"{"n":2}"#)]);
        assert_eq!(entries.concat(), bytes.bytes());
        assert_eq!(entries[0][0], 0x92);
    }
}
