//! A request of each record: one of its keys has the body, another one the headers.

use flb_event::msgpack::{self, Reader, Value};
use flb_event::{Accessor, Chunk};
use flb_plugin::{BuildError, Flush};
use reqwest::header::{HeaderName, HeaderValue};

use super::Poster;
use crate::accessors::marked;

/// Where a record has its request.
#[derive(Debug)]
pub(super) struct Each {
    body: Accessor,
    headers: Accessor,
}

/// Why a record is no request.
#[derive(Debug, thiserror::Error)]
enum NoRequest {
    #[error("it has no text at body_key")]
    Body,
    #[error("it has no map of texts at headers_key")]
    Headers,
    #[error("'{0}' at headers_key is no header")]
    Header(String),
}

type Headers = Vec<(HeaderName, HeaderValue)>;

impl Each {
    /// As the options say; `None` without them.
    pub(super) fn new(
        body: Option<&str>,
        headers: Option<&str>,
    ) -> Result<Option<Self>, BuildError> {
        match (body, headers) {
            (None, None) => Ok(None),
            (Some(body), Some(headers)) => Ok(Some(Self {
                body: marked("body_key", body)?,
                headers: marked("headers_key", headers)?,
            })),
            _ => Err(BuildError::new("body_key and headers_key go together")
                .help("give both, or none of them")),
        }
    }

    /// Sends the requests of a chunk, one after the other. When one has to come again, so have those behind it.
    pub(super) async fn send(&self, poster: &Poster, chunk: &Chunk) -> Flush {
        let mut refused = vec![false; chunk.len()];
        let mut left_out = 0;
        for (place, event) in chunk.records().enumerate() {
            let request = self.request(event.body);
            let sent = match request {
                Ok((body, headers)) => {
                    let headers = poster.tag(chunk).into_iter().chain(headers);
                    let body = poster.client.packed(body);
                    poster.client.send(body, poster.format.content_type(), headers).await
                }
                Err(error) => {
                    left_out += 1;
                    poster.unprintable.left_out(&poster.label, &error);
                    continue;
                }
            };
            match sent {
                Ok(_) => {}
                Err(Flush::Fail(error)) => {
                    left_out += 1;
                    refused[place] = true;
                    poster.unprintable.left_out(&poster.label, &error);
                }
                Err(fate) if place == 0 => return fate,
                Err(fate) => {
                    let again = (0..chunk.len()).map(|other| other >= place).collect();
                    return fate.of_rest(again, left_out, kept(chunk, &refused));
                }
            }
        }
        match left_out {
            0 => Flush::Done,
            _ => Flush::Partly { left_out, refused: kept(chunk, &refused) },
        }
    }

    fn request(&self, record: &[u8]) -> Result<(Vec<u8>, Headers), NoRequest> {
        let body = self.body.find(record).and_then(text).ok_or(NoRequest::Body)?;
        let map = self.headers.find(record).ok_or(NoRequest::Headers)?;
        let entries = msgpack::entries(map).map_err(|_| NoRequest::Headers)?;
        let headers = entries.map(|entry| {
            let (name, value) = entry.map_err(|_| NoRequest::Headers)?;
            let (name, value) = text(name).zip(text(value)).ok_or(NoRequest::Headers)?;
            let read = HeaderName::from_bytes(name).ok().zip(HeaderValue::from_bytes(value).ok());
            read.ok_or_else(|| NoRequest::Header(flb_plugin::log::excerpt(name)))
        });
        Ok((body.to_vec(), headers.collect::<Result<_, _>>()?))
    }
}

fn text(value: &[u8]) -> Option<&[u8]> {
    match Reader::new(value).next() {
        Ok(Value::Str(text) | Value::Bin(text)) => Some(text),
        _ => None,
    }
}

/// The records that the server refused, if there are any.
fn kept(chunk: &Chunk, refused: &[bool]) -> Option<Chunk> {
    refused.contains(&true).then(|| chunk.only(refused))
}
