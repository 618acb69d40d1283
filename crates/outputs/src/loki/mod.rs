//! `loki`: pushes records to Grafana Loki.

mod batch;
mod fields;
mod line;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::MsgpackError;
use flb_event::{Accessor, Chunk, Event, Scene, Tag};
use flb_net::http_client::{self, Endpoint, HttpClient, Protocol};
use flb_net::options::{file, port};
use flb_net::tls;
use flb_plugin::keys::{Bool, Choice, Key, List, Many, Size, Text};
use flb_plugin::log::{Label, Mishaps, excerpt};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Secrecy, Spec, Table, keys,
};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

use self::batch::{Batch, Entry};
use self::fields::{Field, Pairs, Values, keep_last, read_map, write_map};
use self::line::{Line, LineFormat, SingleKey};
use super::accessors::{accessor, marked};
use super::json::json_options;
use super::post::{Fate, Poster, Refusal};

pub(super) const SPEC: Spec<dyn Output> =
    Spec { name: "loki", about: "Push records to Grafana Loki", options: OPTIONS, build };

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Server").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("3100");
    URI: Text =
        Key::new("uri", "Path to push to").default("/loki/api/v1/push").hiding(Secrecy::Address);
    TENANT_ID: Option<Text> = Key::new("tenant_id", "Tenant whose records they are");
    TENANT_ID_KEY: Option<Text> =
        Key::new("tenant_id_key", "Key of a record with its tenant, instead of tenant_id");
    TENANT_ID_KEY_ERROR_HANDLING: Option<Text> = Key::new("tenant_id_key_error_handling", "")
        .idle("the records of tenants that were not taken are sent again, and only those");
    LABELS: Option<List> = Key::new("labels", "Labels of streams: name=text, name=$key, $key");
    LABEL_KEYS: Option<List> = Key::new("label_keys", "Keys of a record that become labels: $key");
    LABEL_MAP_PATH: Option<Text> =
        Key::new("label_map_path", "JSON file with names of labels in the place of records' values");
    AUTO_KUBERNETES_LABELS: Bool =
        Key::new("auto_kubernetes_labels", "Make labels of the pod's labels").default("off");
    STRUCTURED_METADATA: Option<List> =
        Key::new("structured_metadata", "What goes beside a line: name=text, name=$key, $key");
    STRUCTURED_METADATA_MAP_KEYS: Option<List> =
        Key::new("structured_metadata_map_keys", "Maps whose entries go beside a line: $map");
    REMOVE_KEYS: Option<List> = Key::new("remove_keys", "Keys that the line is without");
    DROP_SINGLE_KEY: Choice<SingleKey> =
        Key::new("drop_single_key", "If one key is left, its value is the line").default("off");
    LINE_FORMAT: Choice<LineFormat> =
        Key::new("line_format", "How a record becomes a line").default("json");
    BEARER_TOKEN: Option<Text> =
        Key::new("bearer_token", "Token, where there is no http_user").secret();
    HEADER: Many<Text> = http_client::HEADER;
    BUFFER_SIZE: Option<Size> =
        Key::new("buffer_size", "").idle("of an answer only the beginning is looked at");
}

const OPTIONS: Table =
    Table(&[OWN, http_client::KEYS, http_client::GZIP_KEYS, tls::KEYS, tls::CLIENT]);

/// The header that names the tenant.
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");
/// The label of a stream that would have none.
const JOB: (&str, &str) = ("job", "fluent-bit");

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(loki(options, build)?))
}

fn loki(options: &Options, build: &Build<'_>) -> Result<Loki, BuildError> {
    let label = Label::output("loki", build);
    let labels = labels(options, build)?;
    let metadata =
        all(options, STRUCTURED_METADATA, |text| Field::parse(STRUCTURED_METADATA.name(), text))?;
    let metadata_maps = all(options, STRUCTURED_METADATA_MAP_KEYS, |text| {
        marked(STRUCTURED_METADATA_MAP_KEYS.name(), text)
    })?;
    let mut removed: Vec<Accessor> =
        labels.iter().chain(&metadata).flat_map(Field::keys).cloned().collect();
    removed.extend(metadata_maps.iter().cloned());
    removed.extend(all(options, REMOVE_KEYS, |text| accessor(REMOVE_KEYS.name(), text))?);
    let format = options.get(LINE_FORMAT);
    Ok(Loki(Arc::new(Pusher {
        poster: Poster::new(client(label.clone(), options, build)?, build),
        tenant: options
            .get(TENANT_ID)
            .filter(|id| !id.is_empty())
            .map(static_tenant)
            .transpose()?,
        tenant_key: options
            .get(TENANT_ID_KEY)
            .map(|text| accessor(TENANT_ID_KEY.name(), text))
            .transpose()?,
        labels,
        pod_labels: options
            .get(AUTO_KUBERNETES_LABELS)
            .then(|| accessor(AUTO_KUBERNETES_LABELS.name(), "$kubernetes['labels']"))
            .transpose()?,
        metadata,
        metadata_maps,
        line: Line { format, single_key: options.get(DROP_SINGLE_KEY), removed },
        json: json_options(build),
        label,
        unsendable: Mishaps::default(),
    })))
}

