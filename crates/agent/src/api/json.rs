//! The answers in JSON.

use flb_pipeline::Instance;
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

#[cfg(test)]
mod tests {
    use super::*;

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
