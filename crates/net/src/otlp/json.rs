//! A request in JSON: names in camel case, large numbers as text, identifiers in hexadecimal, bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flb_event::json;
use flb_event::msgpack::{self, Reader, Value};

use super::records::{Entries, Log, Origin, Records};
use super::{MAX_DEPTH, OtlpError};
use crate::hex;

/// Adds the logs of a request.
pub(super) fn read(request: &[u8], records: &mut Records<'_>) -> Result<(), OtlpError> {
    let mut document = Vec::new();
    let consumed = json::parse_object(request, &mut document).map_err(OtlpError::Json)?;
    if !request[consumed..].trim_ascii().is_empty() {
        return Err(OtlpError::Field("the document", "nothing behind it"));
    }
    let root = Object::new("the document", &document)?;
    for group in root.list("resourceLogs")? {
        read_resource(&Object::new("resourceLogs", group?)?, records)?;
    }
    Ok(())
}

/// The members of an object.
struct Object<'a> {
    name: &'static str,
    raw: &'a [u8],
}

impl<'a> Object<'a> {
    /// One of that name. What is null is empty.
    fn new(name: &'static str, raw: &'a [u8]) -> Result<Self, OtlpError> {
        match Reader::new(raw).next()? {
            Value::Map(_) => Ok(Self { name, raw }),
            Value::Nil => Ok(Self { name, raw: &[0x80] }),
            _ => Err(OtlpError::Field(name, "an object")),
        }
    }

    /// The value of a member; of several the last is meant.
    fn get(&self, key: &str) -> Result<Option<&'a [u8]>, OtlpError> {
        let mut found = None;
        for entry in msgpack::entries(self.raw)? {
            let (name, value) = entry?;
            if msgpack::as_str(name) == Some(key.as_bytes()) {
                found = Some(value);
            }
        }
        Ok(found.filter(|value| *value != [0xc0]))
    }

    fn object(&self, key: &'static str) -> Result<Self, OtlpError> {
        Self::new(key, self.get(key)?.unwrap_or(&[0x80]))
    }

    fn list(
        &self,
        key: &'static str,
    ) -> Result<impl Iterator<Item = Result<&'a [u8], OtlpError>> + use<'a>, OtlpError> {
        let list = self.get(key)?.unwrap_or(&[0x90]);
        let elements = msgpack::elements(list).map_err(|_| OtlpError::Field(key, "a list"))?;
        Ok(elements.map(|element| element.map_err(OtlpError::from)))
    }

    fn text(&self, key: &'static str) -> Result<&'a [u8], OtlpError> {
        let Some(value) = self.get(key)? else { return Ok(b"") };
        msgpack::as_str(value).ok_or(OtlpError::Field(key, "a text"))
    }

    fn number(&self, key: &'static str) -> Result<u64, OtlpError> {
        let Some(value) = self.get(key)? else { return Ok(0) };
        let number = match Reader::new(value).next()? {
            Value::Uint(number) => Some(number),
            Value::Str(digits) => parsed(digits),
            _ => None,
        };
        number.ok_or(OtlpError::Field(key, "a number from 0"))
    }

    /// An identifier of so many bytes, or none.
    fn id(&self, key: &'static str, length: usize) -> Result<Vec<u8>, OtlpError> {
        let id = hex::bytes(self.text(key)?);
        let id = id.filter(|id| id.is_empty() || id.len() == length);
        id.ok_or(OtlpError::Field(key, "as many hexadecimal digits as it has"))
    }

    /// The entries of a list of keys and values.
    fn entries(&self, key: &'static str, out: &mut Vec<u8>, depth: u32) -> Result<u32, OtlpError> {
        let mut count = 0;
        for entry in self.list(key)? {
            let entry = Object::new(key, entry?)?;
            msgpack::write_str(out, entry.text("key")?);
            write_value(&entry.object("value")?, out, depth)?;
            count += 1;
        }
        Ok(count)
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn read_resource(group: &Object<'_>, records: &mut Records<'_>) -> Result<(), OtlpError> {
    let mut attributes = Vec::new();
    let mut resource = origin(&group.object("resource")?, &mut attributes)?;
    resource.attributes.bytes = &attributes;
    resource.schema_url = group.text("schemaUrl")?;
    for logs in group.list("scopeLogs")? {
        read_scope(&Object::new("scopeLogs", logs?)?, &resource, records)?;
    }
    Ok(())
}

fn read_scope(
    group: &Object<'_>,
    resource: &Origin<'_>,
    records: &mut Records<'_>,
) -> Result<(), OtlpError> {
    let mut attributes = Vec::new();
    let described = group.object("scope")?;
    let mut scope = origin(&described, &mut attributes)?;
    scope.attributes.bytes = &attributes;
    scope.schema_url = group.text("schemaUrl")?;
    scope.name = described.text("name")?;
    scope.version = described.text("version")?;
    records.begin(resource, &scope);
    let (mut attributes, mut body) = (Vec::new(), Vec::new());
    for log in group.list("logRecords")? {
        read_log(&Object::new("logRecords", log?)?, &mut attributes, &mut body, records)?;
    }
    Ok(())
}

/// What a resource and a scope have in common. The attributes themselves are in `attributes` then.
fn origin<'a>(described: &Object<'_>, attributes: &mut Vec<u8>) -> Result<Origin<'a>, OtlpError> {
    let count = described.entries("attributes", attributes, 0)?;
    let dropped_attributes = described.number("droppedAttributesCount")?;
    let attributes = Entries { count, bytes: &[] };
    Ok(Origin { attributes, dropped_attributes, ..Origin::default() })
}

