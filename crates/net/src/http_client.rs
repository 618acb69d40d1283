//! What the outputs that speak HTTP share: one client with TLS, headers, authentication and compression, and what an answer
//! means for a chunk.

use std::time::Duration;

use bytes::Bytes;
use flb_config::Variables;
use flb_plugin::keys::{Bool, Choice, Key, Many, Options, Text, Time, Word};
use flb_plugin::{Build, BuildError, Flush, Gauge, OutputError, Secrecy, keys};
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Client, Method, Proxy, StatusCode, Url};

use super::aws::{Request, Signer};
use super::connections::BUSY;
use super::dial;
use super::grpc::{self, Outcome};
use super::http_parts::{
    AlwaysTo, after, beginning_of, bracketed, environment_proxy, explained, has_no_room,
};
pub use super::http_parts::{LONGEST_ANSWER, authorization, basic};
use super::oauth2::Tokens;
use super::options::port;
use super::packing::Packing;
use super::tls::{self, ClientTls};
use flb_plugin::log::{Label, excerpt, name_only};

keys! {
    /// Where to, for outputs that post to any server.
    pub const SERVER_KEYS;
    pub SERVER: Text = Key::new("host", "Server").default("127.0.0.1");
    pub PORT: Text = Key::new("port", "Its port").default("80");
    pub HEADER: Many<Text> =
        Key::new("header", "Name and value of a header").repeated().hiding(Secrecy::Named);
    LOG_RESPONSE_PAYLOAD: Bool =
        Key::new("log_response_payload", "Log what the server answers").default("on");
}

keys! {
    /// How, for all outputs that speak HTTP.
    pub const KEYS;
    pub HTTP_USER: Option<Text> = Key::new("http_user", "User, for basic authentication");
    HTTP_PASSWD: Option<Text> = Key::new("http_passwd", "The user's password").secret();
    PROXY: Option<Text> =
        Key::new("proxy", "HTTP proxy: http://host:port").hiding(Secrecy::Address);
    NET_PROXY_ENV_IGNORE: Bool =
        Key::new("net.proxy_env_ignore", "Ignore HTTP_PROXY, NO_PROXY").default("off");
    HTTP_READ_IDLE_TIMEOUT: Time =
        Key::new("http.read_idle_timeout", "How long nothing of an answer may come; 0 is no limit")
            .default("0");
    HTTP_RESPONSE_TIMEOUT: Time =
        Key::new("http.response_timeout", "How long an answer may take").default("60");
    NET_CONNECT_TIMEOUT: Time =
        Key::new("net.connect_timeout", "How long connecting may take").default("10");
    NET_KEEPALIVE: Bool =
        Key::new("net.keepalive", "Keep connections for the next chunk").default("on");
}

keys! {
    /// Compression, for servers that know one.
    pub const GZIP_KEYS;
    pub GZIP: Choice<Gzip> = Key::new("compress", "Compression").default("none");
}

keys! {
    /// Compression, for servers that may know any.
    pub const PACKING_KEYS;
    pub PACKING: Choice<Packing> = Key::new("compress", "Compression").default("none");
}

/// The compression that every server knows, or none.
#[derive(Debug, Clone, Copy)]
pub struct Gzip(Packing);

impl Word for Gzip {
    const ALL: &'static [(&'static str, Self)] =
        &[("gzip", Self(Packing::Gzip)), ("none", Self(Packing::Nothing))];
}

impl From<Gzip> for Packing {
    fn from(gzip: Gzip) -> Self {
        gzip.0
    }
}

/// A server, and what it is asked for.
pub struct Endpoint<'a> {
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// How it is asked.
    pub method: Method,
    /// The path.
    pub path: &'a str,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// How bodies are compressed.
    pub packing: Packing,
    /// What is spoken.
    pub protocol: Protocol,
    /// Where tokens come from, if it wants some.
    pub tokens: Option<Tokens>,
}

/// What is spoken with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without asking whether the server knows it.
    Http2,
}

/// A client of one server.
pub struct HttpClient {
    client: Client,
    label: Label,
    method: Method,
    url: String,
    /// `host:port`, for the log and for the server.
    authority: String,
    headers: HeaderMap,
    packing: Packing,
    tokens: Option<Tokens>,
    signed: Option<Signed>,
    /// Of requests, each of which has a connection.
    busy: Gauge,
    logs_answer: bool,
}

