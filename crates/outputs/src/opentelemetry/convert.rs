//! Records as OpenTelemetry's log records: with what the input opentelemetry has kept of a log, if it came by one.

use flb_event::msgpack::{self, MsgpackError, Reader, Value as Msgpack};
use flb_event::{Accessor, Event};
use flb_net::otlp::{BODY_IS_MAP, GROUP, field};

use super::messages::{
    AnyValue, ArrayValue, ExportLogsServiceRequest, InstrumentationScope, KeyValue, KeyValueList,
    LogRecord, Resource, ResourceLogs, ScopeLogs, Value,
};

/// The empty map.
const EMPTY: &[u8] = Event::NO_METADATA;

/// Which of a record's keys mean something.
#[derive(Debug)]
pub(super) struct Conversion {
    /// The metadata's key of what was kept of a log.
    pub(super) metadata: String,
    /// The first of these that is there is the log record's body; else the whole record is.
    pub(super) body: Vec<Accessor>,
    /// Whether somebody chose them: then they are meant also where a log's whole body is the record.
    pub(super) is_body_chosen: bool,
    /// What is beside the body becomes attributes.
    pub(super) rest_is_attributes: bool,
    pub(super) severity_text: Accessor,
    pub(super) severity_number: Accessor,
    pub(super) trace_id: Accessor,
    pub(super) span_id: Accessor,
    /// The same of a record's metadata, which comes first.
    pub(super) beside: Beside,
}

/// Which keys of a record's metadata mean something, where nothing was kept of a log.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) time: Accessor,
    pub(super) observed: Accessor,
    pub(super) severity_text: Accessor,
    pub(super) severity_number: Accessor,
    pub(super) trace_id: Accessor,
    pub(super) span_id: Accessor,
    pub(super) flags: Accessor,
    pub(super) attributes: Accessor,
}

/// What the plugin's options say where nobody gave them.
impl Default for Beside {
    fn default() -> Self {
        let key = Accessor::of_key;
        Self {
            time: key("Timestamp"),
            observed: key("ObservedTimestamp"),
            severity_text: key("SeverityText"),
            severity_number: key("SeverityNumber"),
            trace_id: key("TraceId"),
            span_id: key("SpanId"),
            flags: key("TraceFlags"),
            attributes: key("Attributes"),
        }
    }
}

/// What the plugin's options say where nobody gave them.
impl Default for Conversion {
    fn default() -> Self {
        let key = Accessor::of_key;
        Self {
            metadata: "otlp".to_owned(),
            body: vec![key("log"), key("message")],
            is_body_chosen: false,
            rest_is_attributes: true,
            severity_text: key("SeverityText"),
            severity_number: key("severityNumber"),
            trace_id: key("TraceId"),
            span_id: key("SpanId"),
            beside: Beside::default(),
        }
    }
}

/// What the input has kept of a log, as maps.
struct Kept<'a> {
    /// The log's own fields.
    fields: &'a [u8],
    /// What it has in common with others.
    group: &'a [u8],
    /// What is neither: entries that others have put beside it.
    others: Vec<(&'a [u8], &'a [u8])>,
}