fn read_log(
    log: &Object<'_>,
    attributes: &mut Vec<u8>,
    body: &mut Vec<u8>,
    records: &mut Records<'_>,
) -> Result<(), OtlpError> {
    attributes.clear();
    body.clear();
    let count = log.entries("attributes", attributes, 0)?;
    write_value(&log.object("body")?, body, 0)?;
    let severity = i64::try_from(log.number("severityNumber")?);
    records.push(&Log {
        time: log.number("timeUnixNano")?,
        observed: log.number("observedTimeUnixNano")?,
        severity: severity.map_err(|_| OtlpError::Field("severityNumber", "1 to 24"))?,
        severity_text: log.text("severityText")?,
        attributes: Entries { count, bytes: attributes },
        dropped_attributes: log.number("droppedAttributesCount")?,
        trace: &log.id("traceId", 16)?,
        span: &log.id("spanId", 8)?,
        flags: log.number("flags")?,
        event: log.text("eventName")?,
        body,
    })
}

/// A value and what is in it; none is nothing.
fn write_value(value: &Object<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), OtlpError> {
    if depth > MAX_DEPTH {
        return Err(OtlpError::TooDeep);
    }
    let mut entries = msgpack::entries(value.raw)?;
    let Some(entry) = entries.next() else {
        msgpack::write_nil(out);
        return Ok(());
    };
    let (kind, raw) = entry?;
    let scalar = Reader::new(raw).next()?;
    match (msgpack::as_str(kind).unwrap_or_default(), scalar) {
        (b"stringValue", Value::Str(text)) => msgpack::write_str(out, text),
        (b"boolValue", Value::Bool(truth)) => msgpack::write_bool(out, truth),
        (b"intValue", number) => msgpack::write_int(out, integer(number)?),
        (b"doubleValue", number) => msgpack::write_float(out, float(number)?),
        (b"bytesValue", Value::Str(text)) => {
            let bytes = STANDARD.decode(text);
            msgpack::write_bin(out, &bytes.map_err(|_| OtlpError::Field("bytesValue", "base64"))?);
        }
        (b"arrayValue", _) => write_list(&Object::new("arrayValue", raw)?, out, depth + 1)?,
        (b"kvlistValue", _) => {
            let mut entries = Vec::new();
            let list = Object::new("kvlistValue", raw)?;
            msgpack::write_map_header(out, list.entries("values", &mut entries, depth + 1)?);
            out.extend_from_slice(&entries);
        }
        _ => return Err(OtlpError::Field(value.name, "stringValue, intValue or another value")),
    }
    Ok(())
}

fn write_list(list: &Object<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), OtlpError> {
    let (mut values, mut count) = (Vec::new(), 0);
    for value in list.list("values")? {
        write_value(&Object::new("values", value?)?, &mut values, depth)?;
        count += 1;
    }
    msgpack::write_array_header(out, count);
    out.extend_from_slice(&values);
    Ok(())
}

fn integer(value: Value<'_>) -> Result<i64, OtlpError> {
    let number = match value {
        Value::Uint(number) => i64::try_from(number).ok(),
        Value::Int(number) => Some(number),
        Value::Str(digits) => parsed(digits),
        _ => None,
    };
    number.ok_or(OtlpError::Field("intValue", "an integer of 64 bits"))
}

/// A float, which JSON may also write as an integer, or as text where it has no number for it.
fn float(value: Value<'_>) -> Result<f64, OtlpError> {
    match value {
        Value::Float(number) => Ok(number),
        Value::Uint(number) => Ok(number as f64),
        Value::Int(number) => Ok(number as f64),
        Value::Str(text) => parsed(text).ok_or(OtlpError::Field("doubleValue", "a number")),
        _ => Err(OtlpError::Field("doubleValue", "a number")),
    }
}
