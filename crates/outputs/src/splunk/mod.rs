//! `splunk`: posts records to Splunk's HTTP Event Collector.

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::{self, MsgpackError};
use flb_event::{Accessor, Chunk, Event, Scene, Tag, Template, Timestamp, write_text};
use flb_net::http_client::{self, Endpoint, HttpClient, Protocol};
use flb_net::options::port;
use flb_net::tls;
use flb_plugin::keys::{Bool, Fields, Key, Many, Size, Text};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Spec, Table, keys,
};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::accessors::marked;
use super::json::{json_options, quote};
use super::post::{Fate, Poster};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "splunk",
    about: "Post records to Splunk's HTTP Event Collector",
    options: OPTIONS,
    build,
};

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Server").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("8088");
    SPLUNK_TOKEN: Option<Text> =
        Key::new("splunk_token", "Token of the collector, where there is no http_user").secret();
    SPLUNK_SEND_RAW: Bool =
        Key::new("splunk_send_raw", "Send records as they are, which are events already")
            .default("off");
    EVENT_KEY: Option<Text> = Key::new("event_key", "Key whose value is the event: $log");
    EVENT_HOST: Option<Text> = Key::new("event_host", "The event's host: a text, $key, $TAG");
    EVENT_SOURCE: Option<Text> = Key::new("event_source", "The event's source: a text, $key, $TAG");
    EVENT_SOURCETYPE: Option<Text> = Key::new("event_sourcetype", "The event's source type");
    EVENT_SOURCETYPE_KEY: Option<Text> =
        Key::new("event_sourcetype_key", "Key of a record with its source type: $key");
    EVENT_INDEX: Option<Text> = Key::new("event_index", "The index for it");
    EVENT_INDEX_KEY: Option<Text> =
        Key::new("event_index_key", "Key of a record with the index for it: $key");
    EVENT_FIELD: Many<Fields<1>> =
        Key::new("event_field", "A field of the event: name $key").repeated();
    AUTO_EXTRACT_TIMESTAMP: Bool =
        Key::new("auto_extract_timestamp", "Let Splunk find the time in the event").default("off");
    CHANNEL: Option<Text> = Key::new("channel", "The request channel");
    HTTP_BUFFER_SIZE: Option<Size> =
        Key::new("http_buffer_size", "").idle("of an answer only the beginning is looked at");
    HTTP_DEBUG_BAD_REQUEST: Option<Bool> =
        Key::new("http_debug_bad_request", "").idle("what Splunk says is always in the log");
}

const OPTIONS: Table =
    Table(&[OWN, http_client::KEYS, http_client::GZIP_KEYS, tls::KEYS, tls::CLIENT]);

const PATH: &str = "/services/collector/event";
const CHANNEL_HEADER: HeaderName = HeaderName::from_static("x-splunk-request-channel");

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(splunk(options, build)?))
}

fn splunk(options: &Options, build: &Build<'_>) -> Result<Splunk, BuildError> {
    let label = Label::output("splunk", build);
    let keyed =
        |key: Key<Option<Text>>| options.get(key).map(|text| marked(key.name(), text)).transpose();
    let filled = |key: Key<Option<Text>>| {
        options.get(key).map(|text| template(key.name(), text)).transpose()
    };
    let text = |key: Key<Option<Text>>| options.get(key).map(str::to_owned);
    Ok(Splunk(Arc::new(Sender {
        poster: Poster::new(client(label.clone(), options, build)?, build),
        is_raw: options.get(SPLUNK_SEND_RAW),
        is_timed: !options.get(AUTO_EXTRACT_TIMESTAMP),
        event: keyed(EVENT_KEY)?,
        host: filled(EVENT_HOST)?,
        source: filled(EVENT_SOURCE)?,
        sourcetype: Chosen { key: keyed(EVENT_SOURCETYPE_KEY)?, text: text(EVENT_SOURCETYPE) },
        index: Chosen { key: keyed(EVENT_INDEX_KEY)?, text: text(EVENT_INDEX) },
        fields: options.get(EVENT_FIELD).into_iter().map(field).collect::<Result<_, _>>()?,
        json: json_options(build),
        label,
        unprintable: Mishaps::default(),
    })))
}

fn template(option: &str, text: &str) -> Result<Template, BuildError> {
    Template::parse(text)
        .map_err(|error| BuildError::new(format!("{option}: {error}")).help(error.hint()))
}

fn field(words: Vec<String>) -> Result<(String, Accessor), BuildError> {
    let [name, key] = <[String; 2]>::try_from(words).map_err(|_| {
        BuildError::new("event_field: there is no key behind the name").help("write name $key")
    })?;
    Ok((name, marked(EVENT_FIELD.name(), &key)?))
}

fn client(label: Label, options: &Options, build: &Build<'_>) -> Result<HttpClient, BuildError> {
    let mut headers = HeaderMap::new();
    match (options.get(http_client::HTTP_USER), options.get(SPLUNK_TOKEN)) {
        (Some(_), _) => {}
        (None, Some(token)) => {
            headers.insert(AUTHORIZATION, http_client::authorization("Splunk", token)?);
        }
        (None, None) => {
            return Err(BuildError::new("neither splunk_token nor http_user is given")
                .help("add Splunk_Token, the token of the HTTP Event Collector"));
        }
    }
    if let Some(channel) = options.get(CHANNEL) {
        let value = HeaderValue::from_str(channel)
            .map_err(|error| BuildError::new(format!("channel: {error}")))?;
        headers.insert(CHANNEL_HEADER, value);
    }
    let path = match options.get(AUTO_EXTRACT_TIMESTAMP) {
        true => format!("{PATH}?auto_extract_timestamp=true"),
        false => PATH.to_owned(),
    };
    let (host, port) = (options.get(HOST), port(options.get(PORT), 1)?);
    let endpoint = Endpoint {
        host,
        port,
        method: Method::POST,
        path: &path,
        headers,
        packing: options.get(http_client::GZIP).into(),
        protocol: Protocol::Http1,
        tokens: None,
    };
    HttpClient::of(label, endpoint, options, build)
}

