//! The answers in JSON.

use flb_config::Role;
use flb_pipeline::Instance;
use flb_plugin::{Histogram, Reading};
use serde_json::{Map, Value, json};

use super::Api;
use super::health::HealthState;
use super::prometheus::Storage;
use crate::service::HttpSettings;

/// `/`: what the agent is.
pub(super) fn about() -> Value {
    json!({"fluent-bit": {"version": env!("CARGO_PKG_VERSION"), "edition": "flb-agent", "flags": []}})
}

/// `/api/v1/uptime`
pub(super) fn uptime(api: &Api) -> Value {
    let seconds = api.teller.started.elapsed().as_secs();
    json!({"uptime_sec": seconds, "uptime_hr": readable(seconds)})
}

fn readable(seconds: u64) -> String {
    let part =
        |count: u64, unit: &str| format!("{count} {unit}{}", if count > 1 { "s" } else { "" });
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    format!(
        "Fluent Bit has been running:  {}, {}, {} and {}",
        part(days, "day"),
        part(hours % 24, "hour"),
        part(minutes % 60, "minute"),
        part(seconds % 60, "second")
    )
}

/// An object of rows, each under its instance's name.
fn by_name<T>(rows: &[T], name: impl Fn(&T) -> &Instance, value: impl Fn(&T) -> Value) -> Value {
    let rows = rows.iter().map(|row| (name(row).name.to_string(), value(row)));
    Value::Object(rows.collect::<Map<_, _>>())
}

/// `/api/v1/metrics`
pub(super) fn metrics(api: &Api) -> Value {
    let report = api.teller.meter.read();
    let inputs = by_name(
        &report.inputs,
        |row| &row.instance,
        |row| json!({"records": row.records, "bytes": row.bytes}),
    );
    let filters = by_name(
        &report.filters,
        |row| &row.instance,
        |row| {
            json!({
                "drop_records": row.tally.records().saturating_sub(row.passed()),
                "add_records": row.added,
                "records": row.tally.records(),
                "bytes": row.bytes,
                "drop_bytes": row.bytes_dropped,
            })
        },
    );
    let outputs = by_name(
        &report.outputs,
        |row| &row.instance,
        |row| {
            json!({
                "proc_records": row.delivered,
                "proc_bytes": row.delivered_bytes,
                "errors": row.errors,
                "retries": row.retries,
                "retries_failed": row.retries_failed,
                "dropped_records": row.dropped,
                "retried_records": row.retried,
            })
        },
    );
    json!({"input": inputs, "filter": filters, "output": outputs})
}

/// `/api/v1/storage`
pub(super) fn storage(api: &Api) -> Value {
    let inputs = api.teller.meter.read().inputs;
    let all = Storage::of(&inputs);
    let rows = by_name(
        &inputs,
        |row| &row.instance,
        |row| {
            json!({
                "status": {
                    "overlimit": row.paused,
                    "mem_size": size(row.memory),
                    "mem_limit": size(row.memory_limit.unwrap_or(0)),
                },
                "chunks": {
                    "total": row.chunks,
                    "up": row.chunks_up,
                    "down": row.chunks_down,
                    "busy": row.chunks_busy,
                    "busy_size": size(row.busy_bytes),
                },
            })
        },
    );
    json!({
        "storage_layer": {"chunks": {
            "total_chunks": all.chunks,
            "mem_chunks": all.in_memory,
            "fs_chunks": all.in_files,
            "fs_chunks_up": all.in_files_up,
            "fs_chunks_down": all.in_files_down,
        }},
        "input_chunks": rows,
    })
}

/// As a person reads it: `0b`, `1.5K`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["b", "K", "M", "G", "T"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}b") } else { format!("{value:.1}{}", UNITS[unit]) }
}

/// `/api/v1/plugins`
pub(super) fn plugins() -> Value {
    let registry = &flb_plugins::REGISTRY;
    json!({"plugins": {
        "inputs": registry.inputs.iter().map(|spec| spec.name).collect::<Vec<_>>(),
        "filters": registry.filters.iter().map(|spec| spec.name).collect::<Vec<_>>(),
        "outputs": registry.outputs.iter().map(|spec| spec.name).collect::<Vec<_>>(),
    }})
}

/// `/api/v2/health`
pub(super) fn health(settings: &HttpSettings, state: HealthState) -> Value {
    json!({
        "status": if state.is_good { "ok" } else { "error" },
        "errors": state.errors,
        "retries_failed": state.retries_failed,
        "error_limit": settings.errors,
        "retry_failure_limit": settings.retries_failed,
        "period_limit": settings.period,
    })
}

