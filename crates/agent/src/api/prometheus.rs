//! The metrics in Prometheus' text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flb_pipeline::Report;
use flb_plugin::{Histogram, Observed, Reading, Value};

use super::Api;

/// One metric: what it is, and a value for each set of labels.
#[derive(Debug, Default)]
struct Metric {
    kind: &'static str,
    help: &'static str,
    /// What the name is followed by, and the value.
    values: Vec<(String, String)>,
}

/// Metrics by their names, so that their order is always the same.
#[derive(Debug, Default)]
struct Metrics(BTreeMap<String, Metric>);

impl Metrics {
    fn add(
        &mut self,
        name: &str,
        kind: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: u64,
    ) {
        self.metric(name, kind, help).values.push((written(labels), value.to_string()));
    }

    fn metric(&mut self, name: &str, kind: &'static str, help: &'static str) -> &mut Metric {
        let metric = self.0.entry(name.to_owned()).or_default();
        (metric.kind, metric.help) = (kind, help);
        metric
    }

    fn counter(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        self.add(name, "counter", help, labels, value);
    }

    fn gauge(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        self.add(name, "gauge", help, labels, value);
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        histogram: &Histogram,
    ) {
        let within = histogram.within().map(|(bound, value)| (bound.as_secs_f64(), value));
        self.buckets(name, help, labels, within, histogram.sum().as_secs_f64(), histogram.count());
    }

    fn observed(
        &mut self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        observed: &Observed,
    ) {
        self.buckets(name, help, labels, observed.within(), observed.sum(), observed.count());
    }

    fn buckets(
        &mut self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        within: impl Iterator<Item = (f64, u64)>,
        sum: f64,
        count: u64,
    ) {
        let metric = self.metric(name, "histogram", help);
        let count = count.to_string();
        let mut bucket = |bound: &str, value: String| {
            let labels = written(&[labels, &[("le", bound)]].concat());
            metric.values.push((format!("_bucket{labels}"), value));
        };
        for (bound, value) in within {
            bucket(&bound.to_string(), value.to_string());
        }
        bucket("+Inf", count.clone());
        let labels = written(labels);
        metric.values.push((format!("_sum{labels}"), sum.to_string()));
        metric.values.push((format!("_count{labels}"), count));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, metric) in &self.0 {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", metric.help, metric.kind);
            for (rest, value) in &metric.values {
                let _ = writeln!(text, "{name}{rest} {value}");
            }
        }
        text
    }
}

/// `{name="a\"b"}`, or nothing.
fn written(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let written: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{{{}}}", written.join(","))
}

/// `/api/v1/metrics/prometheus`
pub(super) fn v1(api: &Api) -> String {
    let mut metrics = Metrics::default();
    counters(&mut metrics, &api.meter.read(), "_total");
    metrics.gauge(
        "fluentbit_uptime",
        "Seconds since the start.",
        &[],
        api.started.elapsed().as_secs(),
    );
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("edition", "flb-agent")];
    metrics.gauge("fluentbit_build_info", "What the agent is.", &labels, 1);
    metrics.text()
}

/// `/api/v2/metrics`
pub(super) fn v2(api: &Api) -> String {
    let mut metrics = Metrics::default();
    let report = api.meter.read();
    counters(&mut metrics, &report, "_total");
    for row in &report.inputs {
        let name = [("name", &*row.instance.name)];
        let mut gauge = |metric: &str, help, value| {
            metrics.gauge(&format!("fluentbit_input_{metric}"), help, &name, value);
        };
        gauge("ingestion_paused", "Whether the input is paused.", u64::from(row.paused));
        gauge("storage_overlimit", "Whether the input is over its limit.", u64::from(row.paused));
        gauge("storage_memory_bytes", "Bytes of its records in memory.", row.memory);
        gauge("storage_chunks", "Its chunks.", row.chunks);
        gauge("storage_chunks_up", "Its chunks in memory.", row.chunks_up);
        gauge("storage_chunks_down", "Its chunks in files only.", row.chunks_down);
        gauge("storage_chunks_busy", "Its chunks on their way.", row.chunks_busy);
        gauge("storage_chunks_busy_bytes", "Size of those on their way.", row.busy_bytes);
        if row.is_ring {
            let mut counter = |metric: &str, help, value| {
                metrics.counter(&format!("fluentbit_input_memrb_{metric}"), help, &name, value);
            };
            counter(
                "dropped_chunks",
                "Chunks that gave way to newer ones.",
                row.overwritten_chunks,
            );
            counter("dropped_bytes", "Size of those.", row.overwritten_bytes);
        }
    }
    metrics.gauge(
        "fluentbit_uptime",
        "Seconds since the start.",
        &[],
        api.started.elapsed().as_secs(),
    );
    reloads(&mut metrics, api);
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("os", std::env::consts::OS)];
    metrics.gauge("fluentbit_build_info", "What the agent is.", &labels, 1);
    metrics.text()
}

