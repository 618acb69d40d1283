//! What must hold for any body that an HTTP client may send.

use flb_event::msgpack::{Reader, map_len};

use super::Encoding;
use super::body::{ContentType, records};

/// Takes `data` for a body in every way that the input does.
pub(crate) fn check(data: &[u8]) {
    for kind in [ContentType::Json, ContentType::Form] {
        check_records(kind, data);
    }
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Snappy] {
        if let Ok(body) = encoding.unpack(data.to_vec(), 100_000) {
            assert!(body.len() <= 100_000);
            check_records(ContentType::Json, &body);
        }
    }
    let header = String::from_utf8_lossy(data);
    let _ = ContentType::named(&header);
}

fn check_records(kind: ContentType, body: &[u8]) {
    let Ok(records) = records(kind, body) else { return };
    assert!(!records.is_empty());
    let mut reader = Reader::new(&records);
    while !reader.is_at_end() {
        let record = reader.skip().expect("every record is whole");
        assert_eq!(map_len(record), Ok(record.len()));
    }
}
