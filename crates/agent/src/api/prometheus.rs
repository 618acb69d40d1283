//! The metrics in Prometheus' text format (version 0.0.4).

use std::time::Duration;

use flb_pipeline::{InputReport, Meter, Report};
use flb_plugin::families::Families;
use flb_plugin::{Reading, Value};
use tokio::time::Instant;

use super::Api;
use crate::configuration;
use crate::effective::NodeOptions;
use crate::logging::Log;
use crate::reload::Reloads;

/// What tells the agent's metrics, to whomever.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) meter: Meter,
    pub(crate) reloads: Reloads,
    pub(crate) log: Log,
    pub(crate) options: NodeOptions,
    pub(crate) started: Instant,
    /// The same moment, since 1970.
    pub(crate) since_epoch: Duration,
    pub(crate) host: String,
}

impl Teller {
    /// Begins to count the time.
    pub(crate) fn new(meter: Meter, reloads: Reloads, log: Log) -> Self {
        let since_epoch = Duration::try_from(jiff::Timestamp::now().as_duration());
        Self {
            meter,
            reloads,
            log,
            options: NodeOptions::default(),
            started: Instant::now(),
            since_epoch: since_epoch.unwrap_or_default(),
            host: configuration::hostname().unwrap_or_default(),
        }
    }

    /// All of them.
    pub(crate) fn families(&self) -> Families {
        let mut metrics = Families::default();
        let report = self.meter.read();
        counters(&mut metrics, &report);
        report.inputs.iter().for_each(|row| stored(&mut metrics, row));
        storage(&mut metrics, &report.inputs);
        routes(&mut metrics, &report);
        self.agent(&mut metrics);
        metrics
    }

    fn agent(&self, metrics: &mut Families) {
        let (host, uptime) = ([("hostname", &*self.host)], self.started.elapsed().as_secs());
        metrics.counter("fluentbit_uptime", "Seconds since the start.", &host, uptime);
        metrics.gauge(
            "fluentbit_process_start_time_seconds",
            "When the agent was started, in seconds since 1970.",
            &host,
            self.since_epoch.as_secs(),
        );
        let (done, failed) = (self.reloads.done(), self.reloads.failed());
        metrics.counter("fluentbit_hot_reloaded_times", "Reloads that were done.", &host, done);
        metrics.counter("flb_reload_failures_total", "Reloads that were refused.", &[], failed);
        let (version, os) = (("version", env!("CARGO_PKG_VERSION")), ("os", std::env::consts::OS));
        let labels = [host[0], version, os];
        metrics.gauge("fluentbit_build_info", "What the agent is.", &labels, 1);
        for (kind, lines) in self.log.lines() {
            let labels = [("message_type", kind)];
            metrics.counter("fluentbit_logger_logs_total", "Lines of the log.", &labels, lines);
        }
    }
}

/// `/api/v1/metrics/prometheus`
pub(super) fn v1(api: &Api) -> String {
    let mut metrics = Families::default();
    counters(&mut metrics, &api.teller.meter.read());
    let uptime = api.teller.started.elapsed().as_secs();
    metrics.gauge("fluentbit_uptime", "Seconds since the start.", &[], uptime);
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("edition", "flb-agent")];
    metrics.gauge("fluentbit_build_info", "What the agent is.", &labels, 1);
    metrics.text(&[])
}

/// `/api/v2/metrics`
pub(super) fn v2(api: &Api) -> String {
    api.teller.families().text(&[])
}

/// What an input has in memory and in files.
fn stored(metrics: &mut Families, row: &InputReport) {
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
        counter("dropped_chunks", "Chunks that gave way to newer ones.", row.overwritten_chunks);
        counter("dropped_bytes", "Size of those.", row.overwritten_bytes);
    }
}

/// The chunks of all inputs.
pub(super) struct Storage {
    pub(super) chunks: u64,
    pub(super) in_memory: u64,
    pub(super) in_files: u64,
    pub(super) in_files_up: u64,
    pub(super) in_files_down: u64,
}

impl Storage {
    pub(super) fn of(inputs: &[InputReport]) -> Self {
        let sum = |of: fn(&InputReport) -> u64| inputs.iter().map(of).sum::<u64>();
        let in_files = sum(|row| if row.is_stored { row.chunks } else { 0 });
        let chunks = sum(|row| row.chunks);
        Self {
            chunks,
            in_memory: chunks - in_files,
            in_files,
            in_files_up: sum(|row| if row.is_stored { row.chunks_up } else { 0 }),
            in_files_down: sum(|row| row.chunks_down),
        }
    }
}

fn storage(metrics: &mut Families, inputs: &[InputReport]) {
    let all = Storage::of(inputs);
    let mut gauge = |metric: &str, help, value| {
        metrics.gauge(&format!("fluentbit_storage_{metric}"), help, &[], value);
    };
    gauge("chunks", "Chunks of all inputs.", all.chunks);
    gauge("mem_chunks", "Those that are in memory only.", all.in_memory);
    gauge("fs_chunks", "Those that are in files.", all.in_files);
    gauge("fs_chunks_up", "Those in files that are in memory, too.", all.in_files_up);
    gauge("fs_chunks_down", "Those in files that are not in memory.", all.in_files_down);
}