fn reloads(metrics: &mut Metrics, api: &Api) {
    let (done, failed) = (api.reloads.done(), api.reloads.failed());
    metrics.gauge("fluentbit_hot_reloaded_times", "Reloads that were done.", &[], done);
    metrics.counter("flb_reload_failures_total", "Reloads that were refused.", &[], failed);
}

fn counters(metrics: &mut Metrics, report: &Report, suffix: &str) {
    for row in &report.inputs {
        let name = [("name", &*row.instance.name)];
        let mut counter = |metric: &str, help, value| {
            metrics.counter(&format!("fluentbit_input_{metric}{suffix}"), help, &name, value);
        };
        counter("records", "Records taken from the input.", row.records);
        counter("bytes", "Bytes taken from the input.", row.bytes);
        counter("long_line_skipped", "Lines that were too long, and skipped.", row.skipped_lines);
        counter("long_line_truncated", "Lines that were too long, and cut off.", row.cut_lines);
        metrics.histogram(
            "flb_input_latency_seconds",
            "Time of a batch from the input, through its filters, into its chunk.",
            &name,
            &row.latency,
        );
        own(metrics, "input", &row.instance.name, &row.metrics);
    }
    for row in &report.filters {
        let name = [("name", &*row.instance.name)];
        let mut counter = |metric: &str, help, value| {
            metrics.counter(&format!("fluentbit_filter_{metric}{suffix}"), help, &name, value);
        };
        counter("records", "Records that came to the filter.", row.tally.records());
        counter("bytes", "Bytes that left the filter.", row.bytes);
        counter("add_records", "Records that the filter added.", row.added);
        let dropped = row.tally.records().saturating_sub(row.passed());
        counter("drop_records", "Records that the filter removed.", dropped);
        counter("drop_bytes", "Bytes that the filter removed.", row.bytes_dropped);
        verdicts(metrics, row);
        metrics.histogram(
            "flb_filter_latency_seconds",
            "Time of a record in the filter: its share of its batch's time.",
            &name,
            &row.latency,
        );
        own(metrics, "filter", &row.instance.name, &row.metrics);
    }
    for row in &report.outputs {
        let name = [("name", &*row.instance.name)];
        let mut counter = |metric: &str, help, value| {
            metrics.counter(&format!("fluentbit_output_{metric}{suffix}"), help, &name, value);
        };
        counter("proc_records", "Records that the output delivered.", row.delivered);
        counter("proc_bytes", "Bytes that the output delivered.", row.delivered_bytes);
        counter("errors", "Chunks that were refused.", row.errors);
        counter("retries", "Times that a chunk was put off.", row.retries);
        counter("retries_failed", "Chunks that ran out of retries.", row.retries_failed);
        counter("dropped_records", "Records that were given up.", row.dropped);
        counter("retried_records", "Records in chunks that were put off.", row.retried);
        for (input, latency) in &row.latency {
            metrics.histogram(
                "fluentbit_output_latency_seconds",
                "Age of a chunk when it was delivered.",
                &[("input", input), ("output", &row.instance.name)],
                latency,
            );
        }
        own(metrics, "output", &row.instance.name, &row.metrics);
    }
    for row in &report.parsers {
        own(metrics, "parser", &row.name, &row.metrics);
    }
}

/// Ours: what became of each record.
fn verdicts(metrics: &mut Metrics, row: &flb_pipeline::FilterReport) {
    let name = &*row.instance.name;
    for (verdict, value) in row.verdicts() {
        let labels = [("name", name), ("verdict", verdict)];
        metrics.counter(
            "flb_filter_verdicts_total",
            "Records by what became of them.",
            &labels,
            value,
        );
    }
    metrics.counter(
        "flb_filter_emitted_extra_total",
        "Records beyond the first that came of one.",
        &[("name", name)],
        row.tally.emitted_extra,
    );
}