/// What each text of a list is read as.
fn all<T>(
    options: &Options,
    key: Key<Option<List>>,
    read: impl Fn(&str) -> Result<T, BuildError>,
) -> Result<Vec<T>, BuildError> {
    options.get(key).unwrap_or_default().iter().map(|text| read(text)).collect()
}

fn labels(options: &Options, build: &Build<'_>) -> Result<Vec<Field>, BuildError> {
    let mut labels = all(options, LABELS, |text| Field::parse(LABELS.name(), text))?;
    labels.extend(all(options, LABEL_KEYS, |text| {
        marked(LABEL_KEYS.name(), text)?;
        Field::parse(LABEL_KEYS.name(), text)
    })?);
    if let Some(path) = options.get(LABEL_MAP_PATH) {
        let option = LABEL_MAP_PATH.name();
        let text = std::fs::read(file(path, build.service)).map_err(|error| {
            BuildError::new(format!("{option} '{path}': {error}")).help("name a JSON file")
        })?;
        labels.extend(read_map(option, &text)?);
    }
    Ok(labels)
}

fn static_tenant(id: &str) -> Result<HeaderValue, BuildError> {
    tenant(id.as_bytes()).map_err(|error| {
        BuildError::new(error.to_string()).help("use letters, digits and !-_.*'(), at most 150")
    })
}

fn client(label: Label, options: &Options, build: &Build<'_>) -> Result<HttpClient, BuildError> {
    let mut headers = http_client::given_headers(options)?;
    if let Some(token) = options.get(BEARER_TOKEN)
        && options.get(http_client::HTTP_USER).is_none()
        && !headers.contains_key(AUTHORIZATION)
    {
        headers.insert(AUTHORIZATION, http_client::authorization("Bearer", token)?);
    }
    let (host, port) = (options.get(HOST), port(options.get(PORT), 1)?);
    let endpoint = Endpoint {
        host,
        port,
        method: Method::POST,
        path: options.get(URI),
        headers,
        packing: options.get(http_client::GZIP).into(),
        protocol: Protocol::Http1,
        tokens: None,
    };
    HttpClient::of(label, endpoint, options, build)
}

/// Why a record cannot be sent.
#[derive(Debug, thiserror::Error)]
enum Unsendable {
    #[error(transparent)]
    Broken(#[from] MsgpackError),
    #[error("'{0}' is no tenant that Loki knows")]
    NoTenant(String),
}

/// A tenant as Loki allows them: others could not be asked for, or would be several.
fn tenant(id: &[u8]) -> Result<HeaderValue, Unsendable> {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(byte);
    let is_tenant =
        id.len() <= 150 && id.iter().all(is_allowed) && !matches!(id, b"" | b"." | b"..");
    let value = HeaderValue::from_bytes(id).ok().filter(|_| is_tenant);
    value.ok_or_else(|| Unsendable::NoTenant(excerpt(id)))
}

struct Loki(Arc<Pusher>);

struct Pusher {
    poster: Poster,
    /// Whose records they are that do not say so themselves.
    tenant: Option<HeaderValue>,
    tenant_key: Option<Accessor>,
    labels: Vec<Field>,
    /// Where a pod's labels are, if they become labels.
    pod_labels: Option<Accessor>,
    metadata: Vec<Field>,
    metadata_maps: Vec<Accessor>,
    line: Line,
    json: JsonOptions,
    label: Label,
    unsendable: Mishaps,
}

/// A request: the records of one tenant.
struct Push {
    tenant: Option<HeaderValue>,
    body: Vec<u8>,
    /// The places of its records in the chunk.
    records: Vec<usize>,
}

impl Output for Loki {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let (pusher, records) = (Arc::clone(&self.0), chunk.clone());
            let made = tokio::task::spawn_blocking(move || pusher.pushes(&records));
            match made.await {
                Ok(pushes) => self.0.send(chunk, pushes).await,
                Err(error) => Flush::Fail(OutputError(error.to_string())),
            }
        })
    }
}

