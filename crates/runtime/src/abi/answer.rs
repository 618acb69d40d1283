//! What a guest's answer means: read within its memory, checked, and copied out.

use flb_event::json::{self, Kind, Parsed, Sent};
use flb_event::msgpack::{self, MsgpackError};

use crate::{EventFormat, FilterError};

/// Longest answer, in bytes: as long as the longest record that goes in.
const MAX_LENGTH: usize = 64 << 20;
/// Most records that one may become.
const MAX_RECORDS: u32 = 65_536;
/// Bytes of an answer that is refused, for the log.
const SHOWN: usize = 120;

/// What the function returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Returned {
    /// Where the answer is; 0 for none.
    pub(crate) address: u32,
    /// How long it is, where the function says so.
    pub(crate) length: Option<u32>,
}

/// What a guest's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Drop,
    /// A body is in the buffer.
    Body,
    /// A msgpack array of at least two bodies is in the buffer.
    Bodies,
}

/// An answer, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Understood {
    pub(crate) answer: Answer,
    /// Whether it was JSON with other bytes than a NUL behind it.
    pub(crate) unterminated: bool,
}

impl Understood {
    const DROP: Self = Self { answer: Answer::Drop, unterminated: false };
}

/// Reads the answer to what was `sent`; `bytes` is the guest's memory from its address on, if that is within it. Bodies are appended to
/// `out`, which must be empty. A NULL pointer, an empty answer and an empty array drop the record.
pub(crate) fn understand(
    Returned { address, length }: Returned,
    bytes: Option<&[u8]>,
    format: EventFormat,
    sent: Sent<'_>,
    out: &mut Vec<u8>,
) -> Result<Understood, FilterError> {
    if address == 0 || length == Some(0) {
        return Ok(Understood::DROP);
    }
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return bad(format!("returned value is invalid: {address:#x} is outside the memory"));
    };
    let bytes = match length.map(|length| length as usize) {
        Some(length) if length > MAX_LENGTH => return bad(too_long()),
        Some(length) if length > bytes.len() => {
            return bad(format!(
                "returned value is invalid: {length} bytes at {address:#x} reach beyond the memory"
            ));
        }
        Some(length) => &bytes[..length],
        None => &bytes[..bytes.len().min(MAX_LENGTH)],
    };
    let is_json = matches!(format, EventFormat::Json { .. });
    if bytes[0] == 0 && (is_json || length.is_none()) {
        return Ok(Understood::DROP);
    }
    let understood = match format {
        EventFormat::Json { .. } => understand_json(bytes, sent, out),
        EventFormat::Msgpack => understand_msgpack(bytes, out),
    };
    // Whoever says how long an answer is need not end it.
    understood
        .map(|found| Understood { unterminated: found.unterminated && length.is_none(), ..found })
}

fn understand_json(
    bytes: &[u8],
    sent: Sent<'_>,
    out: &mut Vec<u8>,
) -> Result<Understood, FilterError> {
    let text = &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())];
    let refused = |why: &dyn std::fmt::Display| {
        bad(format!("invalid JSON format: {why}, buf: {}", flb_text::excerpt(text, SHOWN)))
    };
    let parsed = match text.trim_ascii_start().first() {
        Some(b'[') => json::parse(text, out),
        _ => json::parse_again(text, sent, out)
            .map(|consumed| Parsed { consumed, kind: Kind::Object }),
    };
    let (answer, consumed) = match parsed {
        Err(_) if text.len() == MAX_LENGTH => return bad(too_long()),
        Err(error) => return refused(&error),
        Ok(parsed) => match parsed.kind {
            Kind::Object | Kind::Other => (Answer::Body, parsed.consumed),
            Kind::Array => match several(out) {
                Ok(answer) => (answer, parsed.consumed),
                Err(Odd::TooMany) => return bad(too_many()),
                Err(Odd::Element(index)) => {
                    return refused(&format!("element {index} of the array is no object"));
                }
            },
        },
    };
    Ok(Understood { answer, unterminated: !is_terminated(&bytes[consumed..]) })
}

fn understand_msgpack(bytes: &[u8], out: &mut Vec<u8>) -> Result<Understood, FilterError> {
    let is_array = msgpack::elements(bytes).is_ok();
    let length = if is_array { msgpack::value_len(bytes) } else { msgpack::map_len(bytes) };
    match length {
        Ok(length) => out.extend_from_slice(&bytes[..length]),
        Err(MsgpackError::Truncated { .. }) if bytes.len() == MAX_LENGTH => return bad(too_long()),
        Err(error) => return bad(format!("invalid msgpack: {error}")),
    }
    let answer = match is_array.then(|| several(out)) {
        None => Answer::Body,
        Some(Ok(answer)) => answer,
        Some(Err(Odd::TooMany)) => return bad(too_many()),
        Some(Err(Odd::Element(index))) => {
            return bad(format!("invalid msgpack: element {index} of the array is no map"));
        }
    };
    Ok(Understood { answer, unterminated: false })
}

/// What an array may have that an answer may not.
enum Odd {
    /// More elements than one record may become.
    TooMany,
    /// One that is no map.
    Element(usize),
}

/// What an array of maps means. One alone takes the array's place in the buffer.
fn several(out: &mut Vec<u8>) -> Result<Answer, Odd> {
    let Ok(elements) = msgpack::elements(out) else { return Err(Odd::Element(0)) };
    let (count, header) = (elements.left(), elements.position());
    if count > MAX_RECORDS {
        return Err(Odd::TooMany);
    }
    for (index, element) in elements.enumerate() {
        element.and_then(msgpack::map_header).map_err(|_| Odd::Element(index))?;
    }
    Ok(match count {
        0 => Answer::Drop,
        1 => {
            out.drain(..header);
            Answer::Body
        }
        _ => Answer::Bodies,
    })
}

fn bad<T>(reason: String) -> Result<T, FilterError> {
    Err(FilterError::BadOutput { reason })
}

fn too_long() -> String {
    format!("the answer does not end within {} MiB", MAX_LENGTH >> 20)
}

fn too_many() -> String {
    format!("the answer has more than {MAX_RECORDS} records")
}

/// Whether nothing but blanks stands between the value and its NUL.
fn is_terminated(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&0)
}
