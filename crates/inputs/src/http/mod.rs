//! `http`: records from clients that post JSON.
//!
//! A request is answered when the pipeline has taken its records: all of them or, with an error, none.

mod body;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flb_event::msgpack::{self, Reader};
use flb_event::{Accessor, ChunkBuilder, Event, Tag};
use flb_plugin::keys::{Bool, Choice, Key, Many, Options, Size, Table, Text, Word};
use flb_plugin::{Build, BuildError, Context, Input, Secrecy, Spec, keys};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;

use super::shared::served::{self, Served};
use crate::shared::complaints::{Complaint, Complaints};
use body::{BodyError, ContentType};
use flb_event::msgpack::map;
use flb_net::buffer::Budget;
use flb_net::listener::{self, Listener};
use flb_net::places::Place;
use flb_net::server::{self, Server};
use flb_net::stream::{Client, Left, Peer, within};
use flb_net::tls;
use flb_plugin::log::{Label, name_only};

pub(super) const SPEC: Spec<dyn Input> =
    Spec { name: "http", about: "Take records that clients post as JSON", options: OPTIONS, build };

keys! {
    const OWN;
    BUFFER_MAX_SIZE: Size =
        Key::new("buffer_max_size", "Longest body, also decompressed").default("4M");
    BUFFER_CHUNK_SIZE: Option<Size> =
        Key::new("buffer_chunk_size", "").idle("memory is taken for what has come");
    PORT: Text = listener::port_key("9880");
    SUCCESSFUL_RESPONSE_CODE: Choice<Success> = Key::new(
        "successful_response_code",
        "Status of the answer when all is taken",
    )
    .default("201");
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
    HTTP2: Option<Bool> = Key::new("http2", "").idle("HTTP/1.1 is spoken");
}

const OPTIONS: Table = Table(&[OWN, listener::KEYS, server::KEYS, tls::KEYS, tls::SERVER]);

/// The status of an answer when all is taken.
#[derive(Debug, Clone, Copy)]
struct Success(StatusCode);

impl Word for Success {
    const ALL: &'static [(&'static str, Self)] = &[
        ("200", Self(StatusCode::OK)),
        ("201", Self(StatusCode::CREATED)),
        ("204", Self(StatusCode::NO_CONTENT)),
    ];
}

/// How long a request that has begun may go on when the input shall stop.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// What is read of a connection at once; a request's head must fit.
const READ: usize = 64 * 1024;
/// A batch over this size is handed on before the rest of its request.
const BATCH: usize = 1_000_000;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(http(options, build)?))
}

fn http(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let label = Label::input("http", build);
    let limit = usize::try_from(options.get(BUFFER_MAX_SIZE));
    let limit = limit.unwrap_or(usize::MAX).clamp(1024, 1 << 30);
    let Success(status) = options.get(SUCCESSFUL_RESPONSE_CODE);
    let headers = options.get(SUCCESS_HEADER).into_iter().map(header).collect::<Result<_, _>>()?;
    let tag_key = options.get(TAG_KEY).map(accessor).transpose()?;
    let address_key = options.get(ADD_REMOTE_ADDR).then(|| {
        let mut key = Vec::new();
        msgpack::write_str(&mut key, options.get(REMOTE_ADDR_KEY));
        key
    });
    let listener = Listener::tcp(options, PORT, build.service)?;
    let server = Server::new(listener, &label, options, build)?;
    let clients = Clients {
        tag: build.tag.clone(),
        limit,
        status,
        headers,
        tag_key,
        address_key,
        answers_health: options.get(ENABLE_HEALTH_ENDPOINT),
        patience: server.patience,
        budget: Budget::new(2 * limit),
        turn: Mutex::new(()),
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

/// What a client can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Request,
    TooLong,
    Stalled,
    Tag,
    NotTaken,
    Connection,
}

impl Complaint for Wrong {
    const ALL: &'static [Self] =
        &[Self::Request, Self::TooLong, Self::Stalled, Self::Tag, Self::NotTaken, Self::Connection];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Request => "a request is refused",
            Self::TooLong => "a request is above buffer_max_size and refused",
            Self::Stalled => "a request stood still and is given up",
            Self::Tag => "a tag is too long, the default is used",
            Self::NotTaken => "the pipeline is full, a request is refused",
            Self::Connection => "the connection broke off",
        }
    }
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

    fn too_long(limit: usize) -> Self {
        let text = format!("the body is longer than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Wrong::TooLong, text)
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Bomb(limit) => Self::too_long(limit),
            BodyError::Empty => Self::bad(error.to_string()),
            _ => Self::bad(format!("unable to process records: {error}")),
        }
    }
}

/// Completes when a request that is not whole by now holds up a stop.
async fn overdue(context: &dyn Context) {
    context.stopped().await;
    context.sleep(LAST_MOMENT).await;
}