impl Conversion {
    /// Records as a request: neighbours of one origin together. What is no log record is told and left out.
    pub(super) fn request<'a>(
        &self,
        events: impl Iterator<Item = Event<'a>>,
        mut left_out: impl FnMut(MsgpackError),
    ) -> ExportLogsServiceRequest {
        let mut groups = Groups::default();
        for event in events {
            let added = self.kept(event.metadata).and_then(|kept| {
                let log = self.record(event, &kept)?;
                groups.push(kept.group, log)
            });
            added.unwrap_or_else(&mut left_out);
        }
        groups.request
    }

    fn kept<'a>(&self, metadata: &'a [u8]) -> Result<Kept<'a>, MsgpackError> {
        let mut kept = Kept { fields: EMPTY, group: EMPTY, others: Vec::new() };
        let is_map = |value| msgpack::map_header(value).is_ok();
        for entry in msgpack::entries(metadata)? {
            let (key, value) = entry?;
            match msgpack::as_str(key) {
                Some(key) if key == self.metadata.as_bytes() && is_map(value) => {
                    kept.fields = value;
                }
                Some(key) if key == GROUP.as_bytes() && is_map(value) => kept.group = value,
                _ => kept.others.push((key, value)),
            }
        }
        Ok(kept)
    }

    /// One record.
    fn record(&self, event: Event<'_>, kept: &Kept<'_>) -> Result<LogRecord, MsgpackError> {
        let mut log = kept_log(kept.fields)?;
        let is_whole = !self.is_body_chosen
            && text(kept.fields, field::BODY_TYPE) == Some(BODY_IS_MAP.as_bytes());
        let keys = if is_whole { &[] } else { &self.body[..] };
        let found = keys.iter().find_map(|key| key.find(event.body));
        if let Some(found) = found.filter(|_| self.rest_is_attributes) {
            for entry in msgpack::entries(event.body)? {
                let (key, value) = entry?;
                if !std::ptr::eq(value, found) {
                    log.attributes.push(key_value(key, value)?);
                }
            }
        }
        for (key, value) in &kept.others {
            log.attributes.push(key_value(key, value)?);
        }
        // No body at all and one that is nothing are the same.
        log.body = Some(any(found.unwrap_or(event.body))?).filter(|body| body.value.is_some());
        set_times(&mut log, event, kept.fields != EMPTY);
        if event.metadata != EMPTY {
            self.beside.fill(&mut log, event.metadata, kept.fields != EMPTY)?;
        }
        self.fill(&mut log, event);
        Ok(log)
    }

    /// What the log itself does not say may be in the record.
    fn fill(&self, log: &mut LogRecord, event: Event<'_>) {
        if log.severity_number == 0 {
            log.severity_number = severity(&self.severity_number, event.body);
        }
        if log.severity_text.is_empty() {
            let text = self.severity_text.find_str(event.body).unwrap_or_default();
            log.severity_text = String::from_utf8_lossy(text).into_owned();
        }
        if log.trace_id.is_empty() {
            log.trace_id = id(&self.trace_id, event.body, 16);
        }
        if log.span_id.is_empty() {
            log.span_id = id(&self.span_id, event.body, 8);
        }
    }
}

impl Beside {
    /// What the log itself does not say may be in the metadata.
    fn fill(
        &self,
        log: &mut LogRecord,
        metadata: &[u8],
        is_kept: bool,
    ) -> Result<(), MsgpackError> {
        let whole = |key: &Accessor| key.find(metadata).and_then(unsigned);
        if !is_kept {
            log.time_unix_nano = whole(&self.time).unwrap_or(log.time_unix_nano);
            log.observed_time_unix_nano =
                whole(&self.observed).unwrap_or(log.observed_time_unix_nano);
        }
        if log.severity_number == 0 {
            log.severity_number = severity(&self.severity_number, metadata);
        }
        if log.severity_text.is_empty() {
            let text = self.severity_text.find_str(metadata).unwrap_or_default();
            log.severity_text = String::from_utf8_lossy(text).into_owned();
        }
        if log.trace_id.is_empty() {
            log.trace_id = id(&self.trace_id, metadata, 16);
        }
        if log.span_id.is_empty() {
            log.span_id = id(&self.span_id, metadata, 8);
        }
        if log.flags == 0 {
            log.flags = whole(&self.flags).and_then(|flags| flags.try_into().ok()).unwrap_or(0);
        }
        let attributes = self.attributes.find(metadata).filter(|_| !is_kept);
        if let Some(entries) = attributes.and_then(|map| msgpack::entries(map).ok()) {
            for entry in entries {
                let (key, value) = entry?;
                log.attributes.push(key_value(key, value)?);
            }
        }
        Ok(())
    }
}

/// A request that grows by one record after the other.
#[derive(Default)]
struct Groups<'a> {
    request: ExportLogsServiceRequest,
    /// What the last record has in common with others, and its resource.
    last: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Groups<'a> {
    fn push(&mut self, group: &'a [u8], log: LogRecord) -> Result<(), MsgpackError> {
        let resources = &mut self.request.resource_logs;
        if self.last.is_none_or(|(last, _)| last != group) {
            let resource = member(group, field::RESOURCE).unwrap_or(EMPTY);
            let scope = scope_logs(member(group, field::SCOPE).unwrap_or(EMPTY))?;
            if self.last.is_none_or(|(_, last)| last != resource) {
                resources.push(resource_logs(resource)?);
            }
            self.last = Some((group, resource));
            if let Some(resource) = resources.last_mut() {
                resource.scope_logs.push(scope);
            }
        }
        if let Some(scope) = resources.last_mut().and_then(|logs| logs.scope_logs.last_mut()) {
            scope.log_records.push(log);
        }
        Ok(())
    }
}

fn resource_logs(resource: &[u8]) -> Result<ResourceLogs, MsgpackError> {
    let known = Resource {
        attributes: attributes(resource)?,
        dropped_attributes_count: number(resource, field::DROPPED_ATTRIBUTES) as u32,
    };
    Ok(ResourceLogs {
        resource: Some(known).filter(|known| *known != Resource::default()),
        scope_logs: Vec::new(),
        schema_url: owned(resource, field::SCHEMA_URL),
    })
}

