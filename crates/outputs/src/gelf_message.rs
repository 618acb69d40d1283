//! A record as a message for Graylog: GELF 1.1.

use std::io::Write;

use flb_event::Event;
use flb_event::json::Printer;
use flb_event::msgpack::{self, MsgpackError};
use flb_plugin::keys::{Key, Text};
use flb_plugin::{Options, keys};

keys! {
    /// The keys of a record that mean something to Graylog.
    pub(super) const KEYS;
    GELF_SHORT_MESSAGE_KEY: Text =
        Key::new("gelf_short_message_key", "Of the message").default("short_message");
    GELF_FULL_MESSAGE_KEY: Text =
        Key::new("gelf_full_message_key", "Of the long one").default("full_message");
    GELF_HOST_KEY: Text = Key::new("gelf_host_key", "Of the host").default("host");
    GELF_TIMESTAMP_KEY: Text = Key::new("gelf_timestamp_key", "Of the time").default("timestamp");
    GELF_LEVEL_KEY: Text = Key::new("gelf_level_key", "Of the level, 0 to 7").default("level");
}

/// What Graylog calls those keys, in their order.
const FIELDS: [&str; 5] = ["short_message", "full_message", "host", "timestamp", "level"];
/// Where a message is looked for when its key is missing: Graylog takes none without.
const OTHER_MESSAGES: [&[u8]; 2] = [b"log", b"message"];

/// How records become messages.
#[derive(Debug)]
pub(super) struct Gelf {
    /// A record's keys, in the order of [`FIELDS`].
    keys: [Vec<u8>; 5],
}

impl Gelf {
    pub(super) fn new(options: &Options) -> Self {
        let keys = [
            GELF_SHORT_MESSAGE_KEY,
            GELF_FULL_MESSAGE_KEY,
            GELF_HOST_KEY,
            GELF_TIMESTAMP_KEY,
            GELF_LEVEL_KEY,
        ];
        Self { keys: keys.map(|key| options.get(key).as_bytes().to_vec()) }
    }

    /// Appends a record. After an error `out` may have a part of it.
    pub(super) fn write(
        &self,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        out.extend_from_slice(b"{\"version\":\"1.1\"");
        let (mut seen, mut other_message) = ([false; 5], None);
        for entry in msgpack::entries(event.body)? {
            let (key, value) = entry?;
            let Some(text) = msgpack::as_str(key) else { continue };
            match self.keys.iter().position(|known| known == text) {
                Some(known) if !seen[known] => {
                    seen[known] = true;
                    field(FIELDS[known], value, printer, out)?;
                }
                Some(_) => {}
                // Graylog refuses a field of this name.
                None if text == b"id" => field("_record_id", value, printer, out)?,
                None => {
                    if OTHER_MESSAGES.contains(&text) && other_message.is_none() {
                        other_message = Some(value);
                    }
                    let name = [b"_", text].concat();
                    field(name, value, printer, out)?;
                }
            }
        }
        let [has_message, _, has_host, has_time, _] = seen;
        if !has_message {
            let mut text = Vec::new();
            msgpack::write_str(&mut text, "-");
            field("short_message", other_message.unwrap_or(&text), printer, out)?;
        }
        if !has_host {
            out.extend_from_slice(b",\"host\":\"unknown\"");
        }
        if !has_time {
            let (sec, millis) = (event.time.sec, event.time.nsec / 1_000_000);
            write!(out, ",\"timestamp\":{sec}.{millis:03}").expect("writing to memory works");
        }
        out.push(b'}');
        Ok(())
    }
}

fn field(
    name: impl AsRef<[u8]>,
    value: &[u8],
    printer: &mut Printer,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    let mut key = Vec::new();
    msgpack::write_str(&mut key, name);
    out.push(b',');
    printer.print(&key, out)?;
    out.push(b':');
    printer.print(value, out)
}
