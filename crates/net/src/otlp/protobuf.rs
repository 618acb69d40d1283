//! A request in protocol buffers. The numbers of fields are the specification's.

use flb_event::msgpack;

use super::records::{Entries, Log, Origin, Records};
use super::wire::{Fields, Wire};
use super::{MAX_DEPTH, OtlpError};

/// Adds the logs of a request.
pub(super) fn read(request: &[u8], records: &mut Records<'_>) -> Result<(), OtlpError> {
    for group in messages(request, 1) {
        read_resource(group?, records)?;
    }
    Ok(())
}

/// The messages in a field that may come often.
fn messages(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], OtlpError>> {
    Fields::of(message).filter_map(move |field| match field {
        Ok((found, Wire::Bytes(bytes))) if found == number => Some(Ok(bytes)),
        Ok(_) => None,
        Err(error) => Some(Err(error.into())),
    })
}

/// The logs of one resource.
fn read_resource(group: &[u8], records: &mut Records<'_>) -> Result<(), OtlpError> {
    let mut resource = Origin::default();
    let mut attributes = Vec::new();
    for field in Fields::of(group) {
        match field? {
            (1, Wire::Bytes(message)) => read_origin(message, &mut attributes, &mut resource, 1)?,
            (3, Wire::Bytes(url)) => resource.schema_url = url,
            _ => {}
        }
    }
    resource.attributes.bytes = &attributes;
    for logs in messages(group, 2) {
        read_scope(logs?, &resource, records)?;
    }
    Ok(())
}

/// The logs of one scope.
fn read_scope(
    group: &[u8],
    resource: &Origin<'_>,
    records: &mut Records<'_>,
) -> Result<(), OtlpError> {
    let mut scope = Origin::default();
    let mut attributes = Vec::new();
    for field in Fields::of(group) {
        match field? {
            (1, Wire::Bytes(message)) => {
                read_origin(message, &mut attributes, &mut scope, 3)?;
                for field in Fields::of(message) {
                    match field? {
                        (1, Wire::Bytes(name)) => scope.name = name,
                        (2, Wire::Bytes(version)) => scope.version = version,
                        _ => {}
                    }
                }
            }
            (3, Wire::Bytes(url)) => scope.schema_url = url,
            _ => {}
        }
    }
    scope.attributes.bytes = &attributes;
    records.begin(resource, &scope);
    let (mut attributes, mut body) = (Vec::new(), Vec::new());
    for log in messages(group, 2) {
        read_log(log?, &mut attributes, &mut body, records)?;
    }
    Ok(())
}

/// What a resource and a scope have in common: attributes, in the field of this number, and in the next how many were dropped.
fn read_origin(
    message: &[u8],
    attributes: &mut Vec<u8>,
    origin: &mut Origin<'_>,
    number: u64,
) -> Result<(), OtlpError> {
    for field in Fields::of(message) {
        match field? {
            (found, Wire::Bytes(entry)) if found == number => {
                origin.attributes.count += 1;
                write_entry(entry, attributes, 0)?;
            }
            (found, Wire::Number(dropped)) if found == number + 1 => {
                origin.dropped_attributes = dropped;
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_log(
    message: &[u8],
    attributes: &mut Vec<u8>,
    body: &mut Vec<u8>,
    records: &mut Records<'_>,
) -> Result<(), OtlpError> {
    attributes.clear();
    body.clear();
    let (mut log, mut count) = (Log::default(), 0);
    for field in Fields::of(message) {
        match field? {
            (1, Wire::Fixed64(nanos)) => log.time = nanos,
            (2, Wire::Number(number)) => log.severity = (number as i32).into(),
            (3, Wire::Bytes(text)) => log.severity_text = text,
            (5, Wire::Bytes(value)) => {
                body.clear();
                write_value(value, body, 0)?;
            }
            (6, Wire::Bytes(entry)) => {
                count += 1;
                write_entry(entry, attributes, 0)?;
            }
            (7, Wire::Number(dropped)) => log.dropped_attributes = dropped,
            (8, Wire::Fixed32(flags)) => log.flags = flags.into(),
            (9, Wire::Bytes(id)) => log.trace = id,
            (10, Wire::Bytes(id)) => log.span = id,
            (11, Wire::Fixed64(nanos)) => log.observed = nanos,
            (12, Wire::Bytes(name)) => log.event = name,
            _ => {}
        }
    }
    log.attributes = Entries { count, bytes: attributes };
    if !body.is_empty() {
        log.body = body;
    }
    records.push(&log)
}

/// An entry of a map: its key and its value.
fn write_entry(message: &[u8], out: &mut Vec<u8>, depth: u32) -> Result<(), OtlpError> {
    let (mut key, mut value): (&[u8], &[u8]) = (b"", b"");
    for field in Fields::of(message) {
        match field? {
            (1, Wire::Bytes(text)) => key = text,
            (2, Wire::Bytes(message)) => value = message,
            _ => {}
        }
    }
    msgpack::write_str(out, key);
    write_value(value, out, depth)
}

/// A value and what is in it. Of several the last is meant; none is nothing.
fn write_value(message: &[u8], out: &mut Vec<u8>, depth: u32) -> Result<(), OtlpError> {
    if depth > MAX_DEPTH {
        return Err(OtlpError::TooDeep);
    }
    let mut last = None;
    for field in Fields::of(message) {
        let field = field?;
        if matches!(field.0, 1..=7) {
            last = Some(field);
        }
    }
    match last {
        Some((1, Wire::Bytes(text))) => msgpack::write_str(out, text),
        Some((2, Wire::Number(truth))) => msgpack::write_bool(out, truth != 0),
        Some((3, Wire::Number(number))) => msgpack::write_int(out, number as i64),
        Some((4, Wire::Fixed64(bits))) => msgpack::write_float(out, f64::from_bits(bits)),
        Some((5, Wire::Bytes(list))) => {
            msgpack::write_array_header(out, count(list)?);
            for value in messages(list, 1) {
                write_value(value?, out, depth + 1)?;
            }
        }
        Some((6, Wire::Bytes(list))) => {
            msgpack::write_map_header(out, count(list)?);
            for entry in messages(list, 1) {
                write_entry(entry?, out, depth + 1)?;
            }
        }
        Some((7, Wire::Bytes(bytes))) => msgpack::write_bin(out, bytes),
        _ => msgpack::write_nil(out),
    }
    Ok(())
}

/// How many elements a list has.
fn count(list: &[u8]) -> Result<u32, OtlpError> {
    messages(list, 1).try_fold(0_u32, |count, element| Ok(count + u32::from(element.is_ok())))
}
