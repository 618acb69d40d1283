//! Messages that were read and are not handed over yet, as records, and where reading goes on behind them.

use flb_event::{Event, Timestamp, json, msgpack};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};

use super::Format;
use crate::shared::clock;

/// A part of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) number: i32,
}

/// Messages in the order in which they were read.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Metadata and body of each.
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// Partitions, each with the offset behind its last record.
    ends: Vec<(Partition, i64)>,
}

#[derive(Debug)]
struct Record {
    /// When the message was sent, if that is known.
    time: Option<Timestamp>,
    start: usize,
    body: usize,
    end: usize,
    /// Of which of the partitions it is.
    of: usize,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all records.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The records. Those whose time is not known come in now.
    pub(super) fn events(&self, now: Timestamp) -> impl Iterator<Item = Event<'_>> {
        self.records.iter().map(move |record| Event {
            time: record.time.unwrap_or(now),
            metadata: &self.bytes[record.start..record.body],
            body: &self.bytes[record.body..record.end],
        })
    }

    /// Where reading goes on in each partition.
    pub(super) fn ends(&self) -> &[(Partition, i64)] {
        &self.ends
    }

    /// Adds a message.
    pub(super) fn add(&mut self, message: &BorrowedMessage<'_>, format: Format) {
        let start = self.bytes.len();
        write_metadata(message, &mut self.bytes);
        let body = self.bytes.len();
        write_body(message, format, &mut self.bytes);
        let of = self.end(message.topic(), message.partition(), message.offset() + 1);
        let time = time(message.timestamp());
        self.records.push(Record { time, start, body, end: self.bytes.len(), of });
    }

    /// Notes where reading goes on in a partition; the partition's place.
    fn end(&mut self, topic: &str, number: i32, offset: i64) -> usize {
        let is_it = |(known, _): &(Partition, i64)| known.number == number && known.topic == topic;
        let at = self.ends.iter().position(is_it).unwrap_or(self.ends.len());
        match self.ends.get_mut(at) {
            Some((_, end)) => *end = offset,
            None => self.ends.push((Partition { topic: topic.to_owned(), number }, offset)),
        }
        at
    }

    /// Gives up what was read of these partitions: others read it now.
    pub(super) fn give_up(&mut self, gone: &[Partition]) {
        let ends = &self.ends;
        self.records.retain(|record| !gone.contains(&ends[record.of].0));
        if self.records.is_empty() {
            *self = Self::default();
        }
    }
}

/// When a message was sent: the same, however often it is read.
fn time(said: rdkafka::Timestamp) -> Option<Timestamp> {
    let millis = said.to_millis().and_then(|millis| u64::try_from(millis).ok());
    millis
        .filter(|millis| *millis > 0)
        .map(|millis| clock::timestamp(millis.saturating_mul(1_000_000)))
}

/// What is known beside a message: its headers, if it has any.
fn write_metadata(message: &BorrowedMessage<'_>, out: &mut Vec<u8>) {
    let Some(headers) = message.headers().filter(|headers| headers.count() > 0) else {
        out.extend_from_slice(Event::NO_METADATA);
        return;
    };
    msgpack::write_map_header(out, 1);
    msgpack::write_str(out, "kafka");
    msgpack::write_map_header(out, 1);
    msgpack::write_str(out, "headers");
    msgpack::write_map_header(out, u32::try_from(headers.count()).unwrap_or(u32::MAX));
    for header in headers.iter() {
        msgpack::write_str(out, header.key);
        write_text(header.value, out);
    }
}

fn write_body(message: &BorrowedMessage<'_>, format: Format, out: &mut Vec<u8>) {
    msgpack::write_map_header(out, 6);
    msgpack::write_str(out, "topic");
    msgpack::write_str(out, message.topic());
    msgpack::write_str(out, "partition");
    msgpack::write_int(out, message.partition().into());
    msgpack::write_str(out, "offset");
    msgpack::write_int(out, message.offset());
    // A message that comes has none; Fluent Bit has the key.
    msgpack::write_str(out, "error");
    msgpack::write_nil(out);
    msgpack::write_str(out, "key");
    write_text(message.key(), out);
    msgpack::write_str(out, "payload");
    match message.payload() {
        Some(payload) if format == Format::Json => write_json(payload, out),
        payload => write_text(payload, out),
    }
}

fn write_text(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) => msgpack::write_str(out, text),
        None => msgpack::write_nil(out),
    }
}

/// What is not JSON as a whole is a text.
fn write_json(payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let is_whole = json::parse(payload, out)
        .is_ok_and(|parsed| payload[parsed.consumed..].trim_ascii().is_empty());
    if !is_whole {
        out.truncate(start);
        msgpack::write_str(out, payload);
    }
}

#[cfg(test)]
mod tests {
    use flb_harness::json_text;

    use super::*;

    #[test]
    fn a_payload_is_json_only_as_a_whole() {
        for (payload, expected) in [
            (r#"{"a":1} "#, r#"{"a":1}"#),
            ("[1]", "[1]"),
            ("{}{}", r#""{}{}""#),
            (r#"{"a":"#, r#""{\"a\":""#),
            ("", r#""""#),
            ("hello", r#""hello""#),
        ] {
            let mut out = Vec::new();
            write_json(payload.as_bytes(), &mut out);
            assert_eq!(json_text(&out), expected, "{payload}");
        }
    }

    #[test]
    fn a_record_is_of_the_time_at_which_its_message_was_sent() {
        use rdkafka::Timestamp as Said;
        let sent = Timestamp { sec: 7, nsec: 250_000_000 };
        for (said, expected) in [
            (Said::CreateTime(7250), Some(sent)),
            (Said::LogAppendTime(7250), Some(sent)),
            (Said::CreateTime(0), None),
            (Said::CreateTime(-1), None),
            (Said::NotAvailable, None),
        ] {
            assert_eq!(time(said), expected, "{said:?}");
        }
    }

    #[test]
    fn what_others_read_now_is_given_up_and_nothing_else() {
        let partition = |number| Partition { topic: "t".to_owned(), number };
        let mut gathered = Gathered::default();
        for (number, offset) in [(0, 5), (1, 9), (0, 6)] {
            let start = gathered.bytes.len();
            gathered.bytes.extend_from_slice(Event::NO_METADATA);
            let body = gathered.bytes.len();
            msgpack::write_int(&mut gathered.bytes, offset);
            let of = gathered.end("t", number, offset + 1);
            let end = gathered.bytes.len();
            gathered.records.push(Record { time: None, start, body, end, of });
        }
        assert_eq!(gathered.ends(), [(partition(0), 7), (partition(1), 10)]);
        gathered.give_up(&[partition(0)]);
        let left: Vec<_> =
            gathered.events(Timestamp::default()).map(|event| json_text(event.body)).collect();
        assert_eq!(left, ["9"]);
        gathered.give_up(&[partition(1)]);
        assert!(gathered.is_empty() && gathered.ends().is_empty());
    }
}