struct Splunk(Arc<Sender>);

struct Sender {
    poster: Poster,
    /// Records are what is posted, with nothing around them.
    is_raw: bool,
    /// Events have their time.
    is_timed: bool,
    /// What of a record is its event, if not all.
    event: Option<Accessor>,
    host: Option<Template>,
    source: Option<Template>,
    sourcetype: Chosen,
    index: Chosen,
    fields: Vec<(String, Accessor)>,
    json: JsonOptions,
    label: Label,
    unprintable: Mishaps,
}

/// What a record says at a key, or else this text.
struct Chosen {
    key: Option<Accessor>,
    text: Option<String>,
}

impl Chosen {
    fn of(&self, body: &[u8]) -> Option<Vec<u8>> {
        let said = self.key.as_ref().and_then(|key| text_at(key, body));
        said.or_else(|| self.text.as_ref().map(|text| text.as_bytes().to_vec()))
    }
}

/// A value of a record as text, unless that is empty.
fn text_at(key: &Accessor, body: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    write_text(key.find(body)?, &mut text);
    (!text.is_empty()).then_some(text)
}

impl Output for Splunk {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let (sender, records) = (Arc::clone(&self.0), chunk.clone());
            let body = move || {
                let (body, left_out) = sender.body(&records);
                (sender.poster.packed(body), left_out)
            };
            let (body, left_out) = match tokio::task::spawn_blocking(body).await {
                Ok(made) => made,
                Err(error) => return Flush::Fail(OutputError(error.to_string())),
            };
            let sender = &self.0;
            match sender.poster.post(body, None).await {
                Fate::Taken => Flush::but(left_out),
                Fate::Later(fate) | Fate::Away(fate) => fate,
                Fate::Refused(refusal) => {
                    sender.poster.count(&refusal, chunk.len());
                    Flush::Fail(OutputError(format!("{} {refusal}", sender.label)))
                }
            }
        })
    }
}

impl Sender {
    /// The request's body, and how many records are not in it.
    fn body(&self, chunk: &Chunk) -> (Vec<u8>, usize) {
        let (mut out, mut left_out) = (Vec::with_capacity(chunk.bytes().len() * 2), 0);
        let mut printer = Printer::new(self.json);
        for event in chunk.records() {
            let start = out.len();
            if let Err(error) = self.write(chunk.tag(), event, &mut printer, &mut out) {
                out.truncate(start);
                left_out += 1;
                self.unprintable.left_out(&self.label, &error);
            }
        }
        (out, left_out)
    }

    /// Appends a record. After an error `out` may have a part of it.
    fn write(
        &self,
        tag: &Tag,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        if !self.is_raw {
            out.push(b'{');
            if self.is_timed {
                write_time(event.time, printer, out);
            }
            let scene = Scene { tag, body: event.body, captures: &[] };
            self.write_metadata(&scene, printer, out)?;
            out.extend_from_slice(b"\"event\":");
        }
        match self.event.as_ref().and_then(|key| text_at(key, event.body)) {
            Some(text) => quote(&text, printer, out),
            None => printer.print(event.body, out)?,
        }
        out.push(if self.is_raw { b'\n' } else { b'}' });
        Ok(())
    }

    /// Appends what Splunk is told of an event.
    fn write_metadata(
        &self,
        scene: &Scene<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        let filled = |template: &Option<Template>| {
            let mut text = Vec::new();
            template.as_ref()?.write(scene, &mut text);
            (!text.is_empty()).then_some(text)
        };
        for (name, value) in [
            ("host", filled(&self.host)),
            ("source", filled(&self.source)),
            ("sourcetype", self.sourcetype.of(scene.body)),
            ("index", self.index.of(scene.body)),
        ] {
            let Some(value) = value else { continue };
            name_of(name, printer, out);
            quote(&value, printer, out);
            out.push(b',');
        }
        if self.fields.is_empty() {
            return Ok(());
        }
        out.extend_from_slice(b"\"fields\":{");
        for (name, key) in &self.fields {
            let Some(value) = key.find(scene.body) else { continue };
            name_of(name, printer, out);
            printer.print(value, out)?;
            out.push(b',');
        }
        if out.ends_with(b",") {
            out.pop();
        }
        out.extend_from_slice(b"},");
        Ok(())
    }
}

fn name_of(name: &str, printer: &mut Printer, out: &mut Vec<u8>) {
    quote(name.as_bytes(), printer, out);
    out.push(b':');
}

fn write_time(time: Timestamp, printer: &mut Printer, out: &mut Vec<u8>) {
    let mut seconds = Vec::new();
    msgpack::write_float(&mut seconds, f64::from(time.sec) + f64::from(time.nsec) / 1e9);
    out.extend_from_slice(b"\"time\":");
    printer.print(&seconds, out).expect("a number has just been encoded");
    out.push(b',');
}
