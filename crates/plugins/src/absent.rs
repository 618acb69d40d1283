//! Fluent Bit's plugins that are not here: a row each, so that whoever asks for one is told what to do instead.
//!
//! Where one is built, its row goes.

use Role::{Filter, Input, Output, Processor};
use flb_plugin::{Absent, Role};

#[cfg(not(all(feature = "lua", any(target_arch = "x86_64", target_arch = "aarch64"))))]
const FROM_LUA: &str = "take an agent that was built with Lua, or write it as a WebAssembly filter, wasm; docs/from-lua.md shows the same filter in both, and examples/filters has \
                        whole ones in C and Rust";
#[cfg(not(feature = "kafka"))]
const WITH_KAFKA: &str = "take an agent from a package, or build one with --features kafka";
const KEEP_AGENT: &str = "keep a Fluent Bit for it, and send from there with its output forward to the input forward here";
const SEND_ON: &str = "send with the output forward to a Fluent Bit, or with the output http to a collector, that delivers it";
const BY_OTLP: &str = "send with the output opentelemetry to a collector that delivers it";
const BY_HTTP: &str = "send with the output http, if the receiver takes JSON";
const BY_EXEC: &str = "read what a command prints, with the input exec";
const NO_METRICS: &str =
    "there are only logs here; keep a Fluent Bit or a Prometheus exporter for metrics";
const LEAVE_OUT: &str = "leave it out";
const BY_MODIFY: &str =
    "use the filters modify, record_modifier or wasm, which may stand in its place";

/// One of them.
const fn absent(kind: Role, name: &'static str, instead: &'static str) -> Absent {
    Absent { kind, name, is_planned: false, instead }
}

