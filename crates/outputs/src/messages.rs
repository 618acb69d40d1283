//! Messages to a receiver that does not answer: a datagram each, or one behind the other over a connection.

use std::fmt::Display;
use std::sync::Arc;

use flb_event::{Chunk, Event};
use flb_net::connections::Connections;
use flb_net::datagrams::{LONGEST, Sender};
use flb_net::dial::Target;
use flb_net::options::port;
use flb_net::tls::{ClientTls, SWITCH};
use flb_plugin::keys::Word;
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, is_exhausted};

/// By what messages are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Udp,
    Tcp,
    Tls,
}

impl Word for Mode {
    const ALL: &'static [(&'static str, Self)] =
        &[("udp", Self::Udp), ("tcp", Self::Tcp), ("tls", Self::Tls)];
}

/// The way to a receiver.
pub(super) enum Way {
    Datagrams(Sender),
    Connection(Connections),
}

impl Way {
    /// To a host and a port. The table of options has the keys for connections, unless `mode` is UDP.
    pub(super) fn new(
        mode: Mode,
        (host, port_text): (&str, &str),
        options: &Options,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        let port = port(port_text, 1)?;
        let tls = match mode {
            Mode::Udp => return Ok(Self::Datagrams(Sender::new(host, port))),
            Mode::Tcp => ClientTls::new(options, build)?,
            Mode::Tls => Some(ClientTls::of(options, build)?),
        };
        let target = Target::Tcp(host.to_owned(), port);
        Ok(Self::Connection(Connections::new(target, tls, options, build)))
    }

    /// As [`new`](Self::new), where `tls on` may stand beside a mode.
    pub(super) fn of_mode(
        mode: Mode,
        place: (&str, &str),
        options: &Options,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        if mode == Mode::Udp && options.get(SWITCH) {
            return Err(BuildError::new("mode udp does not go with tls on")
                .help("TLS needs a connection: mode tls"));
        }
        Self::new(mode, place, options, build)
    }

    /// Sends all of them, and tells the chunk's fate.
    async fn send(&self, label: &Label, records: usize, messages: &Messages) -> Flush {
        let left_out = messages.left_out.len();
        let (at, receiver, error) = match self {
            Self::Connection(connections) => match connections.send(&messages.bytes).await {
                Ok(()) => return Flush::but(left_out),
                Err(error) => (0, connections.to_string(), error),
            },
            Self::Datagrams(sender) => match send_each(sender, messages).await {
                Ok(()) => return Flush::but(left_out),
                Err((at, error)) => (at, sender.to_string(), error),
            },
        };
        let reason = format!("{label} {receiver}: {error}");
        let fate = match is_exhausted(&error) {
            true => Flush::NoRoom { reason },
            false => Flush::Retry { reason, after: None },
        };
        if at == 0 { fate } else { messages.rest(at, records, fate) }
    }
}

/// Sends a datagram a message. An error is that of the record at this place; those before it are sent.
async fn send_each(sender: &Sender, messages: &Messages) -> Result<(), (usize, std::io::Error)> {
    let mut start = 0;
    for &(place, end) in &messages.ends {
        let sent = sender.send(&messages.bytes[start..end]).await;
        sent.map_err(|error| (place, error))?;
        start = end;
    }
    Ok(())
}

/// What is sent of a chunk.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// All of them, one behind the other.
    pub(super) bytes: Vec<u8>,
    /// The record that each is of, and where it ends.
    ends: Vec<(usize, usize)>,
    /// The places of records that cannot be sent, and why.
    left_out: Vec<(usize, String)>,
}