/// What came of records between inputs and outputs.
fn routes(metrics: &mut Families, report: &Report) {
    for row in &report.outputs {
        for (input, way) in &row.ways {
            let labels = [("input", &**input), ("output", &*row.instance.name)];
            let mut counter = |metric: &str, help, value| {
                metrics.counter(&format!("fluentbit_routing_logs_{metric}"), help, &labels, value);
            };
            counter("records_total", "Records delivered from input to output.", way.records);
            counter("bytes_total", "Their size.", way.bytes);
            given_up(metrics, labels, way.dropped_records, way.dropped_bytes);
        }
    }
    for row in report.inputs.iter().filter(|row| row.unrouted > 0) {
        let labels = [("input", &*row.instance.name), ("output", "unmatched")];
        given_up(metrics, labels, row.unrouted, row.unrouted_bytes);
    }
}

fn given_up(metrics: &mut Families, labels: [(&str, &str); 2], records: u64, bytes: u64) {
    let mut counter = |metric: &str, help, value| {
        metrics.counter(&format!("fluentbit_routing_logs_{metric}"), help, &labels, value);
    };
    counter("drop_records_total", "Records given up on the way.", records);
    counter("drop_bytes_total", "Size of chunks given up on the way.", bytes);
}

fn counters(metrics: &mut Families, report: &Report) {
    for row in &report.inputs {
        let name = [("name", &*row.instance.name)];
        let mut counter = |metric: &str, help, value| {
            metrics.counter(&format!("fluentbit_input_{metric}_total"), help, &name, value);
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
            metrics.counter(&format!("fluentbit_filter_{metric}_total"), help, &name, value);
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
            metrics.counter(&format!("fluentbit_output_{metric}_total"), help, &name, value);
        };
        counter("proc_records", "Records that the output delivered.", row.delivered);
        counter("proc_bytes", "Bytes that the output delivered.", row.delivered_bytes);
        counter("errors", "Chunks that were refused.", row.errors);
        counter("retries", "Times that a chunk was put off.", row.retries);
        counter("retries_failed", "Chunks that ran out of retries.", row.retries_failed);
        counter("dropped_records", "Records that were given up.", row.dropped);
        counter("retried_records", "Records in chunks that were put off.", row.retried);
        metrics.measure(
            "fluentbit_output_chunk_available_capacity_percent",
            "Free part of the room for stored chunks.",
            &name,
            row.free_percent,
        );
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
fn verdicts(metrics: &mut Families, row: &flb_pipeline::FilterReport) {
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
fn own(metrics: &mut Families, kind: &str, instance: &str, readings: &[Reading]) {
    for Reading { metric, of, value } in readings {
        let unit = metric.unit.map(|unit| format!("_{unit}")).unwrap_or_default();
        let name = |end: &str| match metric.known {
            Some(known) => known.to_owned(),
            None => format!("flb_{kind}_{}{unit}{end}", metric.name),
        };
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

    const OPENED: Metric =
        Metric::new("opened", "Opened.").known_as("fluentbit_input_files_opened_total");
    const ROOM: Metric = Metric::new("room", "Room.").in_units_of("bytes");
    const BUILD: Metric = Metric::new("build", "What it is.").by("version");
    const WAIT: Metric = Metric::new("wait", "How long it waits.");
    const SIZES: Metric = Metric::new("sizes", "How large they are.").by("of");
    const SECOND: &[Duration] = &[Duration::from_secs(1)];

    #[test]
    fn what_a_plugin_counts_of_its_own_is_named_by_its_kind() {
        let counted = flb_plugin::Metrics::default();
        counted.counter_of(&FAILURES, "trap").add(2);
        counted.counter(&OPENED).add(7);
        counted.gauge(&ROOM).clone().set(1);
        let mut room = counted.gauge(&ROOM);
        room.set(3);
        counted.info(&BUILD).set("1\"2");
        counted.timer(&WAIT, SECOND).took(Duration::from_millis(500));
        counted.distribution_of(&SIZES, "a", &[1.0, 2.5]).observe(2.0);
        let mut metrics = Families::default();
        own(&mut metrics, "filter", "f.0", &counted.read());
        assert_eq!(
            metrics.text(&[]),
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
             flb_filter_wait_seconds_sum{name=\"f.0\"} 0.5\nflb_filter_wait_seconds_count{name=\"f.0\"} 1\n\
             # HELP fluentbit_input_files_opened_total Opened.\n# TYPE fluentbit_input_files_opened_total counter\n\
             fluentbit_input_files_opened_total{name=\"f.0\"} 7\n"
        );
    }
}