/// Who signs requests, and what of them is signed.
struct Signed {
    signer: Signer,
    host: String,
    /// With what stands behind a `?`.
    path: String,
}

/// What a server said to a request that it took.
#[derive(Debug)]
pub struct Answer {
    /// The body, or its beginning.
    pub body: Vec<u8>,
}

/// What a server said, whatever that is.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// When it wants to be asked again.
    pub after: Option<Duration>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// A client for `path`, as the options say, [`PACKING_KEYS`] and those of [`oauth2`](crate::oauth2) too.
    pub fn new(
        label: Label,
        method: Method,
        path: &str,
        options: &Options,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        let headers = given_headers(options)?;
        let (host, port) = (options.get(SERVER), port(options.get(PORT), 1)?);
        let (packing, tokens) = (options.get(PACKING), Tokens::new(options)?);
        let protocol = Protocol::Http1;
        let endpoint = Endpoint { host, port, method, path, headers, packing, protocol, tokens };
        Self::of(label, endpoint, options, build).map(|client| client.logging(options))
    }

    /// The same client, which logs answers as [`SERVER_KEYS`] say.
    #[must_use]
    pub fn logging(self, options: &Options) -> Self {
        Self { logs_answer: options.get(LOG_RESPONSE_PAYLOAD), ..self }
    }

    /// The same client, whose requests are signed.
    pub fn signed_by(mut self, signer: Option<Signer>) -> Result<Self, BuildError> {
        let Some(signer) = signer else { return Ok(self) };
        let url: Url = self.url.parse().map_err(|error| {
            BuildError::new(format!("host, port and path are no address: {error}"))
                .help("check host and path")
        })?;
        // The usual port stands in no `Host`.
        let usual = format!(":{}", url.port_or_known_default().unwrap_or(0));
        let host = match url.port() {
            None => self.authority.strip_suffix(&usual).unwrap_or(&self.authority).to_owned(),
            Some(_) => self.authority.clone(),
        };
        self.headers.remove(AUTHORIZATION);
        if let (Some(own), Ok(host)) = (self.headers.get_mut(HOST), HeaderValue::from_str(&host)) {
            *own = host;
        }
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("{}{query}", url.path());
        Ok(Self { signed: Some(Signed { signer, host, path }), ..self })
    }

    /// A client of a server that does not stand in [`SERVER_KEYS`].
    pub fn of(
        label: Label,
        endpoint: Endpoint<'_>,
        options: &Options,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        let Endpoint { host, port, method, path, headers, packing, protocol, tokens } = endpoint;
        let tls = ClientTls::new(options, build)?;
        let bracketed = bracketed(host);
        let (scheme, name) = match &tls {
            Some(tls) => ("https", tls.vhost().unwrap_or(&bracketed)),
            None => ("http", bracketed.as_str()),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let url = format!("{scheme}://{name}:{port}{slash}{path}");
        url.parse::<reqwest::Url>().map_err(|error| {
            BuildError::new(format!("host, port and path are no address: {error}"))
                .help("check host and path")
        })?;
        let authority = format!("{bracketed}:{port}");
        let mut all = common_headers(options, &authority)?;
        if protocol == Protocol::Http2 {
            // It has another way to say so.
            all.remove(HOST);
        }
        all.extend(headers);
        let client = client(options, &build.service.variables, tls.as_ref(), protocol, host, port)?;
        Ok(Self {
            client,
            label,
            method,
            url,
            headers: all,
            authority,
            packing,
            tokens,
            signed: None,
            busy: build.metrics.gauge(&BUSY),
            logs_answer: true,
        })
    }

    /// Compresses a body if that is asked for. Takes its time, so it is best called on a thread for such work.
    pub fn packed(&self, body: Vec<u8>) -> Vec<u8> {
        self.packing.pack(body)
    }

    /// Sends a body that [`packed`](Self::packed) gave. An error is the chunk's fate.
    pub async fn send(
        &self,
        body: Vec<u8>,
        content_type: &'static str,
        more: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Answer, Flush> {
        let Response { status, after, body } =
            self.ask(body, content_type, more, LONGEST_ANSWER).await?;
        if status.is_success() {
            self.log_success(status, &body);
            return Ok(Answer { body });
        }
        let reason = self.refusal(status, &body);
        // Who may sign is for the role to say, and no fault of the chunk.
        let is_unsigned = self.signed.is_some() && status == StatusCode::FORBIDDEN;
        if is_final(status) && !is_unsigned {
            return Err(Flush::Fail(OutputError(self.named(&reason))));
        }
        Err(self.retry(&reason, after))
    }

    /// Sends a body that [`packed`](Self::packed) gave, and reads at most so much of what the server says. An error means that it
    /// said nothing.
    pub async fn ask(
        &self,
        body: Vec<u8>,
        content_type: &'static str,
        more: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        longest: usize,
    ) -> Result<Response, Flush> {
        let _busy = self.busy();
        let response = self.answer(body, content_type, more.into_iter().collect()).await?;
        let (status, after) = (response.status(), after(&response));
        Ok(Response { status, after, body: beginning_of(response, longest).await })
    }

    /// Calls a method of gRPC with a body that [`grpc::framed`] gave. An error is the chunk's fate.
    pub async fn call(&self, body: Vec<u8>) -> Result<Answer, Flush> {
        let _busy = self.busy();
        let response = self.answer(body, grpc::CONTENT_TYPE, HeaderMap::new()).await?;
        let (status, after) = (response.status(), after(&response));
        let Some(outcome) = grpc::outcome(response, LONGEST_ANSWER).await else {
            return Err(self.retry(&format!("HTTP status={status}, and nothing of gRPC"), after));
        };
        let Outcome { code, words, message } = outcome;
        if code == 0 {
            return Ok(Answer { body: message });
        }
        let reason = format!("gRPC status={code} {words}");
        match grpc::is_final(code) {
            true => Err(Flush::Fail(OutputError(self.named(&reason)))),
            false => Err(self.retry(&reason, after)),
        }
    }

    /// Counts a request as long as this lives.
    fn busy(&self) -> Gauge {
        let mut busy = self.busy.clone();
        busy.set(1);
        busy
    }

    /// Whatever the server answers; a token that it does not take is renewed once.
    async fn answer(
        &self,
        body: Vec<u8>,
        content_type: &'static str,
        more: HeaderMap,
    ) -> Result<reqwest::Response, Flush> {
        let body = Bytes::from(body);
        if let Some(signed) = &self.signed {
            let response = self.sign(signed, body.clone(), content_type, more.clone()).await?;
            if response.status() != StatusCode::FORBIDDEN {
                return Ok(response);
            }
            // What was signed with may have run out.
            signed.signer.renew().await;
            return self.sign(signed, body, content_type, more).await;
        }
        let Some(tokens) = &self.tokens else {
            return self.ask_once(body, content_type, more, None).await;
        };
        for _ in 0..2 {
            let token = tokens.header().await;
            let token = token.map_err(|error| self.retry(&error.to_string(), None))?;
            let asked = self.ask_once(body.clone(), content_type, more.clone(), Some(&token));
            let response = asked.await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            tokens.refused(&token).await;
        }
        Err(self.retry("HTTP status=401 Unauthorized to a new token; check oauth2.scope", None))
    }

    /// Signs a request, and sends it.
    async fn sign(
        &self,
        signed: &Signed,
        body: Bytes,
        content_type: &'static str,
        mut more: HeaderMap,
    ) -> Result<reqwest::Response, Flush> {
        let own = self.headers.get(CONTENT_TYPE).and_then(|own| own.to_str().ok());
        let headers = [("content-type", own.unwrap_or(content_type)), ("host", &signed.host)];
        let (method, path) = (self.method.as_str(), signed.path.as_str());
        let request = Request { method, path, headers: &headers, body: &body };
        let added = signed.signer.sign(&request).await;
        more.extend(added.map_err(|error| self.retry(&error.to_string(), None))?);
        self.ask_once(body, content_type, more, None).await
    }

    async fn ask_once(
        &self,
        body: Bytes,
        content_type: &'static str,
        more: HeaderMap,
        token: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, Flush> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(name) = self.packing.name() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        // A header of the user's own takes the place of one that is set here.
        headers.extend(self.headers.clone());
        headers.extend(more);
        let request = self.client.request(self.method.clone(), &self.url).headers(headers);
        // What stands behind a `?` may be a secret.
        let sent = request.body(body).send().await.map_err(reqwest::Error::without_url);
        sent.map_err(|error| match self.retry(&explained(&error), None) {
            Flush::Retry { reason, .. } if has_no_room(&error) => Flush::NoRoom { reason },
            retry => retry,
        })
    }

    /// A refusal in words.
    pub fn refusal(&self, status: StatusCode, body: &[u8]) -> String {
        let text = if self.logs_answer { excerpt(body) } else { String::new() };
        format!("HTTP status={status} {text}").trim_end().to_owned()
    }

    /// The chunk has to come again, for this reason.
    pub fn retry(&self, why: &str, after: Option<Duration>) -> Flush {
        Flush::Retry { reason: self.named(why), after }
    }

    /// A line for the log.
    fn named(&self, why: &str) -> String {
        format!("{} {}, {why}", self.label, self.authority)
    }

    fn log_success(&self, status: StatusCode, body: &[u8]) {
        let (label, authority, status) = (&self.label, &self.authority, status.as_u16());
        if self.logs_answer && !body.is_empty() && body.iter().all(|byte| *byte != 0) {
            tracing::info!("{label} {authority}, HTTP status={status} {}", excerpt(body));
        } else {
            tracing::info!("{label} {authority}, HTTP status={status}");
        }
    }
}

/// Whether the server will never take this chunk: it is the chunk's fault.
fn is_final(status: StatusCode) -> bool {
    let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !again.contains(&status)
}

fn client(
    options: &Options,
    variables: &Variables,
    tls: Option<&ClientTls>,
    protocol: Protocol,
    host: &str,
    port: u16,
) -> Result<Client, BuildError> {
    let refused = |error: reqwest::Error| BuildError::new(format!("HTTP: {}", explained(&error)));
    let idle = if options.get(NET_KEEPALIVE) { 1 } else { 0 };
    let mut config = tls.map_or_else(tls::nobody, ClientTls::config);
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    let mut builder = Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(dial::timeout(options, NET_CONNECT_TIMEOUT))
        .timeout(dial::timeout(options, HTTP_RESPONSE_TIMEOUT))
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .no_proxy();
    builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_prior_knowledge(),
    };
    let read_timeout = options.get(HTTP_READ_IDLE_TIMEOUT);
    if !read_timeout.is_zero() {
        builder = builder.read_timeout(read_timeout);
    }
    if tls.and_then(ClientTls::vhost).is_some() {
        builder = builder.dns_resolver(AlwaysTo::new(host, port));
    }
    if let Some(proxy) = proxy(options, variables).map_err(refused)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(refused)
}