fn scope_logs(scope: &[u8]) -> Result<ScopeLogs, MsgpackError> {
    let known = InstrumentationScope {
        name: owned(scope, field::NAME),
        version: owned(scope, field::VERSION),
        attributes: attributes(scope)?,
        dropped_attributes_count: number(scope, field::DROPPED_ATTRIBUTES) as u32,
    };
    Ok(ScopeLogs {
        scope: Some(known).filter(|known| *known != InstrumentationScope::default()),
        log_records: Vec::new(),
        schema_url: owned(scope, field::SCHEMA_URL),
    })
}

/// What was kept of a log, without its body.
fn kept_log(fields: &[u8]) -> Result<LogRecord, MsgpackError> {
    Ok(LogRecord {
        time_unix_nano: number(fields, field::TIME),
        observed_time_unix_nano: number(fields, field::OBSERVED),
        severity_number: member(fields, field::SEVERITY).and_then(integer).unwrap_or(0),
        severity_text: owned(fields, field::SEVERITY_TEXT),
        body: None,
        attributes: attributes(fields)?,
        dropped_attributes_count: number(fields, field::DROPPED_ATTRIBUTES) as u32,
        flags: number(fields, field::FLAGS) as u32,
        trace_id: member(fields, field::TRACE).and_then(bytes).unwrap_or_default(),
        span_id: member(fields, field::SPAN).and_then(bytes).unwrap_or_default(),
        event_name: owned(fields, field::EVENT),
    })
}

/// The record's time is the log's, which may be kept; a time that a filter has set since stands for it.
fn set_times(log: &mut LogRecord, event: Event<'_>, is_kept: bool) {
    const NANOS: u64 = 1_000_000_000;
    let time = u64::from(event.time.sec) * NANOS + u64::from(event.time.nsec);
    let is_beyond = log.time_unix_nano / NANOS > u64::from(u32::MAX);
    let had_none = is_kept && log.time_unix_nano == 0 && log.observed_time_unix_nano == time;
    if !is_beyond && !had_none {
        log.time_unix_nano = time;
    }
    if log.observed_time_unix_nano == 0 && !is_kept {
        log.observed_time_unix_nano = time;
    }
}

/// The value of a map's member.
fn member<'a>(map: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut entries = msgpack::entries(map).ok()?.map_while(Result::ok);
    entries.find(|(name, _)| msgpack::as_str(name) == Some(key.as_bytes())).map(|(_, value)| value)
}

fn text<'a>(map: &'a [u8], key: &str) -> Option<&'a [u8]> {
    msgpack::as_str(member(map, key)?)
}

fn owned(map: &[u8], key: &str) -> String {
    String::from_utf8_lossy(text(map, key).unwrap_or_default()).into_owned()
}

fn number(map: &[u8], key: &str) -> u64 {
    member(map, key).and_then(unsigned).unwrap_or(0)
}

fn unsigned(value: &[u8]) -> Option<u64> {
    match Reader::new(value).next() {
        Ok(Msgpack::Uint(number)) => Some(number),
        _ => None,
    }
}

/// Bytes, or a text of hexadecimal digits, which other agents write.
fn bytes(value: &[u8]) -> Option<Vec<u8>> {
    match Reader::new(value).next().ok()? {
        Msgpack::Bin(bytes) => Some(bytes.to_vec()),
        Msgpack::Str(digits) => flb_net::hex::bytes(digits),
        _ => None,
    }
}

fn attributes(described: &[u8]) -> Result<Vec<KeyValue>, MsgpackError> {
    let map = member(described, field::ATTRIBUTES).filter(|map| msgpack::map_header(map).is_ok());
    let entries = msgpack::entries(map.unwrap_or(EMPTY))?;
    entries.map(|entry| entry.and_then(|(key, value)| key_value(key, value))).collect()
}

/// A severity; 0 if it is none.
fn severity(key: &Accessor, map: &[u8]) -> i32 {
    let number = key.find(map).and_then(integer);
    number.filter(|number| (0..=24).contains(number)).unwrap_or(0)
}

/// An identifier of so many bytes, given in hexadecimal; empty if it is not one.
fn id(key: &Accessor, map: &[u8], length: usize) -> Vec<u8> {
    let id = key.find_str(map).and_then(flb_net::hex::bytes);
    id.filter(|id| id.len() == length).unwrap_or_default()
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
