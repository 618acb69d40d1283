//! Log records as the JSON document that OpenTelemetry calls OTLP/JSON.

use flb_event::Chunk;
use flb_event::msgpack::MsgpackError;

use super::convert::Conversion;

/// The document of a chunk, on one line or indented. What is no log record is told and left out.
pub(crate) fn document(
    chunk: &Chunk,
    is_pretty: bool,
    left_out: impl FnMut(MsgpackError),
) -> Result<Vec<u8>, serde_json::Error> {
    let mut request = Conversion::default().request(chunk.records(), left_out);
    let groups = request.resource_logs.iter_mut().flat_map(|group| &mut group.scope_logs);
    for log in groups.flat_map(|group| &mut group.log_records) {
        // Where a log was seen as it happened it is said once.
        if log.observed_time_unix_nano == log.time_unix_nano {
            log.observed_time_unix_nano = 0;
        }
    }
    match is_pretty {
        true => serde_json::to_vec_pretty(&request),
        false => serde_json::to_vec(&request),
    }
}
