//! `/api/v1/pipeline`: every node with its state and what it counted of late, the ways between them, and what is wrong now.

use flb_config::Role;
use flb_pipeline::{FilterReport, Hop, InputReport, Instance, OutputReport, Report};
use flb_plugin::Reading;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::Api;
use super::history::{Figures, Recent};
use super::problems::{self, Problem};
use super::prometheus::Storage;

/// Tags of an input that are told.
const TAGS: usize = 10;

/// All of it.
pub(super) fn pipeline(api: &Api) -> Value {
    let (report, now) = (api.teller.meter.read(), Instant::now());
    let mut problems = Vec::new();
    let mut noted = |instance: &Instance, counted: &(Figures, Recent), found: Vec<Problem>| {
        let (figures, recent) = counted;
        let value = node(instance, figures, recent, &found);
        problems.extend(found.into_iter().map(|problem| (instance.clone(), problem)));
        value
    };
    let inputs: Vec<Value> = report
        .inputs
        .iter()
        .map(|row| {
            let counted = counted(api, &row.instance, Figures::of_input(row), now);
            let found = problems::of_input(row, &counted.1);
            input(noted(&row.instance, &counted, found), row)
        })
        .collect();
    let filters: Vec<Value> = report
        .filters
        .iter()
        .map(|row| {
            let counted = counted(api, &row.instance, Figures::of_filter(row), now);
            let found = problems::of_filter(&counted.1);
            filter(noted(&row.instance, &counted, found), row)
        })
        .collect();
    let outputs: Vec<Value> = report
        .outputs
        .iter()
        .map(|row| {
            let counted = counted(api, &row.instance, Figures::of_output(row), now);
            let found = problems::of_output(row, &counted.1);
            output(noted(&row.instance, &counted, found), row)
        })
        .collect();
    // The worst first; among those alike the configuration's order stays.
    problems.sort_by_key(|(_, problem)| std::cmp::Reverse(problem.state));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "hostname": &api.teller.host,
        "uptime_ms": milliseconds(api.teller.started.elapsed()),
        "tap": api.settings.tap,
        "storage": storage(&report),
        "problems": problems.iter().map(|(instance, problem)| told(api, instance, problem)).collect::<Vec<_>>(),
        "edges": edges(&report),
        "inputs": inputs,
        "filters": filters,
        "outputs": outputs,
    })
}

fn counted(api: &Api, instance: &Instance, figures: Figures, now: Instant) -> (Figures, Recent) {
    let recent = api.history.of(instance, &figures, now);
    (figures, recent)
}

/// The kind of nodes that a role is among.
pub(super) fn kind(role: Role) -> &'static str {
    match role {
        Role::Input => "inputs",
        Role::Filter | Role::Processor => "filters",
        Role::Output => "outputs",
    }
}

fn node(instance: &Instance, figures: &Figures, recent: &Recent, found: &[Problem]) -> Value {
    let mut node = json!({
        "name": &*instance.name,
        "plugin": instance.plugin,
        "state": problems::state(found).name(),
        "last_minute": {
            "seconds": (recent.seconds * 1000.0).round() / 1000.0,
            "past": recent.past,
        },
    });
    count(&mut node, instance.role, figures);
    count(&mut node["last_minute"], instance.role, &recent.figures);
    if let Some(owner) = &instance.owner {
        node["processor_of"] = json!({"kind": kind(owner.role), "name": &*owner.name});
    }
    node
}

/// Adds what was counted, as far as nodes of this role count it.
fn count(value: &mut Value, role: Role, figures: &Figures) {
    value["records"] = figures.records.into();
    value["bytes"] = figures.bytes.into();
    value["dropped"] = figures.dropped.into();
    value["errors"] = figures.errors.into();
    value["latency"] = json!({"count": figures.timed, "seconds": figures.seconds});
    match role {
        Role::Filter | Role::Processor => {
            value["dropped_by_failure"] = figures.dropped_by_failure.into();
            value["quarantined"] = figures.quarantined.into();
            if !figures.failures.is_empty() {
                let classes = figures
                    .failures
                    .iter()
                    .map(|(class, count)| (class.to_string(), (*count).into()));
                value["failures"] = Value::Object(classes.collect());
            }
        }
        Role::Output => value["retries"] = figures.retries.into(),
        Role::Input => {}
    }
}