/// `/api/v1/pipeline`: all nodes in the configuration's order, with the numbers that the page shows.
pub(super) fn pipeline(api: &Api) -> Value {
    let report = api.teller.meter.read();
    let node = |instance: &Instance, records: u64, bytes: u64, dropped: u64, errors: u64| {
        json!({
            "name": &*instance.name, "plugin": instance.plugin,
            "records": records, "bytes": bytes, "dropped": dropped, "errors": errors,
        })
    };
    let inputs = report.inputs.iter().map(|row| {
        let mut value = node(&row.instance, row.records, row.bytes, row.unrouted, row.failures);
        value["latency"] = latency([&row.latency]);
        own(&mut value, &row.metrics);
        value
    });
    let filters = report.filters.iter().map(|row| {
        let dropped = row.tally.records().saturating_sub(row.passed());
        let mut value = node(&row.instance, row.passed(), row.bytes, dropped, row.tally.failures());
        value["latency"] = latency([&row.latency]);
        if let Some(owner) = &row.instance.owner {
            let kind = if owner.role == Role::Input { "inputs" } else { "outputs" };
            value["processor_of"] = json!({"kind": kind, "name": &*owner.name});
        }
        own(&mut value, &row.metrics);
        value
    });
    let outputs = report.outputs.iter().map(|row| {
        let mut value =
            node(&row.instance, row.delivered, row.delivered_bytes, row.dropped, row.errors);
        value["retries"] = row.retries.into();
        value["pending"] = row.pending.into();
        value["latency"] = latency(row.latency.iter().map(|(_, histogram)| histogram));
        own(&mut value, &row.metrics);
        value
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_ms": u64::try_from(api.teller.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "inputs": inputs.collect::<Vec<_>>(),
        "filters": filters.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

/// Adds what an instance counts of its own, each metric under its word or its name; one with several values is an object of them.
/// `units` says what is not measured in pieces. What a node says itself stays.
fn own(node: &mut Value, readings: &[Reading]) {
    let Value::Object(node) = node else { return };
    let mut units = Map::new();
    let mut told: Map<String, Value> = Map::new();
    for Reading { metric, of, value } in readings {
        let key = metric.word.map_or(metric.name.to_owned(), |word| word.replace(' ', "_"));
        if node.contains_key(&key) {
            continue;
        }
        if let Some(unit) = metric.unit {
            units.insert(key.clone(), unit.into());
        }
        match (value, of) {
            (flb_plugin::Value::Info, of) => {
                let text = json!({metric.label.unwrap_or("value"): of.as_deref()});
                told.insert(key, text);
            }
            (value, None) => {
                told.insert(key, number(value));
            }
            (value, Some(of)) => {
                let values = told.entry(key).or_insert_with(|| Map::new().into());
                values[&**of] = number(value);
            }
        }
    }
    node.extend(told);
    if !units.is_empty() {
        node.insert("units".to_owned(), units.into());
    }
}

fn number(value: &flb_plugin::Value) -> Value {
    match value {
        flb_plugin::Value::Counter(number) | flb_plugin::Value::Gauge(number) => (*number).into(),
        flb_plugin::Value::Times(times) => latency([times]),
        flb_plugin::Value::Observed(observed) => {
            json!({"count": observed.count(), "sum": observed.sum()})
        }
        flb_plugin::Value::Info => Value::Null,
    }
}

/// How many things took how long together; the page divides what came since it asked last.
fn latency<'h>(histograms: impl IntoIterator<Item = &'h Histogram>) -> Value {
    let (count, seconds) = histograms.into_iter().fold((0, 0.0), |(count, seconds), histogram| {
        (count + histogram.count(), seconds + histogram.sum().as_secs_f64())
    });
    json!({"count": count, "seconds": seconds})
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flb_plugin::{FAILURES, Metric, Metrics};

    use super::*;

    const LOST: Metric = Metric::new("lost", "Lost.").worded("lost on the way");
    const ROOM: Metric = Metric::new("room", "Room.").in_units_of("bytes");
    const RECORDS: Metric = Metric::new("records", "A node's own word.");
    const BUILD: Metric = Metric::new("build", "What it is.").by("version");
    const WAIT: Metric = Metric::new("wait", "How long it waits.");
    const SECOND: &[Duration] = &[Duration::from_secs(1)];

    #[test]
    fn what_a_plugin_counts_of_its_own_stands_beside_what_the_node_says() {
        let metrics = Metrics::default();
        metrics.counter(&LOST).add(5);
        metrics.counter(&RECORDS).add(6);
        metrics.counter_of(&FAILURES, "trap").add(1);
        metrics.counter_of(&FAILURES, "exit").add(2);
        let mut room = metrics.gauge(&ROOM);
        room.set(3);
        metrics.info(&BUILD).set("1.2");
        metrics.timer(&WAIT, SECOND).took(Duration::from_millis(500));
        let mut node = json!({"name": "f.0", "records": 1});
        own(&mut node, &metrics.read());
        let expected = json!({
            "name": "f.0", "records": 1, "lost_on_the_way": 5, "failures": {"trap": 1, "exit": 2},
            "room": 3, "build": {"version": "1.2"}, "wait": {"count": 1, "seconds": 0.5},
            "units": {"room": "bytes"},
        });
        assert_eq!(node, expected);
    }

    #[test]
    fn an_uptime_is_readable() {
        assert_eq!(
            readable(63),
            "Fluent Bit has been running:  0 day, 0 hour, 1 minute and 3 seconds"
        );
        assert_eq!(
            readable(2 * 86_400 + 3 * 3600 + 1),
            "Fluent Bit has been running:  2 days, 3 hours, 0 minute and 1 second"
        );
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!([size(0), size(1023), size(1536)], ["0b", "1023b", "1.5K"]);
    }
}
