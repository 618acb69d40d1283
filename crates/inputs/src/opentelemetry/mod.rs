//! `opentelemetry`: logs from OpenTelemetry's SDKs and collectors, by OTLP over HTTP and over gRPC, on one port.
//!
//! A request is answered when the pipeline has taken its records: all of them or, with an error, none.

mod dialect;
#[cfg(test)]
mod tests;

use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Tag, json, msgpack};
use flb_plugin::keys::{Bool, Key, Options, Table, Text};
use flb_plugin::{Build, BuildError, Context, Input, Spec, keys};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};

use crate::shared::complaints::Complaints;
use crate::shared::requests::{self, Intake, Untaken, Wrong};
use crate::shared::served::{self, Served};
use dialect::{Answer, Dialect, Refusal, Signal};
use flb_net::listener::{self, Listener};
use flb_net::otlp::{self, Format, Keys, Records};
use flb_net::places::Place;
use flb_net::server::{self, Server};
use flb_net::stream::{Client, Left};
use flb_net::tls;
use flb_plugin::log::Label;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "opentelemetry",
    about: "Take logs by OTLP over HTTP and gRPC",
    options: OPTIONS,
    build,
};

keys! {
    const OWN;
    PORT: Text = listener::port_key("4318");
    TAG_FROM_URI: Bool = Key::new(
        "tag_from_uri",
        "Without a tag of its own, the tag is v1_logs, and not the instance's name",
    )
    .default("on");
    LOGS_METADATA_KEY: Text =
        Key::new("logs_metadata_key", "Key of a log's fields in the metadata").default("otlp");
    LOGS_BODY_KEY: Option<Text> = Key::new(
        "logs_body_key",
        "Key of a log's body; without one a body that is a map is the record, any other is under log",
    );
    RAW_TRACES: Bool =
        Key::new("raw_traces", "Take traces, each request as one record").default("off");
    TAG_KEY: Option<Text> = Key::new("tag_key", "").idle("the tag is that of the input");
    PROFILES_SUPPORT: Option<Bool> =
        Key::new("profiles_support", "").idle("profiles are not taken");
    ENCODE_PROFILES_AS_LOG: Option<Bool> =
        Key::new("encode_profiles_as_log", "").idle("profiles are not taken");
}

const OPTIONS: Table =
    Table(&[OWN, requests::KEYS, listener::KEYS, server::KEYS, tls::KEYS, tls::SERVER]);

/// How long a request waits for the pipeline. Clients give up after ten seconds; one that is told to come again does so.
const WAIT: Duration = Duration::from_secs(5);
/// How many times the longest body a request's records may take: what logs have in common is part of each.
const GROWTH: usize = 16;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(opentelemetry(options, build)?))
}

fn opentelemetry(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let label = Label::input("opentelemetry", build);
    let listener = Listener::tcp(options, PORT, build.service)?;
    let server = Server::new(listener, &label, options, build)?;
    let (server, intake) = Intake::new(server, options);
    let from_uri = options.get(TAG_FROM_URI) && is_default(build.tag);
    let clients = Clients {
        tag: (!from_uri).then(|| build.tag.clone()),
        keys: Keys {
            metadata: options.get(LOGS_METADATA_KEY).to_owned(),
            body: options.get(LOGS_BODY_KEY).map(str::to_owned),
        },
        takes_traces: options.get(RAW_TRACES),
        intake,
        complaints: Complaints::new(label),
    };
    Ok(Served { server, clients })
}

