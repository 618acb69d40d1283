//! `prometheus_remote_write`: the metrics that the input `fluentbit_metrics` takes, written to a server of Prometheus' kind.

use std::sync::Arc;

use flb_event::{Chunk, Timestamp};
use flb_net::aws::{self, Signer};
use flb_net::http_client::{self, Endpoint, HttpClient, Protocol};
use flb_net::options::port;
use flb_net::packing::Packing;
use flb_net::tls;
use flb_plugin::families::{Family, Number, Sample};
use flb_plugin::keys::{Choice, Key, Many, Text};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Secrecy, Spec, Table, keys,
};
use prost::Message as _;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};

use super::families::{families_of, label_of};
use super::post::{Fate, Poster};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "prometheus_remote_write",
    about: "Write metrics to Prometheus",
    options: OPTIONS,
    build: |options, build| Ok(Box::new(remote_write(options, build)?)),
};

keys! {
    const OWN;
    URI: Text = Key::new("uri", "Path to write to").default("/").hiding(Secrecy::Address);
    COMPRESSION: Choice<Packing> = Key::new("compression", "Compression").default("snappy");
    ADD_LABEL: Many<Text> =
        Key::new("add_label", "Name and value of a label of every sample").repeated();
}

const OPTIONS: Table = Table(&[
    OWN,
    http_client::SERVER_KEYS,
    http_client::KEYS,
    aws::AUTH_KEYS,
    aws::SERVICE_KEYS,
    tls::KEYS,
    tls::CLIENT,
]);

const VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-prometheus-remote-write-version"),
    HeaderValue::from_static("0.1.0"),
);

fn remote_write(options: &Options, build: &Build<'_>) -> Result<RemoteWrite, BuildError> {
    let label = Label::output("prometheus_remote_write", build);
    let mut headers = http_client::given_headers(options)?;
    headers.insert(VERSION.0, VERSION.1);
    let endpoint = Endpoint {
        host: options.get(http_client::SERVER),
        port: port(options.get(http_client::PORT), 1)?,
        method: Method::POST,
        path: options.get(URI),
        headers,
        packing: options.get(COMPRESSION),
        protocol: Protocol::Http1,
        tokens: None,
    };
    let signer = Signer::of_options(options, options.get(aws::AWS_SERVICE), build)?;
    let client = HttpClient::of(label.clone(), endpoint, options, build)?.logging(options);
    let client = client.signed_by(signer)?;
    let labels = options.get(ADD_LABEL).into_iter().map(label_of).collect::<Result<_, _>>()?;
    Ok(RemoteWrite(Arc::new(Writer {
        poster: Poster::of("application/x-protobuf", client, build),
        labels,
        label,
        strange: Mishaps::default(),
    })))
}

struct RemoteWrite(Arc<Writer>);

struct Writer {
    poster: Poster,
    /// Of every sample.
    labels: Vec<(String, String)>,
    label: Label,
    strange: Mishaps,
}

impl Output for RemoteWrite {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let (writer, records) = (Arc::clone(&self.0), chunk.clone());
            let make = move || {
                let (request, left_out) = writer.request(&records);
                (writer.poster.packed(request.encode_to_vec()), left_out)
            };
            let (body, left_out) = match tokio::task::spawn_blocking(make).await {
                Ok(made) => made,
                Err(error) => return Flush::Fail(OutputError(error.to_string())),
            };
            if left_out == chunk.len() {
                return Flush::but(left_out);
            }
            match self.0.poster.post(body, None).await {
                Fate::Taken => Flush::but(left_out),
                Fate::Refused(refusal) => {
                    self.0.poster.count(&refusal, chunk.len() - left_out);
                    Flush::Fail(OutputError(format!("{} {refusal}", self.0.label)))
                }
                Fate::Later(fate) | Fate::Away(fate) => fate,
            }
        })
    }
}

impl Writer {
    /// The series of a chunk, and how many of its records are no metrics. Each look at the metrics has its own time.
    fn request(&self, chunk: &Chunk) -> (WriteRequest, usize) {
        let (mut series, mut left_out) = (Vec::new(), 0);
        for (time, look) in looks(chunk) {
            let (families, strange) = families_of(&look, &self.label, &self.strange);
            left_out += strange;
            for (name, Family { samples, .. }) in &families.0 {
                series.extend(samples.iter().map(|sample| self.series(name, sample, time)));
            }
        }
        (WriteRequest { series }, left_out)
    }

    /// A series of one sample. Its labels are sorted, as the protocol asks for.
    fn series(&self, name: &str, sample: &Sample, time: Timestamp) -> Series {
        let pair =
            |(name, value): &(String, String)| Pair { name: name.clone(), value: value.clone() };
        let mut labels: Vec<Pair> = sample.labels.iter().chain(&self.labels).map(pair).collect();
        let name = format!("{name}{}", sample.suffix);
        labels.push(Pair { name: "__name__".to_owned(), value: name });
        // Of two labels of one name the sample's own is known, and an empty one is none.
        labels.retain(|label| !label.value.is_empty());
        labels.sort_by(|one, next| one.name.cmp(&next.name));
        labels.dedup_by(|next, one| next.name == one.name);
        let value = match sample.value {
            Number::Whole(number) => number as f64,
            Number::Real(number) => number,
        };
        let timestamp = i64::from(time.sec) * 1000 + i64::from(time.nsec / 1_000_000);
        Series { labels, samples: vec![Value { value, timestamp }] }
    }
}

