//! What must hold for any bytes that a Forward client may send.

use flb_event::msgpack::{MsgpackError, value_len};

use super::decode::{Entry, Records, Scan, message};

/// Takes `data` for a message in every way that the input does.
pub(crate) fn check(data: &[u8]) {
    let (mut scan, mut found) = (Scan::default(), Ok(None));
    // As it comes in: a piece at a time.
    for end in (0..data.len()).step_by(7).chain([data.len()]) {
        found = scan.advance(&data[..end]);
        if !matches!(found, Ok(None)) {
            break;
        }
    }
    match value_len(data) {
        Ok(length) => assert_eq!(found, Ok(Some(length))),
        Err(MsgpackError::Truncated { .. }) => assert_eq!(found, Ok(None)),
        Err(_) => assert!(found.is_err()),
    }
    let Ok(Some(length)) = found else { return };
    let Ok(message) = message(&data[..length]) else { return };
    let Ok((unpacked, _)) = message.entries.unpack(100_000) else { return };
    assert!(unpacked.len() <= 100_000.max(data.len()));
    for entry in Records::new(&message.entries, &unpacked) {
        let Ok(entry) = entry else { return };
        if let Entry::Record { time, metadata, body } = entry {
            assert!(time.is_none_or(|time| time.nsec < 1_000_000_000));
            for map in [metadata, body] {
                assert_eq!(flb_event::msgpack::map_len(map), Ok(map.len()));
            }
        }
    }
}
