//! What must hold for any stream that a client may send.

use super::frames::{Frame, Frames, Framing, Message};

/// Longest message.
const LIMIT: usize = 100;

/// Takes `data` for a stream in both framings: however it comes in, the same messages come out, and none is too long.
pub(crate) fn check(data: &[u8]) {
    for framing in [Framing::Newline, Framing::Octets] {
        let whole = messages(framing, data, data.len().max(1));
        for read in [1, 7] {
            assert_eq!(messages(framing, data, read), whole);
        }
    }
}

/// The messages, `None` for each that is too long; and the bytes that were left.
fn messages(framing: Framing, data: &[u8], read: usize) -> (Vec<Option<Vec<u8>>>, Vec<u8>) {
    let (mut frames, mut buffer, mut found) = (Frames::new(framing, LIMIT), Vec::new(), Vec::new());
    for data in data.chunks(read) {
        buffer.extend_from_slice(data);
        loop {
            let Ok(next) = frames.next(&buffer) else { return (found, Vec::new()) };
            let Some(Frame { length, message }) = next else { break };
            assert!(length > 0 && length <= buffer.len());
            match message {
                Some(Message::Whole(text)) => {
                    assert!(!text.is_empty() && text.len() < LIMIT);
                    found.push(Some(text.to_owned()));
                }
                Some(Message::TooLong) => found.push(None),
                None => {}
            }
            buffer.drain(..length);
        }
    }
    let rest = frames.rest(&buffer).unwrap_or_default().to_owned();
    (found, rest)
}
