//! A client of services that tell an agent about its surroundings, such as the API of Kubernetes or a cloud's metadata: small
//! questions, whose answers are bounded in time and in bytes. It follows no redirects, and goes through no proxy.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Proxy};

use crate::http_parts::{AlwaysTo, after, beginning, bracketed, explained};
use crate::tls::{self, ClientTls};

/// How long a connection may be idle before another one is made.
const IDLE: Duration = Duration::from_secs(30);
/// How many bytes of a body are sent in a second by the slowest connection that is still of use.
const SLOWEST: u64 = 100_000;

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Address {
    /// Reads `https://host:port` or `http://host:port`; the port may be left out.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (is_tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let end_of_host = rest.find(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match rest[end_of_host..].find(':') {
            Some(colon) => {
                let (host, port) = rest.split_at(end_of_host + colon);
                (host, port[1..].parse().ok()?)
            }
            None => (rest, default_port),
        };
        let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
        let is_one = !host.is_empty() && host.chars().all(is_host);
        is_one.then(|| Self { is_tls, host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", bracketed(&self.host), self.port)
    }
}

/// How far an answer may go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long connecting may take.
    pub connect: Duration,
    /// How long all of it may take, connecting included.
    pub whole: Duration,
    /// The most bytes of an answer's body.
    pub bytes: usize,
}

/// A client of one service.
pub struct ApiClient {
    client: Client,
    base: String,
    authority: HeaderValue,
    bounds: Bounds,
}

/// What a service said.
#[derive(Debug)]
pub struct ApiAnswer {
    /// The status.
    pub status: u16,
    /// When to ask again, if it says.
    pub after: Option<Duration>,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body; of one that is no success, or its beginning.
    pub body: Vec<u8>,
}

impl ApiAnswer {
    /// Whether the service gives what it was asked for.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// It takes too long.
    #[error("{0}")]
    TimedOut(String),
    /// It is larger than so many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl ApiError {
    /// The error in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connection(_) => "connection",
            Self::TimedOut(_) => "timeout",
            Self::TooLarge(_) => "too_large",
        }
    }
}

impl From<reqwest::Error> for ApiError {
    fn from(error: reqwest::Error) -> Self {
        let is_late = error.is_timeout();
        let text = explained(&error.without_url());
        if is_late { Self::TimedOut(text) } else { Self::Connection(text) }
    }
}

impl ApiClient {
    /// A client of the service at this address; what its TLS is where it speaks any.
    pub fn new(
        address: &Address,
        tls: Option<&ClientTls>,
        bounds: Bounds,
    ) -> Result<Self, ApiError> {
        Self::through(address, tls, bounds, None)
    }

    /// The same, through a proxy.
    pub fn through(
        address: &Address,
        tls: Option<&ClientTls>,
        bounds: Bounds,
        proxy: Option<Proxy>,
    ) -> Result<Self, ApiError> {
        let (host, port) = (bracketed(&address.host), address.port);
        let (scheme, name) = match tls {
            Some(tls) => ("https", tls.vhost().unwrap_or(&host)),
            None => ("http", host.as_str()),
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls.map_or_else(tls::nobody, ClientTls::config))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(bounds.connect)
            .timeout(bounds.whole)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .http1_only()
            .no_proxy();
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy);
        }
        if tls.and_then(ClientTls::vhost).is_some() {
            builder = builder.dns_resolver(AlwaysTo::new(&host, port));
        }
        let authority = format!("{host}:{port}");
        Ok(Self {
            client: builder.build()?,
            base: format!("{scheme}://{name}:{port}"),
            authority: header(&authority)?,
            bounds,
        })
    }

    /// Asks for what is at this path.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<ApiAnswer, ApiError> {
        self.send(Method::GET, path, read(headers)?, Bytes::new()).await
    }

    /// Asks for something that is made at this path.
    pub async fn put(&self, path: &str, headers: &[(&str, &str)]) -> Result<ApiAnswer, ApiError> {
        self.send(Method::PUT, path, read(headers)?, Bytes::new()).await
    }

    /// Sends a body, which may take longer the longer it is. A `Host` among the headers takes the place of the address's.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<ApiAnswer, ApiError> {
        let url = format!("{}{path}", self.base);
        headers.entry(HOST).or_insert_with(|| self.authority.clone());
        let mut request = self.client.request(method, url).headers(headers);
        if !body.is_empty() {
            let patience = Duration::from_secs(body.len() as u64 / SLOWEST);
            request = request.timeout(self.bounds.whole + patience).body(body);
        }
        let response = request.send().await?;
        let (status, after) = (response.status(), after(&response));
        let headers = response.headers().clone();
        let body = match status.is_success() {
            true => whole(response, self.bounds.bytes).await?,
            false => beginning(response).await,
        };
        Ok(ApiAnswer { status: status.as_u16(), after, headers, body })
    }
}

/// All of a body, which may be so long.
async fn whole(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if piece.len() > most - body.len() {
            return Err(ApiError::TooLarge(most));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Headers for a request; their values are shown nowhere.
fn read(headers: &[(&str, &str)]) -> Result<HeaderMap, ApiError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = name.parse::<HeaderName>();
        let name = name.map_err(|error| ApiError::Connection(error.to_string()))?;
        let mut value = header(value)?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

fn header(value: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(value).map_err(|_| {
        ApiError::Connection("a header's value has characters that none may have".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        for (text, expected) in [
            ("https://kubernetes.default.svc:443", "https://kubernetes.default.svc:443"),
            ("https://kubernetes.default.svc", "https://kubernetes.default.svc:99"),
            ("http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("https://[fd00::1]", "https://[fd00::1]:99"),
            ("kubernetes.default.svc:443", "-"),
            ("https://", "-"),
            ("https://a:b", "-"),
            ("https://a:70000", "-"),
            ("https://user@a", "-"),
            ("https://a/path", "-"),
        ] {
            let shown = Address::parse(text, 99).map_or("-".to_owned(), |found| found.to_string());
            assert_eq!(shown, expected, "{text}");
        }
    }
}
