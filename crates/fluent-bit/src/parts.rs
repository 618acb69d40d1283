//! What Fluent Bit's chunks are made of: records in each of the forms that it writes and takes, and what is none.
//!
//! A record is `[[time, metadata], body]`, or in the older form `[time, body]`; its time an EventTime, an integer or a float.
//! Two EventTimes are none: -1 and -2 open and close a group, whose attributes stand where a record has its body. Whatever
//! is no record passes as it is.

use flb_event::msgpack::{Reader, Value};
use flb_event::{Event, Timestamp};

/// A part of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A record.
    Record {
        /// All that stands before the body.
        head: &'a [u8],
        /// What it says.
        event: Event<'a>,
    },
    /// Something else.
    Other(&'a [u8]),
}

/// Walks over a chunk. The parts together are all its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    pub(crate) fn of(chunk: &'a [u8]) -> Self {
        Self(chunk)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let (part, length) = match usual(self.0).or_else(|| record(self.0)) {
            Some((head, event)) => {
                let head = &self.0[..head];
                (Part::Record { head, event }, head.len() + event.body.len())
            }
            None => {
                // Behind what is cut off or no msgpack nobody knows where something begins.
                let length = length(self.0).unwrap_or(self.0.len());
                (Part::Other(&self.0[..length]), length)
            }
        };
        self.0 = &self.0[length..];
        Some(part)
    }
}

/// Seconds of EventTimes from which on they are no times.
const GROUPS: u32 = u32::MAX - 1;

/// The record that the data begins with, in the form that Fluent Bit itself writes, and the length of its head.
fn usual(data: &[u8]) -> Option<(usize, Event<'_>)> {
    let time = data.strip_prefix(&[0x92, 0x92, 0xd7, 0x00])?;
    let (time, maps) = time.split_first_chunk()?;
    let (metadata, rest) = map(maps)?;
    let (body, _) = map(rest)?;
    Some((data.len() - rest.len(), Event { time: event_time(*time)?, metadata, body }))
}

/// The same for a record in any form.
fn record(data: &[u8]) -> Option<(usize, Event<'_>)> {
    let mut reader = Reader::new(data);
    let Value::Array(2) = reader.next().ok()? else { return None };
    let (time, metadata, rest) = match reader.next().ok()? {
        Value::Array(2) => {
            let value = reader.next().ok()?;
            let (metadata, rest) = map(&data[reader.position()..])?;
            (value, metadata, rest)
        }
        value => (value, Event::NO_METADATA, &data[reader.position()..]),
    };
    let (body, _) = map(rest)?;
    Some((data.len() - rest.len(), Event { time: read_time(time)?, metadata, body }))
}

fn read_time(value: Value<'_>) -> Option<Timestamp> {
    match value {
        Value::Ext(0, bytes) => event_time(bytes.try_into().ok()?),
        Value::Uint(seconds) => Some(Timestamp { sec: seconds.try_into().ok()?, nsec: 0 }),
        Value::Float(seconds) if seconds >= 0.0 && seconds < f64::from(u32::MAX) => {
            let nsec = (seconds.fract() * 1e9) as u32;
            Some(Timestamp { sec: seconds as u32, nsec: nsec.min(999_999_999) })
        }
        _ => None,
    }
}

fn event_time(bytes: [u8; 8]) -> Option<Timestamp> {
    let number = u64::from_be_bytes(bytes);
    let (sec, nsec) = ((number >> 32) as u32, number as u32);
    let time = Timestamp { sec, nsec };
    (!is_no_time(time)).then_some(time)
}

/// Whether this opens or closes a group where a record has its time.
pub(crate) fn is_no_time(time: Timestamp) -> bool {
    time.sec >= GROUPS
}

/// The map that the data begins with, and the rest.
fn map(data: &[u8]) -> Option<(&[u8], &[u8])> {
    match Reader::new(data).next().ok()? {
        Value::Map(_) => data.split_at_checked(length(data)?),
        _ => None,
    }
}

