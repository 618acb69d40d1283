//! `http`: records from clients that post JSON.
//!
//! A request is answered when the pipeline has taken its records: all of them or, with an error, none.

mod body;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use flb_event::msgpack::{self, Reader};
use flb_event::{Accessor, ChunkBuilder, Event, Tag};
use flb_plugin::keys::{Bool, Key, Many, Options, Table, Text};
use flb_plugin::{Build, BuildError, Context, Input, Secrecy, Spec, keys};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::shared::served::{self, Served};
use crate::shared::complaints::Complaints;
use crate::shared::encodings::{Encoding, PackedError};
use crate::shared::requests::{self, Intake, Untaken, Wrong};
use body::{BodyError, ContentType};
use flb_event::msgpack::map;
use flb_net::listener::{self, Listener};
use flb_net::places::Place;
use flb_net::server::{self, Server};
use flb_net::stream::{Client, Left, Peer};
use flb_net::tls;
use flb_plugin::log::{Label, name_only};

pub(super) const SPEC: Spec<dyn Input> =
    Spec { name: "http", about: "Take records that clients post as JSON", options: OPTIONS, build };

keys! {
    const OWN;
    PORT: Text = listener::port_key("9880");
    SUCCESS_HEADER: Many<Text> = Key::new(
        "success_header",
        "Name and value of a header of that answer",
    )
    .repeated()
    .hiding(Secrecy::Named);
    TAG_KEY: Option<Text> = Key::new("tag_key", "Key whose value is the record's tag");
    ADD_REMOTE_ADDR: Bool = Key::new("add_remote_addr", "Add the client's address").default("off");
    REMOTE_ADDR_KEY: Text =
        Key::new("remote_addr_key", "Key of that address").default("REMOTE_ADDR");
    ENABLE_HEALTH_ENDPOINT: Bool =
        Key::new("enable_health_endpoint", "Answer GET /health").default("off");
}

const OPTIONS: Table =
    Table(&[OWN, requests::KEYS, listener::KEYS, server::KEYS, tls::KEYS, tls::SERVER]);

/// A batch over this size is handed on before the rest of its request.
const BATCH: usize = 1_000_000;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(http(options, build)?))
}

fn http(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let label = Label::input("http", build);
    let headers = options.get(SUCCESS_HEADER).into_iter().map(header).collect::<Result<_, _>>()?;
    let tag_key = options.get(TAG_KEY).map(accessor).transpose()?;
    let address_key = options.get(ADD_REMOTE_ADDR).then(|| {
        let mut key = Vec::new();
        msgpack::write_str(&mut key, options.get(REMOTE_ADDR_KEY));
        key
    });
    let listener = Listener::tcp(options, PORT, build.service)?;
    let server = Server::new(listener, &label, options, build)?;
    let (server, intake) = Intake::new(server, options);
    let clients = Clients {
        tag: build.tag.clone(),
        headers,
        tag_key,
        address_key,
        answers_health: options.get(ENABLE_HEALTH_ENDPOINT),
        intake,
        complaints: Complaints::new(label),
    };
    Ok(Served { server, clients })
}

/// `Name value`
fn header(text: &str) -> Result<(HeaderName, HeaderValue), BuildError> {
    let parts = text.split_once(char::is_whitespace);
    let read = parts.and_then(|(name, value)| {
        Some((name.parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
    });
    read.ok_or_else(|| {
        BuildError::new(format!("success_header{}: it is not a header", name_only(text)))
            .help("write: success_header Name value")
    })
}

fn accessor(text: &str) -> Result<Accessor, BuildError> {
    if !text.starts_with('$') {
        return Ok(Accessor::of_key(text));
    }
    Accessor::parse(text)
        .map_err(|error| BuildError::new(format!("tag_key: {error}")).help(error.hint()))
}

/// An answer that is not the good one.
struct Refusal {
    status: StatusCode,
    wrong: Wrong,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, wrong: Wrong, text: impl Into<String>) -> Self {
        Self { status, wrong, text: text.into() }
    }

    fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Wrong::Request, text)
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Empty => Self::bad(error.to_string()),
            _ => Self::bad(format!("unable to process records: {error}")),
        }
    }
}

impl From<PackedError> for Refusal {
    fn from(error: PackedError) -> Self {
        match error {
            PackedError::Bomb(limit) => Untaken::TooLong(limit).into(),
            PackedError::Damaged(..) => Self::bad(format!("unable to process records: {error}")),
        }
    }
}

impl From<Untaken> for Refusal {
    fn from(why: Untaken) -> Self {
        let (status, wrong) = why.status();
        Self::new(status, wrong, why.to_string())
    }
}

/// What all connections have in common.
struct Clients {
    tag: Tag,
    headers: Vec<(HeaderName, HeaderValue)>,
    tag_key: Option<Accessor>,
    /// Where the client's address goes, encoded.
    address_key: Option<Vec<u8>>,
    answers_health: bool,
    intake: Intake,
    complaints: Complaints<Wrong>,
}

impl served::Clients for Clients {
    type Wrong = Wrong;

