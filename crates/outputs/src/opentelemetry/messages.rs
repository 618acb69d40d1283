//! The messages of OpenTelemetry's log protocol, with the numbers and the JSON names that its
//! specification gives to their fields. In JSON what is empty is not there, and integers are text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// What a client sends.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_logs: Vec<ResourceLogs>,
}

/// What a server answers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<ExportLogsPartialSuccess>,
}

/// What a server did not take of a request that it took.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportLogsPartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// Records of one origin.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourceLogs {
    #[serde(serialize_with = "or_empty")]
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_logs: Vec<ScopeLogs>,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "3")]
    pub(super) schema_url: String,
}

/// An origin: a service, a machine.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
    #[serde(skip_serializing_if = "is_zero")]
    #[prost(uint32, tag = "2")]
    pub(super) dropped_attributes_count: u32,
}

/// Records of one library.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScopeLogs {
    #[serde(serialize_with = "or_empty")]
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    pub(super) log_records: Vec<LogRecord>,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "3")]
    pub(super) schema_url: String,
}

/// A library.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstrumentationScope {
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[prost(message, repeated, tag = "3")]
    pub(super) attributes: Vec<KeyValue>,
    #[serde(skip_serializing_if = "is_zero")]
    #[prost(uint32, tag = "4")]
    pub(super) dropped_attributes_count: u32,
}

/// A record.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogRecord {
    #[serde(serialize_with = "digits")]
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[serde(skip_serializing_if = "is_zero")]
    #[prost(int32, tag = "2")]
    pub(super) severity_number: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "3")]
    pub(super) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(super) body: Option<AnyValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
    #[serde(skip_serializing_if = "is_zero")]
    #[prost(uint32, tag = "7")]
    pub(super) dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "is_zero")]
    #[prost(fixed32, tag = "8")]
    pub(super) flags: u32,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "hex")]
    #[prost(bytes = "vec", tag = "9")]
    pub(super) trace_id: Vec<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "hex")]
    #[prost(bytes = "vec", tag = "10")]
    pub(super) span_id: Vec<u8>,
    #[serde(skip_serializing_if = "is_zero", serialize_with = "digits")]
    #[prost(fixed64, tag = "11")]
    pub(super) observed_time_unix_nano: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "12")]
    pub(super) event_name: String,
}

/// Any value; none is nothing.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(super) struct AnyValue {
    #[serde(flatten)]
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) value: Option<Value>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, prost::Oneof, Serialize)]
pub(super) enum Value {
    #[serde(rename = "stringValue")]
    #[prost(string, tag = "1")]
    String(String),
    #[serde(rename = "boolValue")]
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[serde(rename = "intValue", serialize_with = "digits")]
    #[prost(int64, tag = "3")]
    Int(i64),
    #[serde(rename = "doubleValue")]
    #[prost(double, tag = "4")]
    Double(f64),
    #[serde(rename = "arrayValue")]
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[serde(rename = "kvlistValue")]
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    #[serde(rename = "bytesValue", serialize_with = "base64")]
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

/// A list.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(super) struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<AnyValue>,
}

/// A map.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(super) struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<KeyValue>,
}

/// An entry of a map.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

fn digits<S: Serializer>(number: &impl ToString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&number.to_string())
}

fn hex<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&flb_net::hex::digits(bytes))
}

fn base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

/// A description of which nothing is known is empty.
fn or_empty<T: Serialize + Default, S: Serializer>(
    known: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match known {
        Some(known) => known.serialize(to),
        None => T::default().serialize(to),
    }
}

fn is_zero<T: PartialEq + Default>(number: &T) -> bool {
    *number == T::default()
}
