//! The ways to speak OTLP: over HTTP in protocol buffers or JSON, and over gRPC. How a request's message is packed, and how
//! good and bad answers look.

use std::convert::Infallible;
use std::fmt::Write as _;

use flb_event::json::{self, JsonOptions};
use flb_event::msgpack;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::shared::encodings::{Encoding, PackedError};
use crate::shared::requests::{Untaken, Wrong};
use flb_net::otlp::{Format, OtlpError, wire};
use flb_plugin::log::excerpt;

/// The body of an answer.
pub(super) type Answer = UnsyncBoxBody<Bytes, Infallible>;

const GRPC: &str = "application/grpc";

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Logs,
    Traces,
}

impl Signal {
    /// The one that a path stands for.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/logs" | "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
                Some(Self::Logs)
            }
            "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
                Some(Self::Traces)
            }
            _ => None,
        }
    }

    /// The tag that tells it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Logs => "v1_logs",
            Self::Traces => "v1_traces",
        }
    }
}

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Http(Format),
    Grpc,
}

impl Dialect {
    /// What the content type says.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let name = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?;
        match name.trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Http(Format::Protobuf)),
            "application/json" => Some(Self::Http(Format::Json)),
            GRPC | "application/grpc+proto" => Some(Self::Grpc),
            _ => None,
        }
    }

    pub(super) fn format(self) -> Format {
        match self {
            Self::Http(format) => format,
            Self::Grpc => Format::Protobuf,
        }
    }

    /// How the message is compressed, or may be.
    pub(super) fn encoding(self, headers: &HeaderMap) -> Result<Encoding, Refusal> {
        let header = match self {
            Self::Http(_) => headers.get(CONTENT_ENCODING),
            Self::Grpc => headers.get("grpc-encoding"),
        };
        let name = header.map_or("", |value| value.to_str().unwrap_or("?"));
        Encoding::named(name).ok_or_else(|| {
            let text = format!("encoding '{name}' is not known: use gzip, zstd or snappy");
            Refusal::unsupported(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
        })
    }

    /// The message in a body, unpacked.
    pub(super) fn message(
        self,
        body: Vec<u8>,
        encoding: Encoding,
        limit: usize,
    ) -> Result<Vec<u8>, Refusal> {
        if self != Self::Grpc {
            return Ok(encoding.unpack(body, limit)?);
        }
        // Whether it is compressed, its length, and the message: one, as the call takes one.
        let cut = || Refusal::bad("one whole gRPC message is expected");
        let (&[is_packed, a, b, c, d], message) = body.split_first_chunk().ok_or_else(cut)?;
        if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
            return Err(cut());
        }
        match is_packed {
            0 => Ok(message.to_vec()),
            1 => Ok(encoding.unpack(message.to_vec(), limit)?),
            _ => Err(cut()),
        }
    }
}

/// What went wrong, as OTLP tells it: in a message that it shares with gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// An answer that is not the good one.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Code,
    pub(super) wrong: Wrong,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn bad(text: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::BAD_REQUEST, Code::InvalidArgument);
        Self { status, code, wrong: Wrong::Request, text: text.into() }
    }

    pub(super) fn too_large(text: String) -> Self {
        let (status, code) = (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted);
        Self { status, code, wrong: Wrong::TooLong, text }
    }

    /// What another server may take, and this one never will.
    fn unsupported(status: StatusCode, text: String) -> Self {
        Self { status, code: Code::Unimplemented, wrong: Wrong::Request, text }
    }

    pub(super) fn unknown_type() -> Self {
        let text = "the content type is none of OTLP: application/x-protobuf, application/json, \
                    application/grpc";
        Self::unsupported(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned())
    }

    /// The answer to a path that takes nothing.
    pub(super) fn nothing_there(path: &str) -> Self {
        let path = excerpt(path.as_bytes());
        let text = format!("nothing is taken at {path}: send logs only, to /v1/logs or by gRPC");
        Self { wrong: Wrong::Signal, ..Self::unsupported(StatusCode::NOT_FOUND, text) }
    }
}

