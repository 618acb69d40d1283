//! OpenTelemetry's logs as records: what a request holds, in either encoding, and where a record keeps what it is made of.
//!
//! A record's body is the log's body. Its metadata has the log's other fields as a map under `otlp`, and what the logs of one
//! origin have in common, their resource and their scope, under `group_attributes`. Pure: bytes that nobody has checked in,
//! records out; all of a request or, with an error, none.

mod json;
#[cfg(test)]
pub(crate) mod oracle;
mod protobuf;
mod records;
#[cfg(test)]
mod tests;
pub mod wire;

pub use records::{Keys, Records};

use wire::WireError;

/// The metadata's key of what the logs of one origin have in common.
pub const GROUP: &str = "group_attributes";

/// The names of the fields in a record's metadata.
#[expect(missing_docs, reason = "they are the specification's, in Fluent Bit's spelling")]
pub mod field {
    pub const RESOURCE: &str = "resource";
    pub const SCOPE: &str = "scope";
    pub const ATTRIBUTES: &str = "attributes";
    pub const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";
    pub const SCHEMA_URL: &str = "schema_url";
    pub const NAME: &str = "name";
    pub const VERSION: &str = "version";
    pub const OBSERVED: &str = "observed_timestamp";
    pub const TIME: &str = "timestamp";
    pub const SEVERITY: &str = "severity_number";
    pub const SEVERITY_TEXT: &str = "severity_text";
    pub const TRACE: &str = "trace_id";
    pub const SPAN: &str = "span_id";
    pub const FLAGS: &str = "trace_flags";
    pub const EVENT: &str = "event_name";
    /// Says that the record's body is the log's whole body, and no map made around it.
    pub const BODY_TYPE: &str = "body_type";
}

/// What [`field::BODY_TYPE`] is then.
pub const BODY_IS_MAP: &str = "kvlist";

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Protocol buffers.
    Protobuf,
    /// What the specification calls OTLP/JSON.
    Json,
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    /// It is no protocol buffer.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It is no JSON.
    #[error("{0}")]
    Json(flb_event::json::JsonError),
    /// A field has a value that it cannot have.
    #[error("{0}: {1} expected")]
    Field(&'static str, &'static str),
    /// Values lie deeper inside each other than anybody would write.
    #[error("values lie more than {} deep inside each other", MAX_DEPTH)]
    TooDeep,
    /// Its records would take too much memory: what a group of them has in common is part of each.
    #[error("the records of the request take more than {0} bytes; send it in smaller parts")]
    TooMuch(usize),
}

impl From<flb_event::msgpack::MsgpackError> for OtlpError {
    /// What our own JSON parser wrote is sound; deeper than it may be it cannot get.
    fn from(_: flb_event::msgpack::MsgpackError) -> Self {
        Self::TooDeep
    }
}

impl From<flb_event::RecordTooLarge> for OtlpError {
    fn from(_: flb_event::RecordTooLarge) -> Self {
        Self::TooMuch(u32::MAX as usize)
    }
}

/// How deep values may lie inside each other.
const MAX_DEPTH: u32 = 100;

/// Adds the logs of a request.
pub fn read(format: Format, request: &[u8], records: &mut Records<'_>) -> Result<(), OtlpError> {
    match format {
        Format::Protobuf => protobuf::read(request, records),
        Format::Json => json::read(request, records),
    }
}