/// The records of each time, in the order of the chunk.
fn looks(chunk: &Chunk) -> Vec<(Timestamp, Chunk)> {
    let times: Vec<Timestamp> = chunk.records().map(|event| event.time).collect();
    let mut known = times.clone();
    let only = |time: Timestamp| {
        let meant: Vec<bool> = times.iter().map(|of| *of == time).collect();
        (time, chunk.only(&meant))
    };
    known.sort_unstable();
    known.dedup();
    known.into_iter().map(only).collect()
}

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Value {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TAKEN, nothing_is_lost_of};
    use flb_harness::net::block_on;
    use flb_harness::{build_with, chunk, options};
    use flb_testkit::stub::{Reply, Request, Stub};

    const UP: &str = r#"{"name":"up","type":"gauge","help":"Up.","samples":[{"name":"up","labels":{"z":"1","empty":""},"value":1}]}"#;
    const WAIT: &str = r#"{"name":"wait","type":"histogram","help":"W.","samples":[{"name":"wait_bucket","labels":{"le":"+Inf"},"value":2},{"name":"wait_sum","labels":{},"value":0.5}]}"#;

    fn output(port: u16, given: &[(&str, &str)]) -> RemoteWrite {
        let port = port.to_string();
        let own =
            [("port", port.as_str()), ("uri", "/api/v1/write"), ("http.response_timeout", "1")];
        build_with(&options(OPTIONS, &[&own, given].concat()), remote_write).unwrap()
    }

    /// A server that takes what the protocol allows.
    fn server() -> Stub {
        Stub::start(|request| match check(request) {
            Ok(()) => Reply::new(204, ""),
            Err(why) => Reply::new(400, why),
        })
    }

    fn check(request: &Request) -> Result<(), &'static str> {
        let header = |name, value| request.header(name) == Some(value);
        if !header("content-type", "application/x-protobuf")
            || !header("x-prometheus-remote-write-version", "0.1.0")
            || request.path != "/api/v1/write"
        {
            return Err("not a write");
        }
        let series = unpacked(request).series;
        let sorted = series.iter().all(|series| {
            let names = series.labels.iter().map(|label| &label.name);
            names.is_sorted_by(|one, next| one < next)
                && series.labels.iter().any(|label| label.name == "__name__")
        });
        if sorted && !series.is_empty() { Ok(()) } else { Err("labels are not sorted") }
    }

    fn unpacked(request: &Request) -> WriteRequest {
        let body = match request.header("content-encoding") {
            Some("snappy") => snap::raw::Decoder::new().decompress_vec(&request.body).unwrap(),
            None => request.body.clone(),
            Some(other) => panic!("{other}"),
        };
        WriteRequest::decode(&*body).unwrap()
    }

    /// The series as text.
    fn written(given: &[(&str, &str)], records: &[(u32, u32, &str)]) -> Vec<String> {
        let stub = server();
        let flush = block_on(output(stub.port(), given).flush(&chunk("t", records)));
        assert!(matches!(flush, Flush::Done), "{flush:?}");
        let show = |series: Series| {
            let labels: Vec<String> = series
                .labels
                .iter()
                .map(|label| format!("{}={}", label.name, label.value))
                .collect();
            let Value { value, timestamp } = series.samples[0];
            format!("{} {value} {timestamp}", labels.join(","))
        };
        unpacked(&stub.requests()[0]).series.into_iter().map(show).collect()
    }

    #[test]
    fn a_sample_is_a_series_with_sorted_labels_and_the_time_of_its_look() {
        let later = UP.replace(":1}", ":0}");
        let records = [(5, 250_000_000, UP), (5, 250_000_000, WAIT), (7, 0, later.as_str())];
        let expected = [
            "__name__=up,app=x,z=1 1 5250",
            "__name__=wait_bucket,app=x,le=+Inf 2 5250",
            "__name__=wait_sum,app=x 0.5 5250",
            "__name__=up,app=x,z=1 0 7000",
        ];
        assert_eq!(written(&[("add_label", "app x")], &records), expected);
        let plain = [("compression", "none"), ("add_label", "z 2")];
        assert_eq!(written(&plain, &records[..1]), ["__name__=up,z=1 1 5250"]);
    }

    #[test]
    fn whatever_the_server_does_nothing_is_lost() {
        let mut stub = server();
        let output = output(stub.port(), &[]);
        nothing_is_lost_of(&output, &chunk("t", &[(5, 0, UP)]), &[401, 403, 404], &mut stub);
        let taken = stub.requests().iter().filter(|request| check(request).is_ok()).count();
        assert!(taken >= TAKEN, "{taken}");
    }

    #[test]
    fn what_is_no_metric_or_refused_for_good_is_dropped_and_counted() {
        let stub = server();
        let output = output(stub.port(), &[]);
        let strange = r#"{"log":"x"}"#;
        let flush = block_on(output.flush(&chunk("t", &[(5, 0, strange), (5, 0, UP)])));
        assert!(matches!(flush, Flush::Partly { left_out: 1, .. }), "{flush:?}");
        let flush = block_on(output.flush(&chunk("t", &[(5, 0, strange)])));
        assert!(matches!(flush, Flush::Partly { left_out: 1, .. }), "{flush:?}");
        stub.fail(Some(flb_testkit::stub::Fault::Instead(Reply::new(400, "out of order"))));
        let flush = block_on(output.flush(&chunk("t", &[(5, 0, UP)])));
        let Flush::Fail(error) = flush else { panic!("{flush:?}") };
        assert!(error.to_string().contains("out of order"), "{error}");
    }
}