/// What an instance of this kind counts of its own: `flb_<kind>_<name>`, the unit, and what is customary of each kind of metric.
fn own(metrics: &mut Metrics, kind: &str, instance: &str, readings: &[Reading]) {
    for Reading { metric, of, value } in readings {
        let unit = metric.unit.map(|unit| format!("_{unit}")).unwrap_or_default();
        let name = |end: &str| format!("flb_{kind}_{}{unit}{end}", metric.name);
        let label = metric.label.unwrap_or("value");
        let labels = of.iter().map(|of| (label, &**of));
        let labels: Vec<(&str, &str)> = [("name", instance)].into_iter().chain(labels).collect();
        match value {
            Value::Counter(value) => metrics.counter(&name("_total"), metric.help, &labels, *value),
            Value::Gauge(value) => metrics.gauge(&name(""), metric.help, &labels, *value),
            Value::Info => metrics.gauge(&name("_info"), metric.help, &labels, 1),
            Value::Times(times) => {
                metrics.histogram(&name("_seconds"), metric.help, &labels, times);
            }
            Value::Observed(observed) => {
                metrics.observed(&name(""), metric.help, &labels, observed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flb_plugin::{FAILURES, Metric};

    use super::*;

    const ROOM: Metric = Metric::new("room", "Room.").in_units_of("bytes");
    const BUILD: Metric = Metric::new("build", "What it is.").by("version");
    const WAIT: Metric = Metric::new("wait", "How long it waits.");
    const SIZES: Metric = Metric::new("sizes", "How large they are.").by("of");
    const SECOND: &[Duration] = &[Duration::from_secs(1)];

    #[test]
    fn what_a_plugin_counts_of_its_own_is_named_by_its_kind() {
        let counted = flb_plugin::Metrics::default();
        counted.counter_of(&FAILURES, "trap").add(2);
        counted.gauge(&ROOM).clone().set(1);
        let mut room = counted.gauge(&ROOM);
        room.set(3);
        counted.info(&BUILD).set("1\"2");
        counted.timer(&WAIT, SECOND).took(Duration::from_millis(500));
        counted.distribution_of(&SIZES, "a", &[1.0, 2.5]).observe(2.0);
        let mut metrics = Metrics::default();
        own(&mut metrics, "filter", "f.0", &counted.read());
        assert_eq!(
            metrics.text(),
            "# HELP flb_filter_build_info What it is.\n# TYPE flb_filter_build_info gauge\n\
             flb_filter_build_info{name=\"f.0\",version=\"1\\\"2\"} 1\n\
             # HELP flb_filter_failures_total Failures of filters by class.\n# TYPE flb_filter_failures_total counter\n\
             flb_filter_failures_total{name=\"f.0\",class=\"trap\"} 2\n\
             # HELP flb_filter_room_bytes Room.\n# TYPE flb_filter_room_bytes gauge\n\
             flb_filter_room_bytes{name=\"f.0\"} 3\n\
             # HELP flb_filter_sizes How large they are.\n# TYPE flb_filter_sizes histogram\n\
             flb_filter_sizes_bucket{name=\"f.0\",of=\"a\",le=\"1\"} 0\n\
             flb_filter_sizes_bucket{name=\"f.0\",of=\"a\",le=\"2.5\"} 1\n\
             flb_filter_sizes_bucket{name=\"f.0\",of=\"a\",le=\"+Inf\"} 1\n\
             flb_filter_sizes_sum{name=\"f.0\",of=\"a\"} 2\nflb_filter_sizes_count{name=\"f.0\",of=\"a\"} 1\n\
             # HELP flb_filter_wait_seconds How long it waits.\n# TYPE flb_filter_wait_seconds histogram\n\
             flb_filter_wait_seconds_bucket{name=\"f.0\",le=\"1\"} 1\n\
             flb_filter_wait_seconds_bucket{name=\"f.0\",le=\"+Inf\"} 1\n\
             flb_filter_wait_seconds_sum{name=\"f.0\"} 0.5\nflb_filter_wait_seconds_count{name=\"f.0\"} 1\n"
        );
    }

    #[test]
    fn metrics_are_sorted_and_labels_escaped() {
        let mut metrics = Metrics::default();
        metrics.counter("b_total", "B.", &[("name", "x\"\\\ny"), ("k", "v")], 2);
        metrics.gauge("a", "A.", &[], 1);
        assert_eq!(
            metrics.text(),
            "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b_total B.\n# TYPE b_total counter\n\
             b_total{name=\"x\\\"\\\\\\ny\",k=\"v\"} 2\n"
        );
    }
}
