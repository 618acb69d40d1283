//! What must hold for any request that a client of OTLP may send.

use flb_event::msgpack::map_len;
use flb_event::{Tag, Timestamp};

use super::{Format, Keys, Records, read};

/// The most that records may take here.
const LIMIT: usize = 1_000_000;

/// Takes `data` for a request in both encodings, with a key for bodies and without one.
pub(crate) fn check(data: &[u8]) {
    let tag = Tag::new("t").expect("it is short");
    for format in [Format::Protobuf, Format::Json] {
        for body in [None, Some("body".to_owned())] {
            let keys = Keys { metadata: "otlp".to_owned(), body };
            let mut records = Records::new(&tag, Timestamp { sec: 5, nsec: 0 }, &keys, LIMIT);
            if read(format, data, &mut records).is_ok() {
                check_records(records);
            }
        }
    }
}

fn check_records(records: Records<'_>) {
    let mut size = 0;
    for chunk in records.finish() {
        size += chunk.bytes().len();
        for event in chunk.records() {
            assert_eq!(map_len(event.metadata), Ok(event.metadata.len()));
            assert_eq!(map_len(event.body), Ok(event.body.len()));
        }
    }
    assert!(size <= LIMIT);
}