impl From<Untaken> for Refusal {
    fn from(why: Untaken) -> Self {
        let (status, wrong) = why.status();
        let code = match why {
            Untaken::TooLong(_) => Code::ResourceExhausted,
            Untaken::Stalled(_) => Code::DeadlineExceeded,
            Untaken::Broken(_) => Code::InvalidArgument,
            Untaken::Stopping | Untaken::Full => Code::Unavailable,
        };
        Self { status, code, wrong, text: why.to_string() }
    }
}

impl From<PackedError> for Refusal {
    fn from(error: PackedError) -> Self {
        match error {
            PackedError::Bomb(limit) => Untaken::TooLong(limit).into(),
            PackedError::Damaged(..) => Self::bad(error.to_string()),
        }
    }
}

impl From<OtlpError> for Refusal {
    fn from(error: OtlpError) -> Self {
        match error {
            OtlpError::TooMuch(_) => Self::too_large(error.to_string()),
            _ => Self::bad(format!("the request cannot be read: {error}")),
        }
    }
}

/// The answer when all is taken: a message that says nothing.
pub(super) fn good(dialect: Option<Dialect>, status: StatusCode) -> Response<Answer> {
    match dialect {
        Some(Dialect::Grpc) => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let empty = Full::new(Bytes::from_static(&[0; 5]));
            let body = empty.with_trailers(std::future::ready(Some(Ok(trailers))));
            answer(StatusCode::OK, GRPC, body.boxed_unsync())
        }
        Some(Dialect::Http(Format::Json)) if status != StatusCode::NO_CONTENT => {
            answer(status, "application/json", whole("{}"))
        }
        _ => answer(status, "application/x-protobuf", whole("")),
    }
}

/// The answer with a reason, in the client's own way to speak.
pub(super) fn refused(dialect: Option<Dialect>, refusal: &Refusal) -> Response<Answer> {
    let Refusal { status, code, text, .. } = refusal;
    let mut answer = match dialect {
        Some(Dialect::Grpc) => {
            let mut answer = answer(StatusCode::OK, GRPC, whole(""));
            let headers = answer.headers_mut();
            headers.insert("grpc-status", HeaderValue::from(*code as u16));
            if let Ok(text) = HeaderValue::from_str(&percent_encoded(text)) {
                headers.insert("grpc-message", text);
            }
            answer
        }
        Some(Dialect::Http(Format::Protobuf)) => {
            answer(*status, "application/x-protobuf", whole(status_message(*code, text)))
        }
        Some(Dialect::Http(Format::Json)) | None => {
            answer(*status, "application/json", whole(json_status(*code, text)))
        }
    };
    if *code == Code::Unavailable {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// `google.rpc.Status`
fn status_message(code: Code, text: &str) -> Vec<u8> {
    let mut status = Vec::new();
    wire::write_number(&mut status, 1, code as u64);
    wire::write_bytes(&mut status, 2, text.as_bytes());
    status
}

/// The same in JSON.
fn json_status(code: Code, text: &str) -> Vec<u8> {
    let (mut status, mut told) = (Vec::new(), Vec::new());
    msgpack::write_map_header(&mut status, 2);
    msgpack::write_str(&mut status, "code");
    msgpack::write_uint(&mut status, code as u64);
    msgpack::write_str(&mut status, "message");
    msgpack::write_str(&mut status, text);
    // It has just been written.
    let _ = json::write(&status, &mut told, JsonOptions { escape_unicode: false });
    told
}

fn whole(body: impl Into<Bytes>) -> Answer {
    Full::new(body.into()).boxed_unsync()
}

fn answer(status: StatusCode, content_type: &'static str, body: Answer) -> Response<Answer> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A text as gRPC puts it into a header.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                // Writing to a text cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}
