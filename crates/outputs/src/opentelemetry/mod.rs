//! `opentelemetry`: logs to an OpenTelemetry collector, by OTLP over HTTP or gRPC.

mod convert;
pub(super) mod json;
mod messages;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flb_event::{Accessor, Chunk};
use flb_plugin::keys::{Bool, Choice, Int, Key, Many, Text, Word};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Secrecy, Spec, Table, keys,
};
use prost::Message;
use reqwest::Method;

use crate::accessors::path_or_name;
use convert::{Beside, Conversion};
use flb_net::aws::{self, Signer};
use flb_net::http_client::{self, Answer, Endpoint, HttpClient, Protocol};
use flb_net::oauth2::{self, Tokens};
use flb_net::options::port;
use flb_net::packing::Packing;
use flb_net::{grpc, tls};
use flb_plugin::log::{Label, Mishaps};
use messages::ExportLogsServiceResponse;

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "opentelemetry",
    about: "Send logs to an OpenTelemetry collector",
    options: OPTIONS,
    build,
};

keys! {
    const OWN;
    LOGS_URI: Text =
        Key::new("logs_uri", "Path to post logs to").default("/v1/logs").hiding(Secrecy::Address);
    GRPC: Bool = Key::new("grpc", "Call by gRPC instead of posting").default("off");
    GRPC_LOGS_URI: Text = Key::new("grpc_logs_uri", "What to call there")
        .default("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        .hiding(Secrecy::Address);
    HTTP2: Choice<Http2> = Key::new("http2", "Post by HTTP/2").default("off");
    BATCH_SIZE: Int = Key::new("batch_size", "Records a request; 0 for a whole chunk").default("0");
    LOGS_METADATA_KEY: Text =
        Key::new("logs_metadata_key", "Key in the metadata of what was kept of a log").default("otlp");
    LOGS_BODY_KEY: Many<Text> =
        Key::new("logs_body_key", "Key of a log's body; $log, $message").repeated();
    LOGS_BODY_KEY_ATTRIBUTES: Option<Bool> =
        Key::new("logs_body_key_attributes", "Whether what is beside the body becomes attributes");
    LOGS_SEVERITY_TEXT_MESSAGE_KEY: Text = Key::new(
        "logs_severity_text_message_key",
        "Key of the severity's name",
    )
    .default("$SeverityText");
    LOGS_SEVERITY_NUMBER_MESSAGE_KEY: Text = Key::new(
        "logs_severity_number_message_key",
        "Key of the severity, 1 to 24",
    )
    .default("$severityNumber");
    LOGS_TRACE_ID_MESSAGE_KEY: Text = Key::new(
        "logs_trace_id_message_key",
        "Key of the trace, in hexadecimal",
    )
    .default("$TraceId");
    LOGS_SPAN_ID_MESSAGE_KEY: Text =
        Key::new("logs_span_id_message_key", "Key of the span, in hexadecimal").default("$SpanId");
    TIME_BESIDE: Text =
        Key::new("logs_timestamp_metadata_key", "Key in the metadata of the time in nanoseconds").default("$Timestamp");
    OBSERVED_BESIDE: Text =
        Key::new("logs_observed_timestamp_metadata_key", "Key in the metadata of the time of being seen").default("$ObservedTimestamp");
    SEVERITY_TEXT_BESIDE: Text =
        Key::new("logs_severity_text_metadata_key", "Key in the metadata of the severity's name").default("$SeverityText");
    SEVERITY_NUMBER_BESIDE: Text =
        Key::new("logs_severity_number_metadata_key", "Key in the metadata of the severity, 1 to 24").default("$SeverityNumber");
    TRACE_ID_BESIDE: Text =
        Key::new("logs_trace_id_metadata_key", "Key in the metadata of the trace, in hexadecimal").default("$TraceId");
    SPAN_ID_BESIDE: Text =
        Key::new("logs_span_id_metadata_key", "Key in the metadata of the span, in hexadecimal").default("$SpanId");
    FLAGS_BESIDE: Text =
        Key::new("logs_trace_flags_metadata_key", "Key in the metadata of the trace's flags").default("$TraceFlags");
    ATTRIBUTES_BESIDE: Text =
        Key::new("logs_attributes_metadata_key", "Key in the metadata of the attributes, a map").default("$Attributes");
    METRICS_URI: Option<Text> = Key::new("metrics_uri", "").inert(ONLY_LOGS);
    TRACES_URI: Option<Text> = Key::new("traces_uri", "").inert(ONLY_LOGS);
    PROFILES_URI: Option<Text> = Key::new("profiles_uri", "").inert(ONLY_LOGS);
    GRPC_METRICS_URI: Option<Text> = Key::new("grpc_metrics_uri", "").inert(ONLY_LOGS);
    GRPC_TRACES_URI: Option<Text> = Key::new("grpc_traces_uri", "").inert(ONLY_LOGS);
    GRPC_PROFILES_URI: Option<Text> = Key::new("grpc_profiles_uri", "").inert(ONLY_LOGS);
    ADD_LABEL: Many<Text> = Key::new("add_label", "").repeated().inert("labels are for metrics");
}

const ONLY_LOGS: &str = "there are only logs here";

/// Whether HTTP/2 is spoken. It is never asked for first, so there is nothing between these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Http2 {
    Off,
    On,
}

