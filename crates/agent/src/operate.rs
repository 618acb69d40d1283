//! The run itself: a pipeline, the HTTP server beside it, and at each reload another pipeline that takes its place.

use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context;
use flb_pipeline::{Meter, Outcome, Report, RunError, Stop};
use flb_plugin::Ending;
use flb_plugin::families::Overview;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::api::{Server, Teller};
use crate::configuration::{self, Built, Origin};
use crate::logging::Log;
use crate::reload::{Reloads, Request, reloads};
use crate::service::HttpSettings;
use crate::{exit, signals};

/// Threads for inputs and outputs. Filters have threads of their own.
const WORKERS: usize = 2;

/// Runs what was built until it has stopped; returns the exit code.
pub(crate) fn operate(origin: Origin, built: Built) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (stop, meter) = (Stop::default(), built.pipeline.meter());
    let (reloads, requests) = reloads(built.hot_reload.is_on.unwrap_or(false));
    let teller = Teller::new(meter.clone(), reloads.clone(), origin.log.clone());
    let Ok(overview) = origin.shared.get_or_make(|| Ok::<_, Infallible>(Overview::default()));
    teller.options.set(built.options.clone());
    let told = teller.clone();
    overview.tell_by(move || told.families());
    let Ok(ending) = origin.shared.get_or_make(|| Ok::<_, Infallible>(Ending::default()));
    let asked = stop.clone();
    ending.by(move || {
        tracing::info!("[engine] a plugin asks the agent to end");
        asked.ask();
    });
    let (counts, log) = (meter.clone(), origin.log.clone());
    let last = log.clone();
    signals::listen(stop.clone(), reloads.clone(), move || cut_off(&counts, &last))
        .context("cannot listen to signals")?;
    tracing::info!("[flb-agent] version={}, pid={}", env!("CARGO_PKG_VERSION"), std::process::id());
    let most = origin.descriptors.server;
    let server = match runtime.block_on(first_server(&built.http, most, &teller)) {
        Ok(server) => server,
        Err(error) => {
            tracing::error!("[http_server] {error:#}");
            return Ok(exit::START);
        }
    };
    let mut operation = Operation {
        origin,
        stop,
        teller,
        reloads,
        requests,
        server: None,
        servers: JoinSet::new(),
    };
    let report = runtime.block_on(async {
        operation.serve(server);
        operation.run(built).await
    });
    // A read of standard input cannot be cancelled; the process does not wait for it.
    runtime.shutdown_background();
    log.finish();
    match report {
        Ok(report) => {
            log_report(&report);
            Ok(ending.code().unwrap_or(report.code))
        }
        Err(error) => {
            tracing::error!("{error}");
            Ok(exit::START)
        }
    }
}

async fn first_server(
    http: &HttpSettings,
    most: usize,
    teller: &Teller,
) -> anyhow::Result<Option<Server>> {
    match http.is_on {
        true => Server::listen(http, most, teller.clone()).await.map(Some),
        false => Ok(None),
    }
}

struct Operation {
    origin: Origin,
    stop: Stop,
    teller: Teller,
    reloads: Reloads,
    requests: mpsc::Receiver<Request>,
    server: Option<Arc<Server>>,
    /// The server at work, and those that give their last answers.
    servers: JoinSet<()>,
}

/// A configuration that is ready to take over.
struct Next {
    built: Built,
    server: Servers,
    request: Request,
}

/// What becomes of the HTTP server.
enum Servers {
    Stays,
    Becomes(Option<Server>),
}

