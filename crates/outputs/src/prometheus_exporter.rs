//! `prometheus_exporter`: the metrics that the input `fluentbit_metrics` takes, for whoever scrapes them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flb_event::{Chunk, Tag};
use flb_net::listener::{self, Acceptor, Listener};
use flb_net::stream::Stream;
use flb_plugin::families::{Families, PROMETHEUS, Sample};
use flb_plugin::keys::{Bool, Key, Many, Text};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{BoxFuture, Build, BuildError, Flush, Options, Output, Spec, Table, keys};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::families::{families_of, label_of};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "prometheus_exporter",
    about: "Serve metrics to Prometheus",
    options: Table(&[OWN]),
    build,
};

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Address to listen on").default("0.0.0.0");
    PORT: Text = listener::port_key("2021");
    ADD_LABEL: Many<Text> =
        Key::new("add_label", "Name and value of a label of every sample").repeated();
    ADD_TIMESTAMP: Option<Bool> =
        Key::new("add_timestamp", "").idle("a scraper knows when it has looked");
}

/// Connections at a time.
const MOST: usize = 32;
/// How long a request's head may take, and how long a connection may be idle between two.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is kept.
const LIFE: Duration = Duration::from_secs(60);
/// What is read of a connection at once; a request's head must fit.
const READ: usize = 16 * 1024;
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(exporter(options, build)?))
}

fn exporter(options: &Options, build: &Build<'_>) -> Result<Exporter, BuildError> {
    let label = Label::output("prometheus_exporter", build);
    let listener = Listener::at(options.get(HOST), options.get(PORT), build.service)?;
    tracing::info!("{label} listening on {}", listener.address());
    let labels = options.get(ADD_LABEL).into_iter().map(label_of).collect::<Result<_, _>>()?;
    Ok(Exporter { listener, labels, label, strange: Mishaps::default(), last: Arc::default() })
}

struct Exporter {
    listener: Listener,
    /// Of every sample.
    labels: Vec<(String, String)>,
    label: Label,
    strange: Mishaps,
    /// The last metrics of each tag.
    last: Arc<Mutex<BTreeMap<Tag, Families>>>,
}

impl Output for Exporter {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let (families, left_out) = families_of(chunk, &self.label, &self.strange);
            if !families.0.is_empty() {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                last.entry(chunk.tag().clone()).or_default().0.extend(families.0);
            }
            Flush::but(left_out)
        })
    }

    fn attend(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match self.listener.open() {
                Ok(acceptor) => self.serve(&acceptor).await,
                Err(error) => tracing::error!("{} {error}", self.label),
            }
        })
    }
}

impl Exporter {
    /// Answers whoever connects, some at a time.
    async fn serve(&self, acceptor: &Acceptor) {
        let places = Arc::new(Semaphore::new(MOST));
        let mut talks = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = accept(acceptor).await;
            while talks.try_join_next().is_some() {}
            let (last, labels) = (Arc::clone(&self.last), self.labels.clone());
            talks.spawn(async move {
                let _place = place;
                // How it ended is the client's business.
                let _ = timeout(LIFE, talk(stream, &last, &labels)).await;
            });
        }
    }
}

async fn accept(acceptor: &Acceptor) -> Stream {
    loop {
        match acceptor.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => sleep(NO_ROOM).await,
        }
    }
}

async fn talk(
    stream: Stream,
    last: &Mutex<BTreeMap<Tag, Families>>,
    labels: &[(String, String)],
) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.uri().path(), last, labels);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(READ);
    builder.serve_connection(TokioIo::new(stream), service).await
}

fn answer(
    path: &str,
    last: &Mutex<BTreeMap<Tag, Families>>,
    labels: &[(String, String)],
) -> Response<Full<Bytes>> {
    let is_metrics = path == "/metrics" || path == "/";
    let text = match is_metrics {
        true => all(&last.lock().unwrap_or_else(PoisonError::into_inner)).text(labels),
        false => "metrics are at /metrics\n".to_owned(),
    };
    let mut answer = Response::new(Full::new(text.into()));
    let kind = if is_metrics { PROMETHEUS } else { "text/plain" };
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if !is_metrics {
        *answer.status_mut() = StatusCode::NOT_FOUND;
    }
    answer
}