impl Word for Http2 {
    const ALL: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("on", Self::On),
        ("force", Self::On),
        ("false", Self::Off),
        ("true", Self::On),
        ("no", Self::Off),
        ("yes", Self::On),
    ];
}

const OPTIONS: Table = Table(&[
    OWN,
    http_client::SERVER_KEYS,
    http_client::KEYS,
    http_client::PACKING_KEYS,
    oauth2::KEYS,
    aws::AUTH_KEYS,
    aws::SERVICE_KEYS,
    tls::KEYS,
    tls::CLIENT,
]);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(opentelemetry(options, build)?))
}

fn opentelemetry(options: &Options, build: &Build<'_>) -> Result<OpenTelemetry, BuildError> {
    let label = Label::output("opentelemetry", build);
    let key = |key: Key<Text>| path_or_name(key.name(), options.get(key));
    let chosen: Vec<Accessor> = options
        .get(LOGS_BODY_KEY)
        .into_iter()
        .map(|text| path_or_name(LOGS_BODY_KEY.name(), text))
        .collect::<Result<_, _>>()?;
    // Where nobody said what the body is, nothing beside it may get lost.
    let is_body_chosen = !chosen.is_empty();
    let keeps_rest = chosen.is_empty() && options.get(LOGS_BODY_KEY_ATTRIBUTES).is_none();
    let body = if chosen.is_empty() { Conversion::default().body } else { chosen };
    let batch = usize::try_from(options.get(BATCH_SIZE)).unwrap_or(0);
    Ok(OpenTelemetry(Arc::new(Sender {
        client: client(label.clone(), options, build)?,
        call: options.get(GRPC).then(|| options.get(http_client::PACKING)),
        conversion: Conversion {
            metadata: options.get(LOGS_METADATA_KEY).to_owned(),
            body,
            is_body_chosen,
            rest_is_attributes: keeps_rest || options.get(LOGS_BODY_KEY_ATTRIBUTES) == Some(true),
            severity_text: key(LOGS_SEVERITY_TEXT_MESSAGE_KEY)?,
            severity_number: key(LOGS_SEVERITY_NUMBER_MESSAGE_KEY)?,
            trace_id: key(LOGS_TRACE_ID_MESSAGE_KEY)?,
            span_id: key(LOGS_SPAN_ID_MESSAGE_KEY)?,
            beside: Beside {
                time: key(TIME_BESIDE)?,
                observed: key(OBSERVED_BESIDE)?,
                severity_text: key(SEVERITY_TEXT_BESIDE)?,
                severity_number: key(SEVERITY_NUMBER_BESIDE)?,
                trace_id: key(TRACE_ID_BESIDE)?,
                span_id: key(SPAN_ID_BESIDE)?,
                flags: key(FLAGS_BESIDE)?,
                attributes: key(ATTRIBUTES_BESIDE)?,
            },
        },
        batch: if batch == 0 { usize::MAX } else { batch },
        label,
        unsendable: Mishaps::default(),
        partial: Mishaps::default(),
        rejected: AtomicU64::new(0),
    })))
}

