//! `tcp`: records to whoever listens at a port.

use flb_event::Chunk;
use flb_net::{connections, dial, tls};
use flb_plugin::keys::{Choice, Key, Text};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Options, Output, Spec, Table, keys};

use super::json;
use super::layout::{self, Format, FormatName, format_key, raw_lines};
use super::messages::{Compose, Messages, Mode, Unanswered, Way};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "tcp",
    about: "Send records over TCP",
    options: Table(&[
        OWN,
        layout::KEYS,
        json::KEYS,
        dial::KEYS,
        connections::KEYS,
        tls::KEYS,
        tls::CLIENT,
    ]),
    build,
};

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Receiver").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("5170");
    FORMAT: Choice<FormatName> = format_key("msgpack");
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    let place = (options.get(HOST), options.get(PORT));
    let way = Way::new(Mode::Tcp, place, options, build)?;
    let format = Format::new(options.get(FORMAT), options, build)?;
    Ok(Box::new(Unanswered::new(way, Tcp(format), Label::output("tcp", build))))
}

struct Tcp(Format);

impl Compose for Tcp {
    fn compose(&self, chunk: &Chunk) -> Messages {
        match &self.0 {
            Format::Msgpack => Messages::whole(chunk.bytes().to_vec()),
            Format::Raw(raw) => raw_lines(raw, chunk),
            Format::Json(layout, json) => {
                let (mut printer, mut left_out) = (json.printer(), Vec::new());
                let mut bytes = Vec::with_capacity(chunk.bytes().len() * 2);
                let write = |event: flb_event::Event<'_>, out: &mut Vec<u8>| {
                    json.write(event, &mut printer, out)
                };
                layout.write(chunk, &mut bytes, write, |place, why| left_out.push((place, why)));
                let mut messages = Messages::whole(bytes);
                left_out.iter().for_each(|(place, why)| messages.leave_out(*place, why));
                messages
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::net::{Identity, block_on};
    use flb_harness::{build, chunk};
    use flb_net::stream::Stream;
    use flb_plugin::Flush;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn two() -> Chunk {
        chunk("app.web", &[(1, 500_000_000, r#"{"log":"a"}"#), (2, 0, r#"{"n":2}"#)])
    }

    /// What two records are, over a connection that is not kept.
    fn sent(given: &[(&str, &str)]) -> (Flush, Vec<u8>) {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port().to_string();
            let own = [("port", port.as_str()), ("net.keepalive", "off")];
            let output = build(&SPEC, &[&own, given].concat()).unwrap();
            let server = async {
                let mut data = Vec::new();
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_to_end(&mut data).await.unwrap();
                data
            };
            let records = two();
            tokio::join!(output.flush(&records), server)
        })
    }

    #[track_caller]
    fn check(given: &[(&str, &str)], expected: &str) {
        let (flush, data) = sent(given);
        assert!(matches!(flush, Flush::Done), "{flush:?}");
        assert_eq!(String::from_utf8(data).unwrap(), expected);
    }

    #[test]
    fn records_are_sent_in_every_format() {
        assert_eq!(sent(&[]).1, two().bytes());
        check(&[("format", "json")], r#"[{"date":1.5,"log":"a"},{"date":2.0,"n":2}]"#);
        let lines = "{\"log\":\"a\"}\n{\"n\":2}\n";
        check(&[("format", "json_lines"), ("json_date_key", "off")], lines);
        let given = [("format", "json_stream"), ("json_date_format", "epoch")];
        check(&given, r#"{"date":1,"log":"a"}{"date":2,"n":2}"#);
    }

    #[test]
    fn a_text_of_each_record_can_be_sent_and_who_has_none_is_left_out() {
        check(&[("raw_message_key", "$TAG[1]: $log")], "web: a\nweb: \n");
        let (flush, data) = sent(&[("raw_message_key", "$log"), ("format", "json")]);
        assert!(matches!(flush, Flush::Partly { left_out: 1, .. }), "{flush:?}");
        assert_eq!(data, b"a\n");
    }

    #[test]
    fn connections_are_kept_and_one_that_the_receiver_closed_is_not_used() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port().to_string();
            let given = [("port", port.as_str()), ("raw_message_key", "$log")];
            let output = build(&SPEC, &given).unwrap();
            let message = |log: &str| chunk("t", &[(1, 0, &format!("{{\"log\":\"{log}\"}}"))]);
            let (first, second, third) = (message("1"), message("2"), message("3"));
            let (flush, taken) = tokio::join!(output.flush(&first), listener.accept());
            assert!(matches!(flush, Flush::Done), "{flush:?}");
            let mut stream = taken.unwrap().0;
            assert!(matches!(output.flush(&second).await, Flush::Done));
            let mut data = [0; 4];
            stream.read_exact(&mut data).await.unwrap();
            assert_eq!(&data, b"1\n2\n");
            drop(stream);
            let (flush, taken) = tokio::join!(output.flush(&third), listener.accept());
            assert!(matches!(flush, Flush::Done), "{flush:?}");
            taken.unwrap().0.read_exact(&mut data[..2]).await.unwrap();
            assert_eq!(&data[..2], b"3\n");
            drop(listener);
            let flush = build(&SPEC, &given).unwrap().flush(&third).await;
            let Flush::Retry { reason, after: None } = flush else { panic!("{flush:?}") };
            assert!(reason.contains("[output:tcp:tcp.0] 127.0.0.1:"), "{reason}");
        });
    }

    #[test]
    fn records_go_over_tls() {
        let identity = Identity::new();
        block_on(async {
            let (listener, tls) = identity.listen().await;
            let port = listener.local_addr().unwrap().port().to_string();
            let given = [
                ("host", "localhost"),
                ("port", port.as_str()),
                ("tls", "on"),
                ("tls.ca_file", identity.certificate()),
                ("raw_message_key", "$TAG"),
            ];
            let output = build(&SPEC, &given).unwrap();
            let server = async {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream: Stream = tls.accept(Box::new(stream)).await.unwrap();
                let mut data = [0; 16];
                stream.read_exact(&mut data).await.unwrap();
                data
            };
            let records = two();
            let (flush, data) = tokio::join!(output.flush(&records), server);
            assert!(matches!(flush, Flush::Done), "{flush:?}");
            assert_eq!(&data, b"app.web\napp.web\n");
        });
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused = |given: &[(&str, &str)]| build(&SPEC, given).err().unwrap().to_string();
        assert!(refused(&[("port", "x")]).contains("is not a port number"));
        assert!(refused(&[("raw_message_key", "$a['b")]).contains("raw_message_key: "));
    }
}