/// Whether nobody has named the tag: it is the instance's name then, which has a number.
fn is_default(tag: &Tag) -> bool {
    let number = tag.as_str().strip_prefix("opentelemetry.");
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What all connections have in common.
struct Clients {
    /// The tag of all records; without one, it tells the signal.
    tag: Option<Tag>,
    keys: Keys,
    takes_traces: bool,
    intake: Intake,
    complaints: Complaints<Wrong>,
}

impl served::Clients for Clients {
    type Wrong = Wrong;

    async fn serve(&self, client: Client, context: &dyn Context) -> Option<Left> {
        let Client { stream, peer, place, .. } = client;
        let (peer, place) = (&peer, &*place);
        let answer = |request: Request<Incoming>| async move {
            let dialect = Dialect::of(request.headers());
            let taken = self.take(request, dialect, place, context).await;
            if let Err(refusal) = &taken {
                self.complaints.add(refusal.wrong, peer, &refusal.text);
            }
            self.answer(dialect, taken)
        };
        let ended = self.intake.serve(stream, place, context, answer).await;
        if let Err(error) = ended {
            self.complaints.add(Wrong::Connection, peer, error);
        }
        None
    }

    fn complaints(&self) -> &Complaints<Wrong> {
        &self.complaints
    }
}

impl Clients {
    fn answer(&self, dialect: Option<Dialect>, taken: Result<(), Refusal>) -> Response<Answer> {
        match taken {
            Ok(()) => dialect::good(dialect, self.intake.success),
            Err(refusal) => dialect::refused(dialect, &refusal),
        }
    }

    async fn take(
        &self,
        request: Request<Incoming>,
        dialect: Option<Dialect>,
        place: &Place,
        context: &dyn Context,
    ) -> Result<(), Refusal> {
        let (head, incoming) = request.into_parts();
        let signal = Signal::of(head.uri.path()).filter(|signal| self.takes(*signal));
        let signal = signal.ok_or_else(|| Refusal::nothing_there(head.uri.path()))?;
        if head.method != Method::POST {
            return Err(Refusal::bad("invalid HTTP method"));
        }
        let dialect = dialect.ok_or_else(Refusal::unknown_type)?;
        let encoding = dialect.encoding(&head.headers)?;
        let (body, _held) = self.intake.read(&head.headers, incoming, context).await?;
        place.begin();
        let patience = self.intake.patience.min(WAIT);
        let _turn = self.intake.turn(context, patience).await?;
        let message = dialect.message(body, encoding, self.intake.limit)?;
        let batches = self.records(signal, dialect.format(), &message, context)?;
        let emitted = async {
            for batch in batches {
                context.emit(batch).await.map_err(|_| Untaken::Full)?;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            taken = emitted => taken,
            () = context.sleep(patience) => Err(Untaken::Full.into()),
        }
    }

    fn takes(&self, signal: Signal) -> bool {
        signal == Signal::Logs || self.takes_traces
    }

    fn records(
        &self,
        signal: Signal,
        format: Format,
        message: &[u8],
        context: &dyn Context,
    ) -> Result<Vec<Chunk>, Refusal> {
        let tag = match &self.tag {
            Some(tag) => tag.clone(),
            None => Tag::new(signal.tag()).map_err(|error| Refusal::bad(error.to_string()))?,
        };
        let now = context.now();
        if signal == Signal::Traces {
            let mut batch = ChunkBuilder::new(tag);
            let pushed = batch.push_with(now, Event::NO_METADATA, |out| {
                write_traces(format, message, out);
                Ok::<_, RecordTooLarge>(())
            });
            pushed.map_err(|error| Refusal::too_large(error.to_string()))?;
            return Ok(vec![batch.build()]);
        }
        let limit = self.intake.limit.saturating_mul(GROWTH);
        let mut records = Records::new(&tag, now, &self.keys, limit);
        otlp::read(format, message, &mut records)?;
        Ok(records.finish())
    }
}

/// Traces as they came: a JSON document is the record, protocol buffers stand under a key.
fn write_traces(format: Format, message: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let parsed = (format == Format::Json).then(|| json::parse_object(message, out));
    if !matches!(parsed, Some(Ok(_))) {
        out.truncate(start);
        msgpack::write_map_header(out, 1);
        msgpack::write_str(out, "trace");
        msgpack::write_str(out, message);
    }
}
