//! `es` and `opensearch`: records as documents, by the bulk interface, with a fate for each record.

mod answer;
mod bulk;
mod dots;
mod options;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flb_event::Chunk;
use flb_net::http_client::{HttpClient, Response};
use flb_plugin::log::{Kinds, Label};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Metric, Metrics, Options, Output, OutputError, Spec,
};
use reqwest::StatusCode;

use crate::fates::Fates;
use answer::{Answer, Fate};
use bulk::{Bulk, Operation, Request};
use options::{NODE, OPTIONS, UPSTREAM};

use crate::date::now;
use crate::upstream;

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "es",
    about: "Store records in Elasticsearch",
    options: OPTIONS,
    build: |options, build| output("es", options, build),
};

pub(super) const OPENSEARCH: Spec<dyn Output> = Spec {
    name: "opensearch",
    about: "Store records in OpenSearch",
    options: OPTIONS,
    build: |options, build| output("opensearch", options, build),
};

/// Exported as `flb_output_refused_records_total`.
static REFUSED: Metric =
    Metric::new("refused", "Records that no try gets into the store, by the reason.")
        .in_units_of("records")
        .by("reason");

/// What an answer may be long, beside what it says of each record.
const ANSWER: usize = 64 * 1024;
/// What it may say of a record.
const ANSWER_OF_RECORD: usize = 1024;

fn output(
    plugin: &str,
    options: &Options,
    build: &Build<'_>,
) -> Result<Box<dyn Output>, BuildError> {
    let Some(path) = options.get(UPSTREAM) else {
        return Ok(Box::new(es(plugin, options, build)?));
    };
    let nodes = upstream::nodes(plugin, path, NODE, build)?;
    let server = |node: Options| es(plugin, &node.over(options), build);
    let servers = nodes.into_iter().map(server).collect::<Result<_, _>>()?;
    Ok(Box::new(Several { servers, next: AtomicUsize::new(0) }))
}

fn es(plugin: &str, options: &Options, build: &Build<'_>) -> Result<Es, BuildError> {
    let label = Label::output(plugin, build);
    Ok(Es(Arc::new(Store {
        client: options::client(label.clone(), options, build)?,
        bulk: options::bulk(options, build)?,
        label,
        metrics: build.metrics.clone(),
        refusals: Kinds::default(),
    })))
}

struct Es(Arc<Store>);

struct Store {
    client: HttpClient,
    bulk: Bulk,
    label: Label,
    metrics: Metrics,
    refusals: Kinds,
}

impl Output for Es {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let mut fates = Fates::new(chunk.len());
            let mut pieces: Vec<_> = Some(0..chunk.len()).into_iter().collect();
            while let Some(piece) = pieces.pop() {
                match self.deliver(chunk, piece, &mut fates).await {
                    Ok(halves) => pieces.extend(halves.into_iter().flatten()),
                    // The other pieces would fare no better; they are tried again with this one.
                    Err(fate) => fates.put_off(fate),
                }
                if fates.put_off.is_some() {
                    break;
                }
            }
            fates.of(chunk)
        })
    }
}

/// Servers that take turns. A chunk that one of them does not take now is the next one's turn.
struct Several {
    servers: Vec<Es>,
    next: AtomicUsize,
}

impl Output for Several {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.servers[turn % self.servers.len()].flush(chunk)
    }
}

/// A piece of a chunk that was too large, in two, the first one last.
type Halves = Option<[Range<usize>; 2]>;

impl Es {
    /// Sends the records at these places. An error is the fate of the whole piece.
    async fn deliver(
        &self,
        chunk: &Chunk,
        piece: Range<usize>,
        fates: &mut Fates,
    ) -> Result<Halves, Flush> {
        let request = self.request(chunk, piece.clone()).await?;
        for (at, error) in &request.unsendable {
            self.0.refuse(fates, *at, error.class(), &error.to_string());
        }
        if request.places.is_empty() {
            return Ok(None);
        }
        let longest = ANSWER + ANSWER_OF_RECORD * request.places.len();
        let Response { status, after, body } =
            self.0.client.ask(request.body, "application/x-ndjson", None, longest).await?;
        tracing::debug!("{} HTTP status={status}", self.0.label);
        match status {
            StatusCode::PAYLOAD_TOO_LARGE if request.places.len() > 1 => return Ok(halves(piece)),
            StatusCode::PAYLOAD_TOO_LARGE => {
                let why = self.0.client.refusal(status, &body);
                self.0.refuse(fates, request.places[0], "too_large", &why);
            }
            _ if status.is_success() => self.0.settle(&body, &request.places, fates),
            _ => return Err(self.0.put_off(status, after, &body)),
        }
        Ok(None)
    }

    /// Made and packed on a thread for such work.
    async fn request(&self, chunk: &Chunk, piece: Range<usize>) -> Result<Request, Flush> {
        let (store, chunk) = (Arc::clone(&self.0), chunk.clone());
        let make = move || {
            let mut request = store.bulk.request(&chunk, piece, now());
            request.body = store.client.packed(request.body);
            request
        };
        let made = tokio::task::spawn_blocking(make).await;
        made.map_err(|error| Flush::Fail(OutputError(error.to_string())))
    }
}

/// Two parts of about the same number of records.
fn halves(piece: Range<usize>) -> Halves {
    let middle = piece.start + piece.len() / 2;
    Some([middle..piece.end, piece.start..middle])
}

impl Store {
    /// Reads what became of these records.
    fn settle(&self, body: &[u8], places: &[usize], fates: &mut Fates) {
        let answer = Answer::read(body);
        let is_create = self.bulk.operation == Operation::Create;
        for (item, place) in places.iter().enumerate() {
            match answer.fate(item, is_create) {
                Fate::Delivered => fates.again[*place] = false,
                Fate::Again(why) if fates.put_off.is_none() => {
                    fates.put_off(self.client.retry(&why, None));
                }
                Fate::Again(_) => {}
                Fate::Refused(why) => self.refuse(fates, *place, "document", &why),
            }
        }
    }

    /// The request was not taken. Its records are not at fault, whatever the server says.
    fn put_off(&self, status: StatusCode, after: Option<Duration>, body: &[u8]) -> Flush {
        let reason = self.client.refusal(status, body);
        let help = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; check http_user and http_passwd, or http_api_key"
            }
            StatusCode::BAD_REQUEST if contains(body, b"_type") => {
                "; this server has no types: suppress_type_name on"
            }
            StatusCode::NOT_FOUND => "; check host, port and path",
            _ => "",
        };
        self.client.retry(&format!("{reason}{help}"), after)
    }

    fn refuse(&self, fates: &mut Fates, at: usize, class: &str, why: &str) {
        fates.again[at] = false;
        if std::mem::replace(&mut fates.refused[at], true) {
            return;
        }
        self.metrics.counter_of(&REFUSED, class).add(1);
        let kind = why.split('[').next().unwrap_or(why);
        if let Some(times) = self.refusals.another(kind) {
            tracing::error!("{} a record is refused: {why}{times}", self.label);
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
