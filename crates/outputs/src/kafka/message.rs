//! From a record to its message: the bytes, the key by which brokers choose the partition, the topic.

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::{self, MsgpackError};
use flb_event::{Accessor, Event, Timestamp};
use flb_plugin::keys::{Choice, Key, Text, Word};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Options, keys};

use super::topics::Topics;
use crate::accessors::path_or_name;
use crate::date::DateFormat;
use crate::gelf_message::Gelf;
use crate::json::{Field, close_with, json_options};

keys! {
    pub(super) const KEYS;
    FORMAT: Choice<FormatName> = Key::new("format", "How records look").default("json");
    MESSAGE_KEY: Option<Text> = Key::new("message_key", "Key of all messages");
    MESSAGE_KEY_FIELD: Option<Text> =
        Key::new("message_key_field", "Key of a record that says its message's key");
    TIMESTAMP_KEY: Text =
        Key::new("timestamp_key", "Key of the time in JSON and msgpack").default("@timestamp");
    TIMESTAMP_FORMAT: Choice<Stamp> =
        Key::new("timestamp_format", "How the time is written there").default("double");
    RAW_LOG_KEY: Option<Text> = Key::new("raw_log_key", "Key whose text is the message, for format raw");
}

/// How records look, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormatName {
    Json,
    Msgpack,
    Gelf,
    Raw,
    Avro,
    Otlp,
}

impl Word for FormatName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("msgpack", Self::Msgpack),
        ("gelf", Self::Gelf),
        ("raw", Self::Raw),
        ("avro", Self::Avro),
        ("otlp_json", Self::Otlp),
        ("otlp_proto", Self::Otlp),
    ];
}

/// How the time is written.
#[derive(Debug, Clone, Copy)]
struct Stamp(DateFormat);

impl Word for Stamp {
    const ALL: &'static [(&'static str, Self)] = &[
        ("double", Self(DateFormat::Double)),
        ("iso8601", Self(DateFormat::Iso8601)),
        ("iso8601_ns", Self(DateFormat::Iso8601Nanos)),
    ];
}

/// How records look.
#[derive(Debug)]
enum Format {
    Json,
    Msgpack,
    Gelf(Gelf),
    Raw(Accessor),
}

/// Why a record is no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoMessage {
    #[error("it cannot be written: {0}")]
    Unprintable(#[from] MsgpackError),
    #[error("it has no text under raw_log_key")]
    NoText,
}

impl NoMessage {
    /// As the metric has it.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Unprintable(_) => "unprintable",
            Self::NoText => "no_raw_log_key",
        }
    }
}

/// How records become messages.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) topics: Topics,
    format: Format,
    time_key: Field,
    /// The same as msgpack.
    packed_time_key: Vec<u8>,
    stamp: DateFormat,
    key: Option<Vec<u8>>,
    key_field: Option<Accessor>,
    json: JsonOptions,
}

impl Messages {
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        let json = json_options(build);
        let (time_key, mut packed_time_key) = (options.get(TIMESTAMP_KEY), Vec::new());
        msgpack::write_str(&mut packed_time_key, time_key);
        let Stamp(stamp) = options.get(TIMESTAMP_FORMAT);
        let key_field = options.get(MESSAGE_KEY_FIELD);
        let key_field = key_field.map(|text| path_or_name(MESSAGE_KEY_FIELD.name(), text));
        Ok(Self {
            topics: Topics::new(options, Label::output("kafka", build))?,
            format: format(options)?,
            time_key: Field::new(time_key, json),
            packed_time_key,
            stamp,
            key: options.get(MESSAGE_KEY).map(|text| text.as_bytes().to_vec()),
            key_field: key_field.transpose()?,
            json,
        })
    }

    /// What [`write`](Self::write) prints with; its memory serves for many records.
    pub(super) fn printer(&self) -> Printer {
        Printer::new(self.json)
    }

    /// The key of a record's message.
    pub(super) fn key<'a>(&'a self, body: &'a [u8]) -> Option<&'a [u8]> {
        let own = self.key_field.as_ref().and_then(|field| field.find_str(body));
        own.or(self.key.as_deref())
    }

    /// Writes a record's message to `out`, which is empty.
    pub(super) fn write(
        &self,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), NoMessage> {
        match &self.format {
            Format::Json => self.write_json(event, printer, out)?,
            Format::Msgpack => self.write_msgpack(event, out)?,
            Format::Gelf(gelf) => gelf.write(event, printer, out)?,
            Format::Raw(key) => {
                out.extend_from_slice(key.find_str(event.body).ok_or(NoMessage::NoText)?);
            }
        }
        Ok(())
    }

    fn write_json(
        &self,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        out.push(b'{');
        // Of two equal keys only the last is printed, and the body's come last.
        if !self.time_key.is_in(event.body)? {
            out.extend_from_slice(&self.time_key.json);
            self.stamp.write(event.time, out)?;
        }
        close_with(event.body, 0, printer, out)
    }

    fn write_msgpack(&self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), MsgpackError> {
        let (count, start) = msgpack::map_header(event.body)?;
        msgpack::write_map_header(out, count.saturating_add(1));
        out.extend_from_slice(&self.packed_time_key);
        self.pack_time(event.time, out)?;
        out.extend_from_slice(&event.body[start..]);
        Ok(())
    }

    fn pack_time(&self, time: Timestamp, out: &mut Vec<u8>) -> Result<(), MsgpackError> {
        if self.stamp == DateFormat::Double {
            msgpack::write_float(out, time.as_f64());
            return Ok(());
        }
        let mut text = Vec::new();
        self.stamp.write(time, &mut text)?;
        msgpack::write_str(out, &text[1..text.len() - 1]);
        Ok(())
    }
}