/// The length of the value that the data begins with, however deep it is: one that is too deep for a filter is a record that
/// it fails on, and does not hide those behind it.
fn length(data: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(data);
    let mut left = 1_u64;
    while left > 0 {
        left = left - 1 + reader.next().ok()?.elements();
    }
    Some(reader.position())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"\x81\xa1a\x01";

    /// What each part is: `r` with its time and the lengths of head, metadata and body, or `o` with its length.
    fn check(chunk: &[u8], expected: &[&str]) {
        let parts: Vec<Part<'_>> = Parts::of(chunk).collect();
        let told = parts.iter().map(|part| match part {
            Part::Record { head, event } => {
                let Event { time, metadata, body } = event;
                let (head, metadata, body) = (head.len(), metadata.len(), body.len());
                format!("r {}.{} {head} {metadata} {body}", time.sec, time.nsec)
            }
            Part::Other(bytes) => format!("o {}", bytes.len()),
        });
        assert_eq!(told.collect::<Vec<_>>(), expected, "{chunk:02x?}");
        let bytes = parts.iter().flat_map(|part| match part {
            Part::Record { head, event } => [*head, event.body],
            Part::Other(bytes) => [*bytes, &[]],
        });
        assert_eq!(bytes.flatten().copied().collect::<Vec<_>>(), chunk);
    }

    #[test]
    fn a_record_may_have_any_form() {
        let event_time = b"\xd7\0\0\0\0\x07\0\0\0\x08".as_slice();
        let ext8 = b"\xc7\x08\0\0\0\0\x07\0\0\0\x08".as_slice();
        for (time, told) in [
            (event_time, "7.8"),
            (ext8, "7.8"),
            (b"\x07", "7.0"),
            (b"\xce\x65\0\0\0", "1694498816.0"),
            (b"\xcb\x40\x1e\0\0\0\0\0\0", "7.500000000"),
            (b"\xca\x40\xf0\0\0", "7.500000000"),
        ] {
            let old = [b"\x92", time, A].concat();
            check(&old, &[&format!("r {told} {} 1 4", 1 + time.len())]);
            let new = [b"\x92\x92", time, b"\x81\xa1m\x01", A].concat();
            check(&new, &[&format!("r {told} {} 4 4", 6 + time.len())]);
            let long = [b"\xdc\0\x02\xdd\0\0\0\x02", time, b"\xde\0\0", A].concat();
            check(&long, &[&format!("r {told} {} 3 4", 11 + time.len())]);
        }
    }

    #[test]
    fn what_is_no_record_passes_and_the_next_is_found() {
        let record = [b"\x92\x92\xd7\0\0\0\0\x07\0\0\0\x08\x80", A].concat();
        for other in [
            b"\x92\x92\xd7\0\xff\xff\xff\xff\0\0\0\0\x80\x81\xa1g\x01".as_slice(),
            b"\x92\x92\xd7\0\xff\xff\xff\xfe\0\0\0\0\x80\x80",
            b"\x92\x92\xff\x80\x80",
            b"\x92\x92\xd7\x01\0\0\0\0\0\0\0\0\x80\x80",
            b"\x92\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x80\x80",
            b"\x92\x92\xcb\x7f\xf8\0\0\0\0\0\0\x80\x80",
            b"\x92\x92\x07\xc0\x80",
            b"\x92\x07\x91\x80",
            b"\x93\x07\x80\x80",
            b"\x92\x93\x07\x80\x80\x80",
            b"\x80",
            b"\xc0",
        ] {
            let chunk = [&record, other, &record].concat();
            let other = format!("o {}", other.len());
            check(&chunk, &["r 7.8 13 1 4", &other, "r 7.8 13 1 4"]);
        }
    }

    #[test]
    fn a_chunk_that_is_cut_off_passes_from_there_on() {
        let record = [b"\x92\x92\xd7\0\0\0\0\x07\0\0\0\x08\x80", A].concat();
        for length in 1..record.len() {
            let chunk = [&record, &record[..length]].concat();
            check(&chunk, &["r 7.8 13 1 4", &format!("o {length}")]);
        }
        check(&[&record[..], b"\xc1", &record].concat(), &["r 7.8 13 1 4", "o 18"]);
        check(b"", &[]);
    }

    #[test]
    fn a_deep_record_is_one_and_hides_none() {
        let deep =
            [b"\x92\x92\xd7\0\0\0\0\x07\0\0\0\x08\x80\x81\xa1a".as_slice(), &[0x91; 600], &[0xc0]];
        let record = [b"\x92\x92\xd7\0\0\0\0\x07\0\0\0\x08\x80", A].concat();
        check(&[&deep.concat()[..], &record].concat(), &["r 7.8 13 1 604", "r 7.8 13 1 4"]);
    }
}