impl Operation {
    /// Runs one pipeline after the other.
    async fn run(&mut self, first: Built) -> Result<Report, RunError> {
        let Built { mut pipeline, hot_reload, .. } = first;
        let mut is_on = hot_reload.is_on.unwrap_or(false);
        loop {
            let storage = pipeline.storage_path().map(Path::to_owned);
            let replace = Stop::default();
            let stop = self.stop.clone();
            let mut running = pin!(pipeline.run_until_replaced(&stop, &replace));
            let next = tokio::select! {
                outcome = &mut running => return outcome.map(report),
                next = self.next(storage.as_deref(), is_on) => next,
            };
            replace.ask();
            let left = match running.await? {
                Outcome::Stopped(report) => return Ok(report),
                Outcome::Replaced(left) => left,
            };
            let Next { built, server, request } = next;
            let records = left.records();
            pipeline = built.pipeline;
            // Whoever forgets the key, or saves half a file, can reload what is right.
            is_on = built.hot_reload.is_on.unwrap_or(is_on);
            pipeline.take_over(left);
            self.teller.meter.follow(&pipeline.meter());
            self.teller.options.set(built.options);
            if let Servers::Becomes(server) = server {
                self.serve(server);
            }
            self.reloads.end(request, true, is_on);
            tracing::info!("[reload] start everything; {records} records were handed over");
        }
    }

    /// Waits until somebody asks for another configuration, and that is right.
    async fn next(&mut self, storage: Option<&Path>, is_on: bool) -> Next {
        loop {
            let Some(request) = self.requests.recv().await else {
                return std::future::pending().await;
            };
            self.reloads.begin();
            tracing::info!("[reload] reloading instance pid={}", std::process::id());
            match self.prepare(storage).await {
                Ok((built, server)) => return Next { built, server, request },
                Err(error) => {
                    if let Some(error) = error {
                        tracing::error!("{error:#}");
                    }
                    self.reloads.end(request, false, is_on);
                    tracing::error!("[reload] reloaded config is invalid. Reloading is halted");
                }
            }
        }
    }

    /// Builds what the configuration says now, and takes what it needs, while the old one is at work. The error is what has
    /// not been said yet.
    async fn prepare(
        &self,
        storage: Option<&Path>,
    ) -> Result<(Built, Servers), Option<anyhow::Error>> {
        let origin = self.origin.clone();
        let built = tokio::task::spawn_blocking(move || configuration::rebuild(&origin)).await;
        let mut built = match built {
            Ok(built) => built.map_err(|_| None)?,
            Err(panic) => return Err(Some(panic.into())),
        };
        built.pipeline.reserve(storage).map_err(|error| Some(error.into()))?;
        let server = self.next_server(&built.http).await.context("[http_server]");
        let server = server.map_err(Some)?;
        built.set_log(&self.origin.log);
        Ok((built, server))
    }

    async fn next_server(&self, http: &HttpSettings) -> anyhow::Result<Servers> {
        match &self.server {
            Some(server) if server.settings() == http => Ok(Servers::Stays),
            None if !http.is_on => Ok(Servers::Stays),
            _ if !http.is_on => Ok(Servers::Becomes(None)),
            Some(server) => Ok(Servers::Becomes(Some(server.with(http).await?))),
            None => {
                let server =
                    Server::listen(http, self.origin.descriptors.server, self.teller.clone());
                Ok(Servers::Becomes(Some(server.await?)))
            }
        }
    }

    /// Serves with this one from now on. The one before gives its last answers.
    fn serve(&mut self, server: Option<Server>) {
        while self.servers.try_join_next().is_some() {}
        if let Some(before) = self.server.take() {
            before.end();
        }
        self.server = server.map(Arc::new);
        if let Some(server) = &self.server {
            self.servers.spawn(Arc::clone(server).run());
        }
    }
}

/// Nobody asked for another pipeline, so this one has stopped.
fn report(outcome: Outcome) -> Report {
    match outcome {
        Outcome::Stopped(report) => report,
        Outcome::Replaced(_) => Report::default(),
    }
}

/// Ends the process while the pipeline drains.
fn cut_off(meter: &Meter, log: &Log) {
    let report = meter.read();
    log.finish();
    log_report(&report);
    let (lost, stored) = (report.lost(), report.stored());
    tracing::error!("[engine] cut off by a second signal: {lost} records are lost");
    if stored > 0 {
        tracing::warn!("[engine] {stored} records stay in storage until the next start");
    }
    std::process::exit(exit::CONFIG.into());
}

fn log_report(report: &Report) {
    for line in report.lines() {
        tracing::info!("{line}");
    }
}
