//! The HTTP server that tells how the pipeline is: the paths, JSON shapes and metric names that dashboards for Fluent Bit
//! know, and a live page at `/` for a browser.

mod guard;
mod health;
mod history;
mod json;
mod node;
mod pipeline;
mod problems;
mod prometheus;
mod redaction;
mod serve;
mod tap;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flb_pipeline::{Instance, Stop};
use flb_plugin::families::PROMETHEUS;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use health::Health;
use history::History;
pub(crate) use problems::{bytes, duration};
pub(crate) use prometheus::Teller;

use crate::reload::Refusal;
use crate::service::HttpSettings;

/// A file of the page.
type File = (&'static str, &'static str);

/// The page, whole: it loads nothing from elsewhere, and works without a network.
const PAGE: File = ("text/html; charset=utf-8", include_str!("page/page.html"));
const STYLE: File = ("text/css; charset=utf-8", include_str!("page/page.css"));
const SCRIPT: File = ("text/javascript; charset=utf-8", include_str!("page/page.js"));
const ICON: File = ("image/svg+xml", include_str!("page/favicon.svg"));

struct Api {
    teller: Teller,
    settings: HttpSettings,
    health: Health,
    history: History,
    /// Held by who has a record tapped.
    taps: tokio::sync::Mutex<()>,
}

/// A server that listens.
pub(crate) struct Server {
    /// Kept until the end, for a server with other settings.
    socket: Mutex<Option<std::net::TcpListener>>,
    api: Arc<Api>,
    /// The most connections at a time.
    most: usize,
    end: Stop,
}

impl Server {
    /// Listens.
    pub(crate) async fn listen(
        settings: &HttpSettings,
        most: usize,
        teller: Teller,
    ) -> anyhow::Result<Self> {
        let socket = bind(settings).await?;
        Ok(Self { most, ..Self::new(socket, settings, teller) })
    }

    fn new(socket: std::net::TcpListener, settings: &HttpSettings, teller: Teller) -> Self {
        let (settings, health) = (settings.clone(), Health::new(settings));
        let (history, taps) = (History::default(), tokio::sync::Mutex::default());
        let api = Arc::new(Api { teller, settings, health, history, taps });
        Self { socket: Mutex::new(Some(socket)), api, most: 1, end: Stop::default() }
    }

    /// One with other settings, that serves when this one has ended; on the same socket if it has the same address.
    pub(crate) async fn with(&self, settings: &HttpSettings) -> anyhow::Result<Self> {
        let Api { teller, settings: own, .. } = &*self.api;
        let is_same = (&own.listen, own.port) == (&settings.listen, settings.port);
        let socket = if is_same { self.socket()? } else { bind(settings).await? };
        let most = self.most;
        Ok(Self { most, ..Self::new(socket, settings, teller.clone()) })
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.api.settings
    }

    /// Accepts nobody any more, and ends with the last answer.
    pub(crate) fn end(&self) {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.end.ask();
    }

    fn socket(&self) -> io::Result<std::net::TcpListener> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.as_ref().map_or(Err(io::ErrorKind::NotConnected.into()), |socket| socket.try_clone())
    }

    /// Answers until the end.
    pub(crate) async fn run(self: Arc<Self>) {
        match self.socket().and_then(TcpListener::from_std) {
            Ok(listener) => tokio::select! {
                () = serve::serve(listener, router(Arc::clone(&self.api)), self.most, &self.end) => {}
                () = watch(&self.api) => {}
            },
            Err(error) => tracing::error!("[http_server] cannot serve: {error}"),
        }
    }
}

async fn bind(settings: &HttpSettings) -> anyhow::Result<std::net::TcpListener> {
    let (address, port) = (settings.listen.as_str(), settings.port);
    let listener = TcpListener::bind((address, port)).await.with_context(|| {
        format!("cannot listen on {address}:{port}; help: choose another HTTP_Port or HTTP_Listen")
    })?;
    let port = listener.local_addr()?.port();
    tracing::info!("[http_server] listen iface={address} tcp_port={port}");
    Ok(listener.into_std()?)
}

/// Looks at the numbers once a second, for the health of the last period and the rates of the last minute.
async fn watch(api: &Api) {
    let second = Duration::from_secs(1);
    let mut ticks = tokio::time::interval_at(Instant::now() + second, second);
    api.history.sample(&api.teller.meter.read(), Instant::now());
    loop {
        ticks.tick().await;
        let report = api.teller.meter.read();
        api.health.sample(&report);
        api.history.sample(&report, Instant::now());
    }
}

fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/page.css", get(|| async { file(STYLE) }))
        .route("/page.js", get(|| async { file(SCRIPT) }))
        .route("/favicon.svg", get(|| async { file(ICON) }))
        .route("/api/v1/uptime", get(|State(api)| told(api, json::uptime)))
        .route("/api/v1/metrics", get(|State(api)| told(api, json::metrics)))
        .route("/api/v1/metrics/prometheus", get(|State(api)| text(api, prometheus::v1)))
        .route("/api/v1/storage", get(|State(api)| told(api, json::storage)))
        .route("/api/v1/health", get(short_health))
        .route("/api/v1/plugins", get(|| async { answer(&json::plugins()) }))
        .route("/api/v1/pipeline", get(|State(api)| told(api, pipeline::pipeline)))
        .route("/api/v1/nodes/{kind}/{name}", get(node))
        .route("/api/v1/tap/{kind}/{name}", get(tap))
        .route("/api/v2/health", get(health))
        .route("/api/v2/metrics", get(|State(api)| text(api, prometheus::v2)))
        .route("/api/v2/metrics/prometheus", get(|State(api)| text(api, prometheus::v2)))
        .route("/api/v2/reload", get(reload_count).post(reload).put(reload))
        .with_state(api)
}

/// The page for whoever prefers HTML, and what the agent is for everybody else.
async fn root(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    match accept.is_some_and(|accept| accept.contains("text/html")) {
        true => file(PAGE),
        false => answer(&json::about()),
    }
}

fn file((kind, text): File) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn node(State(api): State<Arc<Api>>, Path((kind, name)): Path<(String, String)>) -> Response {
    node::node(&api, &kind, &name).map_or_else(|| no_node(&kind, &name), |node| answer(&node))
}

fn no_node(kind: &str, name: &str) -> Response {
    let message = format!("the pipeline has no {name} among its {kind}");
    refusal(StatusCode::NOT_FOUND, &message)
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, answer(&json!({"error": message}))).into_response()
}

/// A record, if the operator lets whoever asks see one.
async fn tap(
    State(api): State<Arc<Api>>,
    Path((kind, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !api.settings.tap {
        let message = "records are shown with HTTP_Tap on in the service section only";
        return refusal(StatusCode::FORBIDDEN, message);
    }
    if !guard::is_at_home(&headers, &api.teller.host) {
        let message = "records are shown to who asks by the machine's address or its own name only";
        return refusal(StatusCode::FORBIDDEN, message);
    }
    let instance: Option<Instance> = node::find(&api.teller.meter.read(), &kind, &name);
    let sample = match &instance {
        Some(instance) => tap::sample(&api, instance).await,
        None => None,
    };
    sample.map_or_else(|| no_node(&kind, &name), |sample| answer(&sample))
}

async fn told(api: Arc<Api>, write: fn(&Api) -> Value) -> Response {
    answer(&write(&api))
}

fn answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn text(api: Arc<Api>, write: fn(&Api) -> String) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS)], write(&api)).into_response()
}

async fn short_health(State(api): State<Arc<Api>>) -> Response {
    if !api.settings.health_check {
        return StatusCode::NOT_FOUND.into_response();
    }
    match api.health.state().is_good {
        true => "ok\n".into_response(),
        false => (StatusCode::INTERNAL_SERVER_ERROR, "error\n").into_response(),
    }
}

async fn reload_count(State(api): State<Arc<Api>>) -> Response {
    answer(&json!({"hot_reload_count": api.teller.reloads.done()}))
}

/// Answers when the new configuration is at work, or refused.
async fn reload(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    if guard::is_of_a_page(&headers) {
        return (StatusCode::FORBIDDEN, "no web page may reload the agent\n").into_response();
    }
    let (word, status) = match api.teller.reloads.ask_and_wait() {
        Err(Refusal::NotEnabled) => ("not enabled", -1),
        Err(Refusal::InProgress) => ("in progress", -2),
        Ok(told) => match told.await {
            Ok(true) => ("done", 0),
            Ok(false) | Err(_) => ("failed", -3),
        },
    };
    let code = if status == 0 { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    (code, answer(&json!({"reload": word, "status": status}))).into_response()
}

async fn health(State(api): State<Arc<Api>>) -> Response {
    let state = api.health.state();
    let code = if state.is_good { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (code, answer(&json::health(&api.settings, state))).into_response()
}