fn format(options: &Options) -> Result<Format, BuildError> {
    let raw_key = options.get(RAW_LOG_KEY);
    Ok(match options.get(FORMAT) {
        FormatName::Json => Format::Json,
        FormatName::Msgpack => Format::Msgpack,
        FormatName::Gelf => Format::Gelf(Gelf::new(options)),
        FormatName::Raw => {
            let key = raw_key.ok_or_else(|| {
                BuildError::new("format raw is for raw_log_key, which is not given")
                    .help("say whose text the message is: raw_log_key log")
            })?;
            Format::Raw(path_or_name(RAW_LOG_KEY.name(), key)?)
        }
        FormatName::Avro => {
            return Err(BuildError::new("format avro is not written here").help(super::NO_AVRO));
        }
        FormatName::Otlp => {
            return Err(BuildError::new("OpenTelemetry's formats are not written to Kafka here")
                .help("write: format json, or send with the output opentelemetry"));
        }
    })
}

#[cfg(test)]
mod tests {
    use flb_harness::{build_with, json_text, msgpack, options};

    use super::*;

    const TIME: Timestamp = Timestamp { sec: 1_700_000_000, nsec: 123_456_789 };

    fn made(given: &[(&str, &str)]) -> Result<Messages, BuildError> {
        build_with(&options(super::super::OPTIONS, given), Messages::new)
    }

    fn message(given: &[(&str, &str)], body: &str) -> Result<Vec<u8>, NoMessage> {
        let (messages, body, mut out) = (made(given).unwrap(), msgpack(body), Vec::new());
        let event = Event { time: TIME, metadata: Event::NO_METADATA, body: &body };
        messages.write(event, &mut messages.printer(), &mut out).map(|()| out)
    }

    #[test]
    fn a_message_is_json_with_the_time_before_it() {
        for (given, body, expected) in [
            (&[][..], r#"{"a":1}"#, r#"{"@timestamp":1700000000.123457,"a":1}"#),
            (&[], "{}", r#"{"@timestamp":1700000000.123457}"#),
            (&[], r#"{"@timestamp":2}"#, r#"{"@timestamp":2}"#),
            (
                &[("timestamp_key", "t"), ("timestamp_format", "iso8601")],
                r#"{"a":1}"#,
                r#"{"t":"2023-11-14T22:13:20.123456Z","a":1}"#,
            ),
            (
                &[("timestamp_format", "iso8601_ns")],
                "{}",
                r#"{"@timestamp":"2023-11-14T22:13:20.123456789Z"}"#,
            ),
            (&[("format", "raw"), ("raw_log_key", "log")], r#"{"log":"x y","a":1}"#, "x y"),
            (
                &[("format", "gelf"), ("gelf_short_message_key", "log")],
                r#"{"log":"x","host":"h"}"#,
                r#"{"version":"1.1","short_message":"x","host":"h","timestamp":1700000000.123}"#,
            ),
        ] {
            let message = message(given, body).unwrap();
            assert_eq!(String::from_utf8(message).unwrap(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_message_of_msgpack_is_the_record_with_the_time_before_it() {
        let plain = message(&[("format", "msgpack")], r#"{"a":1}"#).unwrap();
        assert_eq!(json_text(&plain), r#"{"@timestamp":1700000000.123457,"a":1}"#);
        let given = [("format", "msgpack"), ("timestamp_format", "iso8601_ns")];
        let dated = message(&given, "{}").unwrap();
        assert_eq!(json_text(&dated), r#"{"@timestamp":"2023-11-14T22:13:20.123456789Z"}"#);
    }

    #[test]
    fn a_record_without_the_text_is_no_message() {
        let given = [("format", "raw"), ("raw_log_key", "log")];
        for body in ["{}", r#"{"log":1}"#] {
            assert_eq!(message(&given, body).err().unwrap().class(), "no_raw_log_key");
        }
    }

    #[test]
    fn a_record_may_say_the_key_of_its_message() {
        let own = [("message_key", "all"), ("message_key_field", "k")];
        for (given, body, key) in [
            (&[][..], r#"{"k":"x"}"#, None),
            (&own[..1], r#"{"k":"x"}"#, Some("all")),
            (&own, r#"{"k":"x"}"#, Some("x")),
            (&own, r#"{"k":1}"#, Some("all")),
            (&own[1..], "{}", None),
        ] {
            let (messages, body) = (made(given).unwrap(), msgpack(body));
            assert_eq!(messages.key(&body), key.map(str::as_bytes));
        }
    }

    #[test]
    fn a_format_that_is_not_written_here_is_refused() {
        for given in [
            &[("format", "raw")][..],
            &[("format", "avro")],
            &[("format", "otlp_json")],
            &[("format", "otlp_proto")],
        ] {
            let error = made(given).err().unwrap();
            assert!(error.help.is_some(), "{given:?}: {error:?}");
        }
    }
}