/// The proxy that the options name, or else the environment.
fn proxy(options: &Options, variables: &Variables) -> Result<Option<Proxy>, reqwest::Error> {
    if let Some(proxy) = options.get(PROXY) {
        return Proxy::all(proxy).map(Some);
    }
    if options.get(NET_PROXY_ENV_IGNORE) {
        return Ok(None);
    }
    environment_proxy(variables)
}

/// What every request has: the server's name, and who asks.
fn common_headers(options: &Options, authority: &str) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    if let Ok(host) = HeaderValue::from_str(authority) {
        headers.insert(HOST, host);
    }
    if let Some(user) = options.get(HTTP_USER) {
        let password = options.get(HTTP_PASSWD).unwrap_or_default();
        headers.insert(AUTHORIZATION, basic(user, password)?);
    }
    Ok(headers)
}

/// The headers that the options give.
pub fn given_headers(options: &Options) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    for text in options.get(HEADER) {
        let parts = text.split_once(char::is_whitespace);
        let read = parts.and_then(|(name, value)| {
            Some((name.parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        let Some((name, value)) = read else {
            return Err(BuildError::new(format!("header{}: it is not a header", name_only(text)))
                .help("write: header Name value"));
        };
        let name: HeaderName = name;
        headers.insert(name, value);
    }
    Ok(headers)
}