impl Messages {
    /// A message of each record, as `write` has it. What that refuses is left out.
    pub(super) fn of_each<E: Display>(
        chunk: &Chunk,
        mut write: impl FnMut(Event<'_>, &mut Vec<u8>) -> Result<(), E>,
    ) -> Self {
        let mut messages = Self::default();
        for (place, event) in chunk.records().enumerate() {
            let start = messages.bytes.len();
            match write(event, &mut messages.bytes) {
                Ok(()) => messages.ends.push((place, messages.bytes.len())),
                Err(error) => {
                    messages.bytes.truncate(start);
                    messages.leave_out(place, &error);
                }
            }
        }
        messages
    }

    /// A message of these records together.
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Adds a message of the record at `place`.
    pub(super) fn push(&mut self, place: usize, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push((place, self.bytes.len()));
    }

    /// The record at `place` is not sent.
    pub(super) fn leave_out(&mut self, place: usize, why: &dyn Display) {
        self.left_out.push((place, why.to_string()));
    }

    /// Leaves out what is longer than a datagram can be.
    fn fit(self) -> Self {
        let mut fitting = Self { left_out: self.left_out, ..Self::default() };
        let mut start = 0;
        for (place, end) in self.ends {
            let message = &self.bytes[start..end];
            start = end;
            match message.len() <= LONGEST {
                true => fitting.push(place, &[message]),
                false => {
                    let why = format!("{} bytes are more than a datagram holds", message.len());
                    fitting.leave_out(place, &why);
                }
            }
        }
        fitting
    }

    /// The fate of a chunk of so many records whose first `sent` are sent, or left out.
    fn rest(&self, sent: usize, records: usize, fate: Flush) -> Flush {
        let again = (0..records).map(|place| place >= sent).collect();
        let left_out = self.left_out.iter().filter(|(place, _)| *place < sent).count();
        fate.of_rest(again, left_out, None)
    }
}

/// Makes messages of records.
pub(super) trait Compose: Send + Sync + 'static {
    /// Those of a chunk.
    fn compose(&self, chunk: &Chunk) -> Messages;
}

/// An output whose receiver does not answer: what is sent counts as delivered.
pub(super) struct Unanswered<C>(Arc<Sending<C>>);

struct Sending<C> {
    way: Way,
    compose: C,
    label: Label,
    unsendable: Mishaps,
}

impl<C: Compose> Unanswered<C> {
    pub(super) fn new(way: Way, compose: C, label: Label) -> Self {
        Self(Arc::new(Sending { way, compose, label, unsendable: Mishaps::default() }))
    }
}

impl<C: Compose> Output for Unanswered<C> {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let (sending, records) = (Arc::clone(&self.0), chunk.clone());
            let made = tokio::task::spawn_blocking(move || sending.messages(&records)).await;
            match made {
                Ok(messages) => self.0.way.send(&self.0.label, chunk.len(), &messages).await,
                Err(error) => Flush::Fail(OutputError(error.to_string())),
            }
        })
    }
}

impl<C: Compose> Sending<C> {
    fn messages(&self, chunk: &Chunk) -> Messages {
        let mut messages = self.compose.compose(chunk);
        if matches!(self.way, Way::Datagrams(_)) {
            messages = messages.fit();
        }
        for (_, why) in &messages.left_out {
            self.unsendable.left_out(&self.label, why);
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::chunk;
    use flb_harness::net::block_on;
    use flb_plugin::Table;
    use tokio::net::UdpSocket;

    /// The record's time in seconds as so many bytes; none of 0 seconds.
    struct Lengths;

    impl Compose for Lengths {
        fn compose(&self, chunk: &Chunk) -> Messages {
            Messages::of_each(chunk, |event, out| match event.time.sec {
                0 => Err("it has no time"),
                length => {
                    out.resize(out.len() + length as usize, b'x');
                    Ok(())
                }
            })
        }
    }

    fn output(port: u16) -> Unanswered<Lengths> {
        let options = flb_harness::options(Table(&[]), &[]);
        let place = ("127.0.0.1", port.to_string());
        let way = flb_harness::build_with(&options, |options, build| {
            Way::new(Mode::Udp, (place.0, &place.1), options, build)
        });
        Unanswered::new(way.unwrap(), Lengths, Label::named("test".to_owned()))
    }

    #[test]
    fn a_record_is_a_datagram_and_what_none_can_hold_is_left_out() {
        block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let output = output(socket.local_addr().unwrap().port());
            let records = [3, 0, 70_000, 5].map(|sec| (sec, 0, "{}"));
            let flush = output.flush(&chunk("t", &records)).await;
            assert!(matches!(flush, Flush::Partly { left_out: 2, refused: None }), "{flush:?}");
            let mut data = [0; 100];
            for expected in [3, 5] {
                assert_eq!(socket.recv(&mut data).await.unwrap(), expected);
            }
        });
    }

    #[test]
    fn after_an_error_only_what_was_not_sent_comes_again() {
        block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let output = output(socket.local_addr().unwrap().port());
            drop(socket);
            // The system tells of a datagram that nobody took when the next one is sent.
            let flush = output.flush(&chunk("t", &[0, 1, 2, 3].map(|sec| (sec, 0, "{}")))).await;
            let Flush::Rest { again, left_out: 1, reason, .. } = flush else { panic!("{flush:?}") };
            assert_eq!(again, [false, false, true, true]);
            assert!(reason.contains("refused"), "{reason}");
        });
    }
}