/// What all connections have in common.
struct Clients {
    tag: Tag,
    /// Longest body.
    limit: usize,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    tag_key: Option<Accessor>,
    /// Where the client's address goes, encoded.
    address_key: Option<Vec<u8>>,
    answers_health: bool,
    patience: std::time::Duration,
    budget: Budget,
    /// Held while a body is taken apart, so that there is only one such body in memory.
    turn: Mutex<()>,
    complaints: Complaints<Wrong>,
}

impl served::Clients for Clients {
    type Wrong = Wrong;

    async fn serve(&self, client: Client, context: &dyn Context) -> Option<Left> {
        let Client { stream, peer, place, .. } = client;
        let (is_answering, peer, place) = (&AtomicBool::new(false), &peer, &*place);
        let service = hyper::service::service_fn(|request| async move {
            is_answering.store(true, Ordering::Relaxed);
            let answer = self.answer(request, peer, place, context).await;
            place.done(context.now().sec);
            is_answering.store(false, Ordering::Relaxed);
            answer
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.patience).max_buf_size(READ);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut stopping = false;
        let last = || context.sleep(LAST_MOMENT);
        let ended = loop {
            tokio::select! {
                () = context.stopped(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                ended = connection.as_mut() => break ended,
                // A request that has not come by now does not hold up a stop.
                () = last(), if stopping && !is_answering.load(Ordering::Relaxed) => return None,
            }
        };
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
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        if self.answers_health
            && request.method() == Method::GET
            && request.uri().path() == "/health"
        {
            let text = format!("{{\"status\":\"ok\",\"timestamp\":{}}}\n", context.now().sec);
            let mut answer = Response::new(Full::new(text.into()));
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, json);
            return Ok(answer);
        }
        let mut answer = Response::new(Full::default());
        match self.take(request, peer, place, context).await {
            Ok(()) => {
                *answer.status_mut() = self.status;
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
        Ok(answer)
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
        let is_gzip = is_gzip(&head.headers)?;
        let (body, _held) = tokio::select! {
            biased;
            read = self.read(&head.headers, incoming, context) => read?,
            () = overdue(context) => return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Wrong::Stalled,
                "the input is stopping, try again",
            )),
        };
        place.begin();
        let full = || {
            let text = "the pipeline is full, try again later";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Wrong::NotTaken, text)
        };
        let turn = within(context, self.patience, async { Ok(self.turn.lock().await) });
        let _turn = turn.await.map_err(|_| full())?;
        let body = if is_gzip { body::gunzip(&body, self.limit)? } else { body };
        let records = body::records(kind, &body)?;
        let mut entries = Vec::new();
        if let Some(key) = &self.address_key {
            entries.extend_from_slice(key);
            msgpack::write_str(&mut entries, client_address(&head.headers, peer));
        }
        let tag = self.path_tag(head.uri.path())?;
        self.emit(&records, &entries, &tag, peer, context).await.map_err(|_| full())
    }

    /// Reads a body, with the memory that it takes: that of what has come, whatever is announced.
    async fn read(
        &self,
        headers: &HeaderMap,
        mut incoming: Incoming,
        context: &dyn Context,
    ) -> Result<(Vec<u8>, impl Sized), Refusal> {
        let length =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > self.limit) {
            return Err(Refusal::too_long(self.limit));
        }
        let stalled = |error: std::io::Error| {
            Refusal::new(StatusCode::REQUEST_TIMEOUT, Wrong::Stalled, error.to_string())
        };
        let mut held = None;
        let mut body = Vec::new();
        loop {
            let frame = within(context, self.patience, async { Ok(incoming.frame().await) });
            let Some(frame) = frame.await.map_err(stalled)? else { return Ok((body, held)) };
            let frame = frame.map_err(|error| Refusal::bad(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if body.len() + data.len() > self.limit {
                return Err(Refusal::too_long(self.limit));
            }
            // A body that grows takes up to twice its length.
            let size = 2 * (body.len() + data.len());
            let more = self.budget.hold(&mut held, size, context, self.patience);
            more.await.map_err(stalled)?;
            body.extend_from_slice(&data);
        }
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

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(false) };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => Ok(true),
        "identity" | "" => Ok(false),
        other => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Wrong::Request,
            format!("content encoding '{other}' is not known: use gzip"),
        )),
    }
}

/// The address that a proxy tells, or else that of the other end.
fn client_address(headers: &HeaderMap, peer: &Peer) -> String {
    let told = headers.get_all("x-forwarded-for").iter().next_back();
    let told = told.and_then(|value| value.to_str().ok()?.split(',').next());
    match (told.map(str::trim).filter(|told| !told.is_empty()), peer) {
        (Some(told), _) => told.to_owned(),
        (None, Peer::Tcp(address)) => address.ip().to_string(),
        (None, Peer::Unix) => peer.to_string(),
    }
}
