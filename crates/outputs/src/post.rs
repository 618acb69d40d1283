//! Bodies that a server takes or refuses whole: what its answer means for them, and the count of what it refuses.

use flb_net::http_client::{HttpClient, LONGEST_ANSWER};
use flb_plugin::{Build, Flush, Metric, Metrics};
use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};

/// Exported as `flb_output_refused_records_total`, by the status that the server gave.
pub(super) static REFUSED: Metric =
    Metric::new("refused_records", "Records that the server refused for good, by its status.")
        .by("status");

/// A server, and the count of what it refuses.
pub(super) struct Poster {
    client: HttpClient,
    content_type: &'static str,
    metrics: Metrics,
}

/// What became of a body.
pub(super) enum Fate {
    /// The server has it.
    Taken,
    /// The server will never take these records.
    Refused(Refusal),
    /// The server is there, and does not take it now.
    Later(Flush),
    /// The server said nothing.
    Away(Flush),
}

/// What a server says to records that it will never take.
pub(super) struct Refusal {
    status: StatusCode,
    words: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

impl Poster {
    /// Of JSON.
    pub(super) fn new(client: HttpClient, build: &Build<'_>) -> Self {
        Self::of("application/json", client, build)
    }

    /// Of whatever the type says.
    pub(super) fn of(content_type: &'static str, client: HttpClient, build: &Build<'_>) -> Self {
        Self { client, content_type, metrics: build.metrics.clone() }
    }

    /// As [`HttpClient::packed`].
    pub(super) fn packed(&self, body: Vec<u8>) -> Vec<u8> {
        self.client.packed(body)
    }

    /// Posts a packed body.
    pub(super) async fn post(
        &self,
        body: Vec<u8>,
        header: Option<(HeaderName, HeaderValue)>,
    ) -> Fate {
        let asked = self.client.ask(body, self.content_type, header, LONGEST_ANSWER).await;
        let response = match asked {
            Ok(response) if response.status.is_success() => return Fate::Taken,
            Ok(response) => response,
            Err(fate) => return Fate::Away(fate),
        };
        let words = self.client.refusal(response.status, &response.body);
        match is_final(response.status) {
            true => Fate::Refused(Refusal { status: response.status, words }),
            false => Fate::Later(self.client.retry(&words, response.after)),
        }
    }

    /// Counts records that were refused.
    pub(super) fn count(&self, refusal: &Refusal, records: usize) {
        self.metrics.counter_of(&REFUSED, refusal.status.as_str()).add(records as u64);
    }
}

/// Whether these records are at fault. Any other refusal is for the server, or whoever configured it, to mend: a wrong token
/// or path loses nothing.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}
