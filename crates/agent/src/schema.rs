//! Help as JSON: what `-J` prints, of all plugins or of one.

use flb_pipeline::{Role, core_properties};
use flb_plugin::{Kind, OptionSpec, Registry, Spec};
use serde_json::{Map, Value, json};

use crate::help::{PluginHelp, describe};

/// The plugins of all kinds.
pub(crate) fn all(registry: &Registry) -> String {
    let value = json!({
        "flb-agent": { "version": env!("CARGO_PKG_VERSION"), "schema_version": "1" },
        "customs": [],
        "inputs": plugins(registry.inputs, Role::Input),
        "processors": plugins(registry.filters, Role::Processor),
        "filters": plugins(registry.filters, Role::Filter),
        "outputs": plugins(registry.outputs, Role::Output),
    });
    format!("{value:#}\n")
}

/// One plugin.
pub(crate) fn one(help: &PluginHelp) -> String {
    format!("{:#}\n", plugin(help.role, help.name, help.about, help.options))
}

fn plugins<T: ?Sized>(specs: &'static [Spec<T>], role: Role) -> Vec<Value> {
    specs.iter().map(|spec| plugin(role, spec.name, spec.about, spec.options)).collect()
}

fn plugin(role: Role, name: &str, about: &str, options: &[OptionSpec]) -> Value {
    let global = core_properties(role)
        .map(|(name, about)| json!({ "name": name, "description": about, "type": "string" }));
    json!({
        "type": role.to_string(),
        "name": name,
        "description": about,
        "properties": {
            "options": options.iter().map(option).collect::<Vec<_>>(),
            "global_options": global.collect::<Vec<_>>(),
        },
    })
}

fn option(option: &OptionSpec) -> Value {
    let mut value = Map::new();
    value.insert("name".to_owned(), option.name.into());
    value.insert("description".to_owned(), option.about.into());
    let kind = match option.kind {
        Kind::Choice(words) => {
            value.insert("choices".to_owned(), words.into());
            "string".to_owned()
        }
        kind => describe(kind),
    };
    value.insert("type".to_owned(), kind.into());
    if let Some(default) = option.default {
        value.insert("default".to_owned(), default.into());
    }
    if option.multiple {
        value.insert("multiple".to_owned(), true.into());
    }
    Value::Object(value)
}