/// What is known of all tags, each family once.
fn all(last: &BTreeMap<Tag, Families>) -> Families {
    let mut all = Families::default();
    for (name, family) in last.values().flat_map(|families| &families.0) {
        let samples = &mut all.family(name, &family.kind, &family.help).samples;
        for sample in &family.samples {
            let is_same =
                |known: &Sample| (&known.suffix, &known.labels) == (&sample.suffix, &sample.labels);
            if !samples.iter().any(is_same) {
                samples.push(sample.clone());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use flb_harness::net::block_on;
    use flb_harness::{build_with, chunk, options};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const UP: &str = r#"{"name":"up","type":"gauge","help":"Up.","samples":[{"name":"up","labels":{"name":"x"},"value":1}]}"#;
    const WAIT: &str = r#"{"name":"wait","type":"histogram","help":"W.","samples":[{"name":"wait_bucket","labels":{"le":"+Inf"},"value":2},{"name":"wait_sum","labels":{},"value":0.5},{"name":"wait_count","labels":{},"value":2}]}"#;

    fn output(given: &[(&str, &str)]) -> Result<Exporter, BuildError> {
        let given = [&[("host", "127.0.0.1"), ("port", "0")], given].concat();
        build_with(&options(SPEC.options, &given), exporter)
    }

    /// The answer to one request, after these records.
    fn scraped(given: &[(&str, &str)], records: &[&str], path: &str) -> (Flush, String) {
        block_on(async {
            let output = output(given).unwrap();
            let records: Vec<_> = records.iter().map(|record| (1, 0, *record)).collect();
            let flushed = output.flush(&chunk("t", &records)).await;
            let address = output.listener.address();
            let ask = async {
                let mut client = TcpStream::connect(address).await.unwrap();
                let request =
                    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                client.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                answer
            };
            tokio::select! {
                answer = ask => (flushed, answer),
                () = output.attend() => panic!("it has ended"),
            }
        })
    }

    #[test]
    fn metrics_that_came_as_records_are_served_as_text() {
        let (flushed, answer) =
            scraped(&[("add_label", "app fluent-bit")], &[UP, WAIT], "/metrics");
        assert!(matches!(flushed, Flush::Done));
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        assert_eq!(
            text,
            "# HELP up Up.\n# TYPE up gauge\nup{name=\"x\",app=\"fluent-bit\"} 1\n\
             # HELP wait W.\n# TYPE wait histogram\nwait_bucket{le=\"+Inf\",app=\"fluent-bit\"} 2\n\
             wait_sum{app=\"fluent-bit\"} 0.5\nwait_count{app=\"fluent-bit\"} 2\n"
        );
    }

    #[test]
    fn the_last_value_of_each_tag_stands() {
        let exporter = output(&[]).unwrap();
        for (tag, body) in
            [("a", UP), ("a", &*UP.replace(":1}", ":5}")), ("b", &*UP.replace("\"x\"", "\"y\""))]
        {
            block_on(exporter.flush(&chunk(tag, &[(1, 0, body)])));
        }
        let text = all(&exporter.last.lock().unwrap()).text(&[]);
        assert_eq!(text, "# HELP up Up.\n# TYPE up gauge\nup{name=\"x\"} 5\nup{name=\"y\"} 1\n");
    }

    #[test]
    fn a_record_that_is_no_metric_is_left_out_and_counted() {
        let strange = [r#"{"log":"x"}"#, r#"{"name":"a b","samples":[]}"#, UP];
        let (flushed, answer) = scraped(&[], &strange, "/");
        assert!(matches!(flushed, Flush::Partly { left_out: 2, .. }), "{flushed:?}");
        assert!(answer.ends_with("up{name=\"x\"} 1\n"), "{answer}");
    }

    #[test]
    fn other_paths_lead_nowhere() {
        let (_, answer) = scraped(&[], &[UP], "/secret");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused = |given: &[(&str, &str)]| output(given).err().unwrap().to_string();
        assert!(refused(&[("add_label", "alone")]).contains("is not a label"));
        assert!(refused(&[("add_label", "a-b c")]).contains("is not a label"));
    }
}