fn input(mut node: Value, row: &InputReport) -> Value {
    node["memory_bytes"] = row.memory.into();
    node["memory_limit_bytes"] = row.memory_limit.into();
    node["chunks"] = json!({"total": row.chunks, "up": row.chunks_up, "down": row.chunks_down});
    node["tags"] = row.tags.iter().take(TAGS).map(|tag| tag.as_str()).collect();
    own(&mut node, &row.metrics);
    node
}

fn filter(mut node: Value, row: &FilterReport) -> Value {
    own(&mut node, &row.metrics);
    node
}

fn output(mut node: Value, row: &OutputReport) -> Value {
    node["pending"] = row.pending.into();
    node["chunks"] = json!({"total": row.pending_tasks, "under_way": row.under_way});
    node["stored_bytes"] = row.stored_bytes.into();
    node["free_percent"] = row.free_percent.into();
    own(&mut node, &row.metrics);
    node
}

/// What all nodes have in memory and in files.
fn storage(report: &Report) -> Value {
    let all = Storage::of(&report.inputs);
    json!({
        "memory_bytes": report.inputs.iter().map(|row| row.memory).sum::<u64>(),
        "stored_bytes": report.outputs.iter().map(|row| row.stored_bytes).sum::<u64>(),
        "chunks": all.chunks,
        "mem_chunks": all.in_memory,
        "fs_chunks": all.in_files,
    })
}

/// A problem with a node, and the last that the node has said if nobody knows better why.
fn told(api: &Api, instance: &Instance, problem: &Problem) -> Value {
    let label = format!("[{instance}] ");
    let own = |reason: &String| reason.strip_prefix(&label).unwrap_or(reason).to_owned();
    let said =
        || api.teller.log.said(&instance.to_string()).first().map(|said| said.message.clone());
    json!({
        "kind": kind(instance.role),
        "name": &*instance.name,
        "state": problem.state.name(),
        "message": problem.message,
        "reason": problem.reason.as_ref().map(own).or_else(said),
        "next_try_ms": problem.next_try.map(milliseconds),
    })
}

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The ways that records have taken, from node to node, those before an output through its processors.
fn edges(report: &Report) -> Vec<Value> {
    let processors = |output: &str| {
        let of_output = report.filters.iter().map(|row| &row.instance).filter(move |instance| {
            let owner = instance.owner.as_deref();
            owner.is_some_and(|owner| owner.role == Role::Output && *owner.name == *output)
        });
        of_output
            .map(|instance| (kind(instance.role), instance.name.to_string()))
            .collect::<Vec<_>>()
    };
    let mut hops: Vec<&Hop> = report.inputs.iter().flat_map(|row| &row.hops).collect();
    hops.sort();
    hops.dedup();
    let mut edges = Vec::new();
    for Hop { from, to } in hops {
        let mut way = vec![(kind(from.0), from.1.to_string())];
        if to.0 == Role::Output {
            way.extend(processors(&to.1));
        }
        way.push((kind(to.0), to.1.to_string()));
        edges.extend(way.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
    }
    edges.sort();
    edges.dedup();
    let end = |(kind, name): &(&str, String)| json!({"kind": kind, "name": name});
    edges.iter().map(|(from, to)| json!({"from": end(from), "to": end(to)})).collect()
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
        flb_plugin::Value::Times(times) => {
            json!({"count": times.count(), "seconds": times.sum().as_secs_f64()})
        }
        flb_plugin::Value::Observed(observed) => {
            json!({"count": observed.count(), "sum": observed.sum()})
        }
        flb_plugin::Value::Info => Value::Null,
    }
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
}
