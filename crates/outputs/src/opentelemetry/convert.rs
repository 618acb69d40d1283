//! Records as OpenTelemetry's log records.

use flb_event::msgpack::{self, MsgpackError, Reader, Value as Msgpack};
use flb_event::{Accessor, Event};

use super::messages::{AnyValue, ArrayValue, KeyValue, KeyValueList, LogRecord, Value};

/// Which of a record's keys mean something.
#[derive(Debug)]
pub(super) struct Conversion {
    /// The first of these that is there is the log record's body; else the whole record is.
    pub(super) body: Vec<Accessor>,
    /// What is beside the body becomes attributes.
    pub(super) rest_is_attributes: bool,
    pub(super) severity_text: Accessor,
    pub(super) severity_number: Accessor,
    pub(super) trace_id: Accessor,
    pub(super) span_id: Accessor,
}

/// What the plugin's options say where nobody gave them.
impl Default for Conversion {
    fn default() -> Self {
        let key = Accessor::of_key;
        Self {
            body: vec![key("log"), key("message")],
            rest_is_attributes: true,
            severity_text: key("SeverityText"),
            severity_number: key("severityNumber"),
            trace_id: key("TraceId"),
            span_id: key("SpanId"),
        }
    }
}

impl Conversion {
    /// One record.
    pub(super) fn record(&self, event: Event<'_>) -> Result<LogRecord, MsgpackError> {
        let nanos = u64::from(event.time.sec) * 1_000_000_000 + u64::from(event.time.nsec);
        let found = self.body.iter().find_map(|key| key.find(event.body));
        let mut attributes = Vec::new();
        if let Some(found) = found.filter(|_| self.rest_is_attributes) {
            for entry in msgpack::entries(event.body)? {
                let (key, value) = entry?;
                if !std::ptr::eq(value, found) {
                    attributes.push(key_value(key, value)?);
                }
            }
        }
        for entry in msgpack::entries(event.metadata)? {
            let (key, value) = entry?;
            attributes.push(key_value(key, value)?);
        }
        let number = self.severity_number.find(event.body).and_then(integer);
        let text = self.severity_text.find_str(event.body).unwrap_or_default();
        Ok(LogRecord {
            time_unix_nano: nanos,
            observed_time_unix_nano: nanos,
            severity_number: number.filter(|number| (0..=24).contains(number)).unwrap_or(0),
            severity_text: String::from_utf8_lossy(text).into_owned(),
            body: Some(any(found.unwrap_or(event.body))?),
            attributes,
            trace_id: self.id(&self.trace_id, event, 16),
            span_id: self.id(&self.span_id, event, 8),
        })
    }

    /// An identifier of so many bytes, given in hexadecimal; empty if it is not one.
    fn id(&self, key: &Accessor, event: Event<'_>, length: usize) -> Vec<u8> {
        let text = key.find_str(event.body).unwrap_or_default();
        let digits = text.chunks_exact(2).map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
        });
        let id: Option<Vec<u8>> = digits.collect();
        id.filter(|id| id.len() == length && text.len() == length * 2).unwrap_or_default()
    }
}

fn integer(raw: &[u8]) -> Option<i32> {
    match Reader::new(raw).next().ok()? {
        Msgpack::Uint(number) => number.try_into().ok(),
        Msgpack::Int(number) => number.try_into().ok(),
        _ => None,
    }
}

fn key_value(key: &[u8], value: &[u8]) -> Result<KeyValue, MsgpackError> {
    let name = match msgpack::as_str(key) {
        Some(text) => String::from_utf8_lossy(text).into_owned(),
        None => {
            let mut text = Vec::new();
            flb_event::text::write(key, &mut text)?;
            String::from_utf8_lossy(&text).into_owned()
        }
    };
    Ok(KeyValue { key: name, value: Some(any(value)?) })
}

/// A value and what is in it. No deeper than msgpack may be, so the stack is safe.
fn any(raw: &[u8]) -> Result<AnyValue, MsgpackError> {
    let mut reader = Reader::new(raw);
    let value = match reader.next()? {
        Msgpack::Nil => None,
        Msgpack::Bool(value) => Some(Value::Bool(value)),
        Msgpack::Int(value) => Some(Value::Int(value)),
        Msgpack::Uint(value) => Some(match i64::try_from(value) {
            Ok(value) => Value::Int(value),
            // Beyond what the protocol's integers hold; a text keeps it exact.
            Err(_) => Value::String(value.to_string()),
        }),
        Msgpack::Float(value) => Some(Value::Double(value)),
        Msgpack::Str(text) => Some(Value::String(String::from_utf8_lossy(text).into_owned())),
        Msgpack::Bin(bytes) | Msgpack::Ext(_, bytes) => Some(Value::Bytes(bytes.to_vec())),
        Msgpack::Array(count) => {
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(any(reader.skip()?)?);
            }
            Some(Value::Array(ArrayValue { values }))
        }
        Msgpack::Map(_) => {
            let mut values = Vec::new();
            for entry in msgpack::entries(raw)? {
                let (key, value) = entry?;
                values.push(key_value(key, value)?);
            }
            Some(Value::Map(KeyValueList { values }))
        }
    };
    Ok(AnyValue { value })
}
