//! Log records as the JSON document that OpenTelemetry calls OTLP/JSON.

use flb_event::Chunk;
use flb_event::msgpack::MsgpackError;
use serde::Serialize;

use super::convert::Conversion;
use super::messages::LogRecord;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    resource_logs: [Resource; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: Unknown,
    scope_logs: [Scope; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Scope {
    scope: Unknown,
    log_records: Vec<LogRecord>,
}

/// A description of which nothing is known.
#[derive(Serialize)]
struct Unknown {}

/// The document of a chunk, on one line or indented. What is no log record is told and left out.
pub(crate) fn document(
    chunk: &Chunk,
    is_pretty: bool,
    mut left_out: impl FnMut(MsgpackError),
) -> Result<Vec<u8>, serde_json::Error> {
    let conversion = Conversion::default();
    let mut log_records = Vec::with_capacity(chunk.len());
    for event in chunk.records() {
        match conversion.record(event) {
            Ok(record) => log_records.push(record),
            Err(error) => left_out(error),
        }
    }
    let scope_logs = [Scope { scope: Unknown {}, log_records }];
    let document = Document { resource_logs: [Resource { resource: Unknown {}, scope_logs }] };
    match is_pretty {
        true => serde_json::to_vec_pretty(&document),
        false => serde_json::to_vec(&document),
    }
}