fn client(label: Label, options: &Options, build: &Build<'_>) -> Result<HttpClient, BuildError> {
    let packing = options.get(http_client::PACKING);
    let mut headers = http_client::given_headers(options)?;
    let (path, packing, is_http2) = match options.get(GRPC) {
        false => (options.get(LOGS_URI), packing, options.get(HTTP2) == Http2::On),
        true => {
            headers.extend(grpc::headers(packing));
            // Its messages are packed, not the body that they are in.
            (options.get(GRPC_LOGS_URI), Packing::Nothing, true)
        }
    };
    let endpoint = Endpoint {
        host: options.get(http_client::SERVER),
        port: port(options.get(http_client::PORT), 1)?,
        method: Method::POST,
        path,
        headers,
        packing,
        protocol: if is_http2 { Protocol::Http2 } else { Protocol::Http1 },
        tokens: Tokens::new(options)?,
    };
    let signer = Signer::of_options(options, options.get(aws::AWS_SERVICE), build)?;
    HttpClient::of(label, endpoint, options, build)?.logging(options).signed_by(signer)
}

struct OpenTelemetry(Arc<Sender>);

struct Sender {
    client: HttpClient,
    /// How messages are packed, where they are called with and not posted.
    call: Option<Packing>,
    conversion: Conversion,
    /// Most records of one request.
    batch: usize,
    label: Label,
    unsendable: Mishaps,
    partial: Mishaps,
    /// Records that the collector did not want.
    rejected: AtomicU64,
}

impl Output for OpenTelemetry {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let (mut from, mut left_out) = (0, 0);
            while from < chunk.len() {
                let (sender, records) = (Arc::clone(&self.0), chunk.clone());
                let body = move || {
                    let (request, left_out) = sender.request(&records, from);
                    (sender.packed(request), left_out)
                };
                let (body, unsendable) = match tokio::task::spawn_blocking(body).await {
                    Ok(made) => made,
                    Err(error) => return Flush::Fail(OutputError(error.to_string())),
                };
                match self.0.send(body).await {
                    Ok(answer) => left_out += unsendable + self.0.rejected_by(&answer),
                    Err(fate) => return fate,
                }
                from = from.saturating_add(self.0.batch);
            }
            Flush::but(left_out)
        })
    }
}

impl Sender {
    fn packed(&self, request: Vec<u8>) -> Vec<u8> {
        match self.call {
            Some(packing) => grpc::framed(request, packing),
            None => self.client.packed(request),
        }
    }

    async fn send(&self, body: Vec<u8>) -> Result<Answer, Flush> {
        match self.call {
            Some(_) => self.client.call(body).await,
            None => self.client.send(body, "application/x-protobuf", None).await,
        }
    }

    /// The request with the records from `from` on, and how many are not in it.
    fn request(&self, chunk: &Chunk, from: usize) -> (Vec<u8>, usize) {
        let mut left_out = 0;
        let events = chunk.records().skip(from).take(self.batch);
        let request = self.conversion.request(events, |error| {
            left_out += 1;
            self.unsendable.left_out(&self.label, &error);
        });
        (request.encode_to_vec(), left_out)
    }

    /// How many records of a request the collector did not take. Sending them again would not help.
    fn rejected_by(&self, answer: &Answer) -> usize {
        let answer = ExportLogsServiceResponse::decode(&*answer.body).unwrap_or_default();
        let Some(partial) = answer.partial_success else { return 0 };
        let rejected = u64::try_from(partial.rejected_log_records).unwrap_or(0);
        if rejected == 0 && partial.error_message.is_empty() {
            return 0;
        }
        let total = self.rejected.fetch_add(rejected, Ordering::Relaxed) + rejected;
        if self.partial.another().is_some() {
            let why = flb_plugin::log::excerpt(partial.error_message.as_bytes());
            tracing::warn!(
                "{} the collector dropped {rejected} records: {why} ({total} so far)",
                self.label
            );
        }
        usize::try_from(rejected).unwrap_or(usize::MAX)
    }
}
