//! The HTTP server that tells how the pipeline is: the paths, JSON shapes and metric names that dashboards for Fluent Bit
//! know, and a live page at `/` for a browser.

mod health;
mod json;
mod prometheus;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use flb_pipeline::{HttpSettings, Meter};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;

use health::Health;

/// The page, whole: it loads nothing else, and works without a network.
const PAGE: &str = include_str!("page.html");
const PROMETHEUS: &str = "text/plain; version=0.0.4";

struct Api {
    meter: Meter,
    settings: HttpSettings,
    started: Instant,
    health: Health,
}

/// A server that listens.
pub(crate) struct Server {
    listener: TcpListener,
    api: Arc<Api>,
}

/// Listens.
pub(crate) async fn listen(settings: &HttpSettings, meter: Meter) -> anyhow::Result<Server> {
    let (address, port) = (settings.listen.as_str(), settings.port);
    let listener = TcpListener::bind((address, port)).await.with_context(|| {
        format!("cannot listen on {address}:{port}; help: choose another HTTP_Port or HTTP_Listen")
    })?;
    let port = listener.local_addr()?.port();
    tracing::info!("[http_server] listen iface={address} tcp_port={port}");
    let api = Arc::new(Api {
        meter,
        settings: settings.clone(),
        started: Instant::now(),
        health: Health::new(settings),
    });
    Ok(Server { listener, api })
}

impl Server {
    /// Answers for ever.
    pub(crate) async fn run(self) {
        let answers = async {
            if let Err(error) = axum::serve(self.listener, router(Arc::clone(&self.api))).await {
                tracing::error!("[http_server] it has ended: {error}");
            }
        };
        tokio::join!(answers, watch(&self.api));
    }
}

/// Looks at the numbers once a second, for the health of the last period.
async fn watch(api: &Api) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        api.health.sample(&api.meter.read());
    }
}

fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/api/v1/uptime", get(|State(api)| told(api, json::uptime)))
        .route("/api/v1/metrics", get(|State(api)| told(api, json::metrics)))
        .route("/api/v1/metrics/prometheus", get(|State(api)| text(api, prometheus::v1)))
        .route("/api/v1/storage", get(|State(api)| told(api, json::storage)))
        .route("/api/v1/health", get(short_health))
        .route("/api/v1/plugins", get(|| async { answer(&json::plugins()) }))
        .route("/api/v1/pipeline", get(|State(api)| told(api, json::pipeline)))
        .route("/api/v2/health", get(health))
        .route("/api/v2/metrics", get(|State(api)| text(api, prometheus::v2)))
        .route("/api/v2/metrics/prometheus", get(|State(api)| text(api, prometheus::v2)))
        .with_state(api)
}

/// The page for whoever prefers HTML, and what the agent is for everybody else.
async fn root(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    match accept.is_some_and(|accept| accept.contains("text/html")) {
        true => Html(PAGE).into_response(),
        false => answer(&json::about()),
    }
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

async fn health(State(api): State<Arc<Api>>) -> Response {
    let state = api.health.state();
    let code = if state.is_good { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (code, answer(&json::health(&api.settings, state))).into_response()
}
