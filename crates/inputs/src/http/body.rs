//! The body of a request as records. Pure: bytes that nobody has checked in, msgpack maps out; all of them or none.

use flb_event::json::{self, JsonError, Kind};
use flb_event::msgpack::{self, Reader, Value};

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// JSON objects: one, an array of them, or one behind the other.
    Json,
    /// The fields of a form.
    Form,
}

impl ContentType {
    /// The type that a `Content-Type` header names.
    pub(crate) fn named(header: &str) -> Option<Self> {
        let name = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/json"
            | "application/x-ndjson"
            | "application/jsonl"
            | "application/json-lines"
            | "application/x-jsonlines" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            _ => None,
        }
    }
}

/// Why a body is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Nothing but blanks.
    #[error("no payload found")]
    Empty,
    /// No JSON.
    #[error("{0}")]
    Json(JsonError),
    /// JSON, and no object.
    #[error("expected a JSON object at byte {0}")]
    NoObject(usize),
}

/// The records of a body: msgpack maps one behind the other.
pub(crate) fn records(kind: ContentType, body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let out = match kind {
        ContentType::Json => json_records(body)?,
        ContentType::Form => form_record(body),
    };
    if out.is_empty() { Err(BodyError::Empty) } else { Ok(out) }
}

fn json_records(body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let (mut out, mut array) = (Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        at += body[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if at == body.len() {
            return Ok(out);
        }
        let begin = out.len();
        let parsed = json::parse(&body[at..], &mut out)
            .map_err(|error| BodyError::Json(JsonError { offset: at + error.offset, ..error }))?;
        match parsed.kind {
            Kind::Object => {}
            Kind::Array => {
                array.clear();
                array.extend(out.drain(begin..));
                push_maps(&array, &mut out).ok_or(BodyError::NoObject(at))?;
            }
            Kind::Other => return Err(BodyError::NoObject(at)),
        }
        at += parsed.consumed;
    }
}

/// Appends the elements of an array, if all of them are maps.
fn push_maps(array: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut reader = Reader::new(array);
    let Value::Array(count) = reader.next().ok()? else { return None };
    for _ in 0..count {
        let element = reader.skip().ok()?;
        msgpack::map_header(element).ok()?;
        out.extend_from_slice(element);
    }
    Some(())
}

/// The fields of a form as one record of texts.
fn form_record(body: &[u8]) -> Vec<u8> {
    let fields: Vec<&[u8]> =
        body.trim_ascii().split(|byte| *byte == b'&').filter(|field| !field.is_empty()).collect();
    let mut out = Vec::new();
    if fields.is_empty() {
        return out;
    }
    msgpack::write_map_header(&mut out, u32::try_from(fields.len()).unwrap_or(u32::MAX));
    for field in fields {
        let equals = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        let value = field.get(equals + 1..).unwrap_or_default();
        msgpack::write_str(&mut out, decoded(&field[..equals]));
        msgpack::write_str(&mut out, decoded(value));
    }
    out
}

/// Resolves `+` and `%xx`. A percent sign that stands for nothing stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let hex = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    out
}
