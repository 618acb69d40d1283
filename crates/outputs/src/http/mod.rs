//! `http`: posts chunks to a server.

mod each;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flb_event::{Chunk, Event};
use flb_plugin::keys::{Bool, Choice, Key, Text, Word};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Secrecy, Spec, Table, keys,
};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};

use super::gelf_message::{self, Gelf};
use super::json::{self, RecordJson};
use super::layout::Layout;
use each::Each;
use flb_net::aws::{self, Signer};
use flb_net::http_client::{self, HttpClient};
use flb_net::{oauth2, tls};
use flb_plugin::log::{Label, Mishaps};

pub(super) const SPEC: Spec<dyn Output> =
    Spec { name: "http", about: "Post records to an HTTP server", options: OPTIONS, build };

keys! {
    const OWN;
    URI: Text = Key::new("uri", "Path to post to").default("/").hiding(Secrecy::Address);
    FORMAT: Choice<FormatName> = Key::new("format", "How records look").default("json");
    HTTP_METHOD: Choice<HttpMethod> = Key::new("http_method", "Method").default("POST");
    BODY_KEY: Option<Text> =
        Key::new("body_key", "Key of a record with the body of a request of its own: $body");
    HEADERS_KEY: Option<Text> =
        Key::new("headers_key", "Key of a record with the headers of that: $headers");
    HEADER_TAG: Option<Text> = Key::new("header_tag", "Name of a header for the tag");
    ALLOW_DUPLICATED_HEADERS: Option<Bool> =
        Key::new("allow_duplicated_headers", "").idle("the last one counts");
}

const OPTIONS: Table = Table(&[
    OWN,
    json::KEYS,
    gelf_message::KEYS,
    http_client::SERVER_KEYS,
    http_client::KEYS,
    http_client::PACKING_KEYS,
    oauth2::KEYS,
    aws::AUTH_KEYS,
    aws::SERVICE_KEYS,
    tls::KEYS,
    tls::CLIENT,
]);

/// How records look, by its name.
#[derive(Debug, Clone, Copy)]
enum FormatName {
    Json,
    JsonStream,
    JsonLines,
    Gelf,
    Msgpack,
}

impl Word for FormatName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("json_stream", Self::JsonStream),
        ("json_lines", Self::JsonLines),
        ("gelf", Self::Gelf),
        ("msgpack", Self::Msgpack),
    ];
}

/// How a request is made.
#[derive(Debug, Clone, Copy)]
enum HttpMethod {
    Post,
    Put,
}

impl Word for HttpMethod {
    const ALL: &'static [(&'static str, Self)] = &[("POST", Self::Post), ("PUT", Self::Put)];
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(http(options, build)?))
}

fn http(options: &Options, build: &Build<'_>) -> Result<Http, BuildError> {
    let label = Label::output("http", build);
    let method = match options.get(HTTP_METHOD) {
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
    };
    let path = options.get(URI);
    let tag_header = options.get(HEADER_TAG).map(|name| {
        name.parse()
            .map_err(|_| BuildError::new(format!("header_tag '{name}' is not a header name")))
    });
    Ok(Http(Arc::new(Poster {
        client: HttpClient::new(label.clone(), method, path, options, build)?
            .signed_by(Signer::of_options(options, options.get(aws::AWS_SERVICE), build)?)?,
        format: match options.get(FORMAT) {
            FormatName::Json => Format::Json(Layout::Array),
            FormatName::JsonStream => Format::Json(Layout::Stream),
            FormatName::JsonLines => Format::Json(Layout::Lines),
            FormatName::Gelf => Format::Gelf(Gelf::new(options)),
            FormatName::Msgpack => Format::Msgpack,
        },
        json: RecordJson::new(options, build),
        each: Each::new(options.get(BODY_KEY), options.get(HEADERS_KEY))?,
        tag_header: tag_header.transpose()?,
        label,
        unprintable: Mishaps::default(),
    })))
}

/// How records look.
#[derive(Debug)]
enum Format {
    /// Objects.
    Json(Layout),
    /// A message for Graylog a line.
    Gelf(Gelf),
    /// The chunk's bytes.
    Msgpack,
}

impl Format {
    fn content_type(&self) -> &'static str {
        match self {
            Self::Json(Layout::Array) | Self::Gelf(_) => "application/json",
            Self::Json(Layout::Stream | Layout::Lines) => "application/x-ndjson",
            Self::Msgpack => "application/msgpack",
        }
    }
}

struct Http(Arc<Poster>);

struct Poster {
    client: HttpClient,
    format: Format,
    json: RecordJson,
    /// Where each record is a request.
    each: Option<Each>,
    tag_header: Option<HeaderName>,
    label: Label,
    unprintable: Mishaps,
}

impl Output for Http {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            if let Some(each) = &self.0.each {
                return each.send(&self.0, chunk).await;
            }
            let (poster, records) = (Arc::clone(&self.0), chunk.clone());
            let body = move || {
                let (body, left_out) = poster.body(&records);
                (poster.client.packed(body), left_out)
            };
            let (body, left_out) = match tokio::task::spawn_blocking(body).await {
                Ok(made) => made,
                Err(error) => return Flush::Fail(OutputError(error.to_string())),
            };
            let poster = &self.0;
            match poster.client.send(body, poster.format.content_type(), poster.tag(chunk)).await {
                Ok(_) => Flush::but(left_out),
                Err(fate) => fate,
            }
        })
    }
}

impl Poster {
    /// The header with the chunk's tag, if there shall be one.
    fn tag(&self, chunk: &Chunk) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_str(chunk.tag().as_str()).ok()?;
        Some((self.tag_header.clone()?, value))
    }

    /// The request's body, and how many records are not in it.
    fn body(&self, chunk: &Chunk) -> (Vec<u8>, usize) {
        let layout = match &self.format {
            Format::Msgpack => return (chunk.bytes().to_vec(), 0),
            Format::Json(layout) => *layout,
            Format::Gelf(_) => Layout::Lines,
        };
        let (mut printer, mut left_out) = (self.json.printer(), 0);
        let mut out = Vec::with_capacity(chunk.bytes().len() * 2);
        let write = |event: Event<'_>, out: &mut Vec<u8>| match &self.format {
            Format::Gelf(gelf) => gelf.write(event, &mut printer, out),
            _ => self.json.write(event, &mut printer, out),
        };
        layout.write(chunk, &mut out, write, |_, error| {
            left_out += 1;
            self.unprintable.left_out(&self.label, &error);
        });
        (out, left_out)
    }
}