impl Pusher {
    /// Sends the requests of a chunk. What one tenant's records meet with is none of the others' business.
    async fn send(&self, chunk: &Chunk, pushes: Vec<Push>) -> Flush {
        let (mut taken, mut refusals) = (0, Vec::new());
        let (mut again, mut put_off, mut is_away) = (vec![false; chunk.len()], None, false);
        for push in pushes {
            let header = push.tenant.map(|tenant| (TENANT, tenant));
            let fate = match is_away {
                true => None,
                false => Some(self.poster.post(push.body, header).await),
            };
            match fate {
                Some(Fate::Taken) => taken += push.records.len(),
                Some(Fate::Refused(refusal)) => refusals.push((refusal, push.records)),
                later => {
                    push.records.iter().for_each(|place| again[*place] = true);
                    is_away = !matches!(later, Some(Fate::Later(_)));
                    if let Some(Fate::Later(fate) | Fate::Away(fate)) = later {
                        put_off = put_off.or(Some(fate));
                    }
                }
            }
        }
        match put_off {
            None => self.settled(chunk, taken, &refusals),
            // Nothing is settled yet.
            Some(fate) if taken == 0 && refusals.is_empty() => fate,
            Some(fate) => {
                self.tell(&refusals);
                let waiting = again.iter().filter(|again| **again).count();
                let refused = self.refused(chunk, &refusals);
                let left_out = chunk.len() - taken - waiting;
                fate.of_rest(again, left_out, (!refusals.is_empty()).then_some(refused))
            }
        }
    }

    /// The fate of a chunk that needs no other try: so many records are delivered, and these are not.
    fn settled(&self, chunk: &Chunk, taken: usize, refusals: &[(Refusal, Vec<usize>)]) -> Flush {
        let refused = self.refused(chunk, refusals);
        let left_out = chunk.len() - taken;
        match refusals.last() {
            None => Flush::but(left_out),
            Some((refusal, _)) if taken == 0 => {
                Flush::Fail(OutputError(format!("{} {refusal}", self.label)))
            }
            Some(_) => {
                self.tell(refusals);
                Flush::Partly { left_out, refused: Some(refused) }
            }
        }
    }

    fn tell(&self, refusals: &[(Refusal, Vec<usize>)]) {
        for (refusal, records) in refusals {
            tracing::error!("{} {refusal}; {} records dropped", self.label, records.len());
        }
    }

    /// Counts what was refused; those records.
    fn refused(&self, chunk: &Chunk, refusals: &[(Refusal, Vec<usize>)]) -> Chunk {
        let mut refused = vec![false; chunk.len()];
        for (refusal, records) in refusals {
            self.poster.count(refusal, records.len());
            records.iter().for_each(|place| refused[*place] = true);
        }
        chunk.only(&refused)
    }

    /// The requests that a chunk makes, a tenant each, in the order in which tenants appear.
    fn pushes(&self, chunk: &Chunk) -> Vec<Push> {
        let mut printer = Printer::new(self.json);
        let mut batches: Vec<(Option<HeaderValue>, Batch)> = Vec::new();
        let mut places = HashMap::new();
        for (place, event) in chunk.records().enumerate() {
            match self.entry(chunk.tag(), event, &mut printer) {
                Ok((tenant, labels, entry)) => {
                    let batch = *places.entry(tenant.clone()).or_insert(batches.len());
                    if batch == batches.len() {
                        batches.push((tenant, Batch::default()));
                    }
                    batches[batch].1.push(place, labels, entry);
                }
                Err(error) => self.unsendable.left_out(&self.label, &error),
            }
        }
        let push = |(tenant, mut batch): (Option<HeaderValue>, Batch)| {
            let body = self.poster.packed(batch.write(&mut printer));
            Push { tenant, body, records: batch.records }
        };
        batches.into_iter().map(push).collect()
    }

    /// Whose record it is, the labels of its stream, and its entry there.
    fn entry(
        &self,
        tag: &Tag,
        event: Event<'_>,
        printer: &mut Printer,
    ) -> Result<(Option<HeaderValue>, Pairs, Entry), Unsendable> {
        let tenant = match self.tenant_key.as_ref().and_then(|key| key.find_str(event.body)) {
            Some(id) if !id.is_empty() => Some(tenant(id)?),
            _ => self.tenant.clone(),
        };
        let scene = Scene { tag, body: event.body, captures: &[] };
        let mut line = Vec::new();
        self.line.write(event.body, printer, &mut line)?;
        let entry = Entry { time: event.time, line, metadata: self.metadata(&scene) };
        Ok((tenant, self.labels(&scene), entry))
    }

    fn labels(&self, scene: &Scene<'_>) -> Pairs {
        let mut labels = Pairs::new();
        self.labels.iter().for_each(|field| field.write(scene, &mut labels));
        if let Some(pod_labels) = &self.pod_labels {
            write_map(pod_labels, scene.body, Values::Texts, &mut labels);
        }
        keep_last(&mut labels);
        if labels.is_empty() {
            labels.push((JOB.0.to_owned(), JOB.1.as_bytes().to_vec()));
        }
        labels
    }

    /// What is known beside a line, if that is asked for.
    fn metadata(&self, scene: &Scene<'_>) -> Option<Pairs> {
        if self.metadata.is_empty() && self.metadata_maps.is_empty() {
            return None;
        }
        let mut metadata = Pairs::new();
        self.metadata.iter().for_each(|field| field.write(scene, &mut metadata));
        for map in &self.metadata_maps {
            write_map(map, scene.body, Values::All, &mut metadata);
        }
        keep_last(&mut metadata);
        Some(metadata)
    }
}