    async fn serve(&self, client: Client, context: &dyn Context) -> Option<Left> {
        let Client { stream, peer, place, .. } = client;
        let (peer, place) = (&peer, &*place);
        let answer = |request| self.answer(request, peer, place, context);
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
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        place: &Place,
        context: &dyn Context,
    ) -> Response<Full<Bytes>> {
        if self.answers_health
            && request.method() == Method::GET
            && request.uri().path() == "/health"
        {
            let text = format!("{{\"status\":\"ok\",\"timestamp\":{}}}\n", context.now().sec);
            let mut answer = Response::new(Full::new(text.into()));
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, json);
            return answer;
        }
        let mut answer = Response::new(Full::default());
        match self.take(request, peer, place, context).await {
            Ok(()) => {
                *answer.status_mut() = self.intake.success;
                for (name, value) in &self.headers {
                    answer.headers_mut().append(name, value.clone());
                }
            }
            Err(Refusal { status, wrong, text }) => {
                self.complaints.add(wrong, peer, &text);
                *answer.status_mut() = status;
                *answer.body_mut() = Full::new(format!("error: {text}\n").into());
            }
        }
        answer
    }

    async fn take(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        place: &Place,
        context: &dyn Context,
    ) -> Result<(), Refusal> {
        let (head, incoming) = request.into_parts();
        if head.method != Method::POST {
            return Err(Refusal::bad("invalid HTTP method"));
        }
        let kind = content_type(&head.headers)?;
        let encoding = encoding(&head.headers)?;
        let (body, _held) = self.intake.read(&head.headers, incoming, context).await?;
        place.begin();
        let _turn = self.intake.turn(context, self.intake.patience).await?;
        let body = encoding.unpack(body, self.intake.limit)?;
        let records = body::records(kind, &body)?;
        let mut entries = Vec::new();
        if let Some(key) = &self.address_key {
            entries.extend_from_slice(key);
            msgpack::write_str(&mut entries, client_address(&head.headers, peer));
        }
        let tag = self.path_tag(head.uri.path())?;
        let taken = self.emit(&records, &entries, &tag, peer, context).await;
        taken.map_err(|_| Untaken::Full.into())
    }

    /// The tag that the path says: its text, with `_` for what no tag should have.
    fn path_tag(&self, path: &str) -> Result<Tag, Refusal> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(self.tag.clone());
        }
        let tidy = |letter: char| match letter {
            letter if letter.is_ascii_alphanumeric() => letter,
            '_' | '.' => letter,
            _ => '_',
        };
        let tag: String = path.chars().map(tidy).collect();
        Tag::new(&tag).map_err(|error| Refusal::bad(error.to_string()))
    }

    async fn emit(
        &self,
        records: &[u8],
        entries: &[u8],
        path_tag: &Tag,
        peer: &Peer,
        context: &dyn Context,
    ) -> Result<(), flb_plugin::Closed> {
        let now = context.now();
        let mut batch = ChunkBuilder::new(path_tag.clone());
        let mut reader = Reader::new(records);
        while let Ok(body) = reader.skip() {
            let tag = self.record_tag(body, path_tag, peer);
            if batch.size() >= BATCH || *batch.tag() != tag {
                let full = std::mem::replace(&mut batch, ChunkBuilder::new(tag));
                if !full.is_empty() {
                    context.emit(full.build()).await?;
                }
            }
            let pushed = batch.push_with(now, Event::NO_METADATA, |out| {
                let start = out.len();
                out.extend_from_slice(body);
                if !entries.is_empty() {
                    map::append(out, start, 1, entries);
                }
                Ok::<(), flb_event::RecordTooLarge>(())
            });
            if let Err(error) = pushed {
                self.complaints.add(Wrong::TooLong, peer, error);
            }
        }
        if batch.is_empty() { Ok(()) } else { context.emit(batch.build()).await }
    }

    /// The record's own tag, if it has one.
    fn record_tag(&self, body: &[u8], path_tag: &Tag, peer: &Peer) -> Tag {
        let own = self.tag_key.as_ref().and_then(|key| key.find_str(body));
        let Some(own) = own.filter(|own| !own.is_empty()) else { return path_tag.clone() };
        Tag::new(&String::from_utf8_lossy(own)).unwrap_or_else(|error| {
            self.complaints.add(Wrong::Tag, peer, error);
            path_tag.clone()
        })
    }
}

fn content_type(headers: &HeaderMap) -> Result<ContentType, Refusal> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(Refusal::bad("header 'Content-Type' is not set"));
    };
    value
        .to_str()
        .ok()
        .and_then(ContentType::named)
        .ok_or_else(|| Refusal::bad("invalid 'Content-Type'"))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let name = headers.get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?"));
    Encoding::named(name).ok_or_else(|| {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Wrong::Request,
            format!("content encoding '{name}' is not known: use gzip, zstd or snappy"),
        )
    })
}

/// The address that a proxy tells, or else that of the other end.
fn client_address(headers: &HeaderMap, peer: &Peer) -> String {
    let told = headers.get_all("x-forwarded-for").iter().next_back();
    let told = told.and_then(|value| value.to_str().ok()?.split(',').next());
    match (told.map(str::trim).filter(|told| !told.is_empty()), peer) {
        (Some(told), _) => told.to_owned(),
        (None, Peer::Tcp(address) | Peer::Udp(address)) => address.ip().to_string(),
        (None, Peer::Unix) => peer.to_string(),
    }
}
