//! `/api/v1/nodes/{kind}/{name}`: one node, its options, and the last that it has said went wrong.

use flb_pipeline::{Instance, Report};
use serde_json::{Value, json};

use super::Api;
use super::pipeline::kind;
use crate::effective::Shown;
use crate::logging::Said;

/// The node, if there is such a one.
pub(super) fn node(api: &Api, of_kind: &str, name: &str) -> Option<Value> {
    let instance = find(&api.teller.meter.read(), of_kind, name)?;
    let said = api.teller.log.said(&instance.to_string());
    let options = api.teller.options.of(&instance);
    Some(json!({
        "kind": kind(instance.role),
        "name": &*instance.name,
        "plugin": instance.plugin,
        "errors": said.iter().map(error).collect::<Vec<_>>(),
        "options": options.iter().map(option).collect::<Vec<_>>(),
    }))
}

/// The node of this kind and name.
pub(super) fn find(report: &Report, of_kind: &str, name: &str) -> Option<Instance> {
    let inputs = report.inputs.iter().map(|row| &row.instance);
    let filters = report.filters.iter().map(|row| &row.instance);
    let outputs = report.outputs.iter().map(|row| &row.instance);
    let mut nodes = inputs.chain(filters).chain(outputs);
    nodes.find(|node| kind(node.role) == of_kind && *node.name == *name).cloned()
}

fn error(said: &Said) -> Value {
    json!({
        "time": format!("{:.3}", said.time),
        "level": if said.is_error { "error" } else { "warn" },
        "message": said.message,
        "times": said.times,
    })
}

fn option(shown: &Shown) -> Value {
    json!({"key": shown.key, "value": shown.value, "is_default": shown.is_default})
}