/// Every one that people ask for, by kind and alphabetic.
pub(crate) static ALL: &[Absent] = &[
    absent(Input, "azure_event_grid", KEEP_AGENT),
    absent(Input, "blob", "read the files with the input tail"),
    absent(Input, "calyptia_fleet", LEAVE_OUT),
    absent(Input, "collectd", NO_METRICS),
    absent(Input, "disk", NO_METRICS),
    absent(Input, "docker", NO_METRICS),
    absent(Input, "docker_events", BY_EXEC),
    absent(Input, "ebpf", KEEP_AGENT),
    absent(
        Input,
        "elasticsearch",
        "let clients post to the input http, or to the input opentelemetry",
    ),
    absent(Input, "etw", KEEP_AGENT),
    absent(Input, "event_test", "use the input dummy"),
    absent(Input, "event_type", "use the input dummy"),
    absent(
        Input,
        "fluentbit_logs",
        "read the agent's own log with the input tail: Log_File says where it is",
    ),
    absent(Input, "gpu_metrics", NO_METRICS),
    absent(Input, "head", "use the input tail, or exec with head"),
    absent(Input, "health", BY_EXEC),
    #[cfg(not(feature = "kafka"))]
    absent(Input, "kafka", WITH_KAFKA),
    absent(Input, "kmsg", "read the kernel's log with the input exec: dmesg --follow"),
    absent(
        Input,
        "kubernetes_events",
        "read them with the input exec: kubectl get events --watch -o json",
    ),
    absent(Input, "lib", "use the input stdin"),
    absent(Input, "mqtt", BY_EXEC),
    absent(Input, "netif", NO_METRICS),
    absent(Input, "nginx_metrics", NO_METRICS),
    absent(Input, "node_exporter_metrics", NO_METRICS),
    absent(Input, "podman_metrics", NO_METRICS),
    absent(Input, "proc", BY_EXEC),
    absent(Input, "process_exporter_metrics", NO_METRICS),
    absent(Input, "prometheus_remote_write", NO_METRICS),
    absent(Input, "prometheus_scrape", NO_METRICS),
    absent(Input, "prometheus_textfile", NO_METRICS),
    absent(Input, "serial", "use the input exec: cat of the device"),
    absent(Input, "splunk", "let clients post to the input http"),
    absent(Input, "statsd", NO_METRICS),
    absent(Input, "thermal", NO_METRICS),
    absent(Input, "windows_exporter_metrics", NO_METRICS),
    absent(Input, "winevtlog", KEEP_AGENT),
    absent(Input, "winlog", KEEP_AGENT),
    absent(Input, "winstat", NO_METRICS),
    absent(Filter, "alter_size", "use the filters grep or throttle"),
    absent(
        Filter,
        "ecs",
        "set what you need with the filter record_modifier and variables: Record cluster ${ECS_CLUSTER}",
    ),
    absent(Filter, "log_to_metrics", NO_METRICS),
    absent(
        Filter,
        "lookup",
        "write it as a WebAssembly filter, wasm: Accessible_Paths lets it read the table",
    ),
    #[cfg(not(all(feature = "lua", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    absent(Filter, "lua", FROM_LUA),
    absent(Filter, "nightfall", "redact with a WebAssembly filter, wasm"),
    absent(
        Filter,
        "sysinfo",
        "set what you need with the filter record_modifier: Record hostname ${HOSTNAME}",
    ),
    absent(Filter, "tensorflow", "write it as a WebAssembly filter, wasm"),
    absent(
        Filter,
        "type_converter",
        "convert with a parser's Types and the filter parser, or with a WebAssembly filter, wasm",
    ),
    absent(Filter, "wasi-nn", "write it as a WebAssembly filter, wasm"),
    absent(Processor, "cumulative_to_delta", NO_METRICS),
    absent(Processor, "labels", NO_METRICS),
    absent(Processor, "metrics_selector", NO_METRICS),
    absent(
        Processor,
        "opentelemetry_envelope",
        "use the output opentelemetry, which makes the envelope itself",
    ),
    absent(Processor, "sampling", "use the filter throttle, which may stand in its place"),
    absent(Processor, "sql", "use the filters grep and modify, which may stand in its place"),
    absent(Processor, "tda", NO_METRICS),
    absent(Processor, "template", BY_MODIFY),
    absent(Output, "azure", SEND_ON),
    absent(Output, "azure_blob", SEND_ON),
    absent(Output, "azure_kusto", SEND_ON),
    absent(Output, "azure_logs_ingestion", SEND_ON),
    absent(Output, "bigquery", SEND_ON),
    absent(Output, "chronicle", SEND_ON),
    absent(Output, "cloudwatch", SEND_ON),
    absent(Output, "datadog", BY_OTLP),
    absent(Output, "elasticsearch", "it is called es"),
    absent(Output, "firehose", SEND_ON),
    absent(Output, "influxdb", SEND_ON),
    #[cfg(not(feature = "kafka"))]
    absent(Output, "kafka", WITH_KAFKA),
    absent(Output, "kafka-rest", BY_HTTP),
    absent(Output, "kinesis_firehose", SEND_ON),
    absent(Output, "kinesis_streams", SEND_ON),
    absent(Output, "lib", "use the output stdout"),
    absent(Output, "logdna", BY_HTTP),
    absent(Output, "nats", SEND_ON),
    absent(Output, "newrelic", BY_OTLP),
    absent(Output, "nrlogs", BY_OTLP),
    absent(Output, "oracle_log_analytics", SEND_ON),
    absent(Output, "pgsql", SEND_ON),
    absent(Output, "plot", "use the output file with format csv"),
    absent(Output, "retry", LEAVE_OUT),
    absent(Output, "skywalking", SEND_ON),
    absent(Output, "slack", BY_HTTP),
    absent(Output, "stackdriver", BY_OTLP),
    absent(Output, "td", BY_HTTP),
    absent(Output, "vivo_exporter", "watch the records at the agent's own page: HTTP_Server on"),
    absent(Output, "websocket", "use the output http with format json_lines"),
    absent(Output, "zig_demo", LEAVE_OUT),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::REGISTRY;

    #[test]
    fn what_is_here_is_not_absent() {
        let here = |row: &Absent| match row.kind {
            Input => REGISTRY.inputs.iter().any(|spec| spec.name == row.name),
            Filter | Processor => REGISTRY.filters.iter().any(|spec| spec.name == row.name),
            Output => REGISTRY.outputs.iter().any(|spec| spec.name == row.name),
        };
        let both: Vec<&str> = ALL.iter().filter(|row| here(row)).map(|row| row.name).collect();
        assert_eq!(both, [""; 0]);
    }

    #[test]
    fn every_plugin_that_is_not_here_has_its_row() {
        let kind = |row: &Absent| format!("{:?}", row.kind).to_lowercase();
        let planned = |row: &Absent| if row.is_planned { "yes" } else { "" };
        let line = |row: &Absent| {
            format!("| {} `{}` | {} | {} |", kind(row), row.name, planned(row), row.instead)
        };
        let page = include_str!("../../../docs/compat.md");
        let section = page.split("## Plugins that are not here").nth(1).unwrap();
        let rows = section.split("\n## ").next().unwrap().lines().skip(7);
        let told: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        // What is only left out of this build is no matter of the page.
        let all = ALL.iter().filter(|row| row.name != "kafka");
        assert_eq!(told, all.map(line).collect::<Vec<_>>());
    }

    #[test]
    fn the_table_is_alphabetic_by_kind() {
        for kind in [Input, Filter, Processor, Output] {
            let mut names = ALL.iter().filter(|row| row.kind == kind).map(|row| row.name);
            let sorted = names.clone().is_sorted_by(|one, next| one < next);
            assert!(sorted && names.next().is_some(), "{kind:?}");
        }
    }

    #[test]
    fn a_row_is_a_sentence_without_an_end() {
        for row in ALL {
            let begins = row.instead.starts_with(char::is_lowercase);
            assert!(begins && !row.instead.ends_with('.'), "{}: {}", row.name, row.instead);
        }
    }
}
