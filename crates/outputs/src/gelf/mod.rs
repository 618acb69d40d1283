//! `gelf`: records as messages for Graylog.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::{self, MsgpackError, map};
use flb_event::{Chunk, Event};
use flb_net::forward::handshake::random;
use flb_net::packing::gzip;
use flb_net::{connections, dial, tls};
use flb_plugin::keys::{Bool, Choice, Key, Natural, Text};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Options, Output, Spec, Table, keys};

use super::gelf_message::{self, Gelf};
use super::json::json_options;
use super::messages::{Compose, Messages, Mode, Unanswered, Way};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "gelf",
    about: "Send records to Graylog",
    options: Table(&[
        OWN,
        gelf_message::KEYS,
        dial::KEYS,
        connections::KEYS,
        tls::KEYS,
        tls::CLIENT,
    ]),
    build,
};

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Server").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("12201");
    MODE: Choice<Mode> = Key::new("mode", "By what messages are carried").default("udp");
    TAG_KEY: Option<Text> = Key::new("gelf_tag_key", "Key of a record that the tag is put under");
    PACKET_SIZE: Natural =
        Key::new("packet_size", "Most bytes of a message in a datagram").default("1420");
    COMPRESS: Bool = Key::new("compress", "Compress messages in datagrams").default("on");
}

/// What a part of a message begins with.
const MAGIC: [u8; 2] = [0x1e, 0x0f];
/// The most parts of a message.
const MOST_PARTS: usize = 128;
/// What a part has before its piece of the message.
const HEAD: usize = 12;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    let mode = options.get(MODE);
    let way = Way::of_mode(mode, (options.get(HOST), options.get(PORT)), options, build)?;
    let compose = Graylog {
        gelf: Gelf::new(options),
        tag_key: options.get(TAG_KEY).map(str::to_owned),
        datagrams: (mode == Mode::Udp).then(|| datagrams(options)).transpose()?,
        json: json_options(build),
    };
    Ok(Box::new(Unanswered::new(way, compose, Label::output("gelf", build))))
}

fn datagrams(options: &Options) -> Result<Datagrams, BuildError> {
    let longest = flb_net::datagrams::LONGEST - HEAD;
    let piece = usize::try_from(options.get(PACKET_SIZE)).unwrap_or(usize::MAX);
    if !(1..=longest).contains(&piece) {
        return Err(BuildError::new(format!("packet_size {piece} is none"))
            .help(format!("use a number from 1 to {longest}")));
    }
    let [a, b, c, d, e, f, g, h, ..] = random()
        .map_err(|error| BuildError::new(format!("the system has no random numbers: {error}")))?;
    let next = AtomicU64::new(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    Ok(Datagrams { piece, compress: options.get(COMPRESS), next })
}

struct Graylog {
    gelf: Gelf,
    tag_key: Option<String>,
    /// None where messages go over a connection.
    datagrams: Option<Datagrams>,
    json: JsonOptions,
}

/// How messages become datagrams.
struct Datagrams {
    /// The most bytes of a message in one of them.
    piece: usize,
    compress: bool,
    /// The name of the next message in several parts: senders of a server must not agree on one.
    next: AtomicU64,
}

/// Why a message is not sent.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes are more than {MOST_PARTS} datagrams of packet_size hold")]
struct TooLong(usize);

impl Compose for Graylog {
    fn compose(&self, chunk: &Chunk) -> Messages {
        let mut printer = Printer::new(self.json);
        let Some(datagrams) = &self.datagrams else {
            return Messages::of_each(chunk, |event, out| {
                self.write(chunk, event, &mut printer, out)?;
                out.push(0);
                Ok::<_, MsgpackError>(())
            });
        };
        let mut messages = Messages::default();
        for (place, event) in chunk.records().enumerate() {
            let mut text = Vec::new();
            if let Err(error) = self.write(chunk, event, &mut printer, &mut text) {
                messages.leave_out(place, &error);
            } else if let Err(error) = datagrams.push(place, text, &mut messages) {
                messages.leave_out(place, &error);
            }
        }
        messages
    }
}

impl Graylog {
    fn write(
        &self,
        chunk: &Chunk,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        let Some(key) = &self.tag_key else { return self.gelf.write(event, printer, out) };
        let (mut body, mut entry) = (event.body.to_vec(), Vec::new());
        msgpack::write_str(&mut entry, key);
        msgpack::write_str(&mut entry, chunk.tag().as_str());
        map::append(&mut body, 0, 1, &entry);
        self.gelf.write(Event { body: &body, ..event }, printer, out)
    }
}

impl Datagrams {
    /// Adds the datagrams of a message: one, or several parts.
    fn push(&self, place: usize, text: Vec<u8>, messages: &mut Messages) -> Result<(), TooLong> {
        // What does not fit as it is may fit when it is smaller.
        let message = match self.compress || text.len() > self.piece {
            true => gzip(&text),
            false => text,
        };
        if message.len() <= self.piece {
            messages.push(place, &[&message]);
            return Ok(());
        }
        let parts = message.chunks(self.piece);
        let count =
            u8::try_from(parts.len()).ok().filter(|count| usize::from(*count) <= MOST_PARTS);
        let count = count.ok_or(TooLong(message.len()))?;
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (number, part) in (0..count).zip(parts) {
            messages.push(place, &[&MAGIC, &name, &[number, count], part]);
        }
        Ok(())
    }
}
