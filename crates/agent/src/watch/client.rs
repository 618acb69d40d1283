//! Asks a running agent over HTTP.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use axum::body::Bytes;
use axum::http::uri::{Authority, Scheme, Uri};
use axum::http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::text;

/// How long an answer may take: longer than a record is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read of an answer.
const LARGEST: usize = 64 << 20;
/// The HTTP server's port unless the configuration says.
const PORT: u16 = 2020;

/// Where an agent's HTTP server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

/// Why a text is no such address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("this is no URL")]
    NoUrl,
    #[error("the agent speaks http")]
    NotHttp,
    #[error("an agent has one page, so nothing stands behind its port")]
    HasPath,
}

impl Default for Address {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: PORT }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `http://host:port`; what is left out is as it mostly is.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let uri: Uri = text.parse().map_err(|_| AddressError::NoUrl)?;
        if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP) {
            return Err(AddressError::NotHttp);
        }
        if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
            return Err(AddressError::HasPath);
        }
        let authority: &Authority = uri.authority().ok_or(AddressError::NoUrl)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(AddressError::NoUrl);
        }
        Ok(Self { host: host.to_owned(), port: authority.port_u16().unwrap_or(PORT) })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}", self.host, self.port),
            false => write!(f, "http://{}:{}", self.host, self.port),
        }
    }
}

/// Who asks. A connection lasts for an answer.
pub(super) struct Client {
    agent: Address,
    runtime: Runtime,
}

impl Client {
    pub(super) fn new(agent: &Address) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { agent: agent.clone(), runtime: runtime.context("cannot start the runtime")? })
    }

    /// What the agent answers.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let asked = async { tokio::time::timeout(PATIENCE, self.ask(path)).await };
        let answer = self.runtime.block_on(asked);
        let answer = answer.with_context(|| format!("{} does not answer", self.agent))?;
        let (status, body) = answer.map_err(|error| {
            anyhow!("cannot ask {}: {error:#}; help: name another agent, or have this one listen: HTTP_Server on", self.agent)
        })?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status != StatusCode::OK {
            bail!("{}: HTTP status={status} {}", self.agent, text(&answer, "error"));
        }
        Ok(answer)
    }

    async fn ask(&self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let Address { host, port } = &self.agent;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        // By its address, whatever name led to it.
        let request = Request::get(path)
            .header(header::HOST, stream.peer_addr()?.to_string())
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut beside = JoinSet::new();
        beside.spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| anyhow!("the answer is cut off: {error}"))?;
        Ok((status, body.to_bytes()))
    }
}

/// A name as a part of a path.
pub(super) fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        // Writing to a string cannot fail.
        let _ = match is_plain {
            true => write!(escaped, "{}", char::from(byte)),
            false => write!(escaped, "%{byte:02X}"),
        };
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_a_part_of_one() {
        for (text, expected) in [
            ("http://10.0.0.1:99/", Ok("http://10.0.0.1:99")),
            ("http://web-1", Ok("http://web-1:2020")),
            ("web-1:99", Ok("http://web-1:99")),
            ("localhost", Ok("http://localhost:2020")),
            ("[::1]:99", Ok("http://[::1]:99")),
            ("https://web-1", Err(AddressError::NotHttp)),
            ("http://web-1/api", Err(AddressError::HasPath)),
            ("http://me:x@web-1", Err(AddressError::NoUrl)),
            ("a b", Err(AddressError::NoUrl)),
            ("", Err(AddressError::NoUrl)),
        ] {
            let read = text.parse::<Address>().map(|address| address.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
        assert_eq!(Address::default().to_string(), "http://127.0.0.1:2020");
    }

    #[test]
    fn a_name_may_have_any_letter() {
        assert_eq!(escaped("app/grep.0 ö"), "app%2Fgrep.0%20%C3%B6");
    }
}
