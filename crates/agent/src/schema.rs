//! Help as JSON: what `-J` prints, of all plugins or of one.

use flb_config::Role;
use flb_config::keys::{Row, Shape, Table};
use flb_pipeline::core_properties;
use flb_plugin::{Registry, Spec};
use serde_json::{Map, Value, json};

use crate::help::PluginHelp;

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

fn plugin(role: Role, name: &str, about: &str, options: Table) -> Value {
    let global = core_properties(role).rows().filter(|row| !row.about.is_empty());
    json!({
        "type": role.to_string(),
        "name": name,
        "description": about,
        "properties": {
            "options": options.rows().map(option).collect::<Vec<_>>(),
            "global_options": global.map(option).collect::<Vec<_>>(),
        },
    })
}

fn option(row: &Row) -> Value {
    let mut value = Map::new();
    value.insert("name".to_owned(), row.name.into());
    value.insert("description".to_owned(), row.help().into());
    let kind = match row.shape {
        Shape::Choice(words) => {
            value.insert("choices".to_owned(), words().into());
            "string".to_owned()
        }
        shape => shape.to_string(),
    };
    value.insert("type".to_owned(), kind.into());
    if let Some(default) = row.default {
        value.insert("default".to_owned(), default.into());
    }
    if row.is_repeated {
        value.insert("multiple".to_owned(), true.into());
    }
    Value::Object(value)
}
