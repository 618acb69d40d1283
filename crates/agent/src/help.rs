//! Help texts: of the agent from its tables of options, commands and plugins, of a plugin from its row.

use std::fmt::{self, Display};

use clap::Command;
use clap::builder::StyledStr;
use flb_cli::{HEADING, entry};
use flb_config::Role;
use flb_config::keys::Table;
use flb_pipeline::core_properties;
use flb_plugin::{Registry, Spec};

use crate::{exit, grammar};

/// The agent's name and version.
pub(crate) const VERSION: &str = concat!("flb-agent v", env!("CARGO_PKG_VERSION"));

/// Where a plugin's properties are described.
const PROPERTY_COLUMN: usize = 32;

/// What does something, on one screen.
pub(crate) fn short(registry: &Registry) -> StyledStr {
    let mut rest = heading("Plugins (see flb-agent -i NAME -h, or -F, -o, -r)");
    let filters = format!("{}; each is a processor, too", names(registry.filters));
    for (kind, names) in [
        ("inputs", names(registry.inputs)),
        ("filters", filters),
        ("outputs", names(registry.outputs)),
    ] {
        rest += &entry(&format!("  {kind}"), 11, &names);
    }
    render(grammar::offered(registry), rest + "\n" + &exit_codes())
}

/// The same with what each plugin does, and with the options that are refused.
pub(crate) fn all(registry: &Registry) -> StyledStr {
    let rest = plugins("Inputs", registry.inputs)
        + &plugins("Filters (each is a processor, too)", registry.filters)
        + &plugins("Outputs", registry.outputs);
    render(grammar::all(registry), rest + &exit_codes())
}

/// Help for the command `config`.
pub(crate) fn config(registry: &Registry) -> StyledStr {
    let mut program = grammar::offered(registry);
    program.build();
    program.find_subcommand_mut("config").map(Command::render_help).unwrap_or_default()
}

fn render(program: Command, rest: String) -> StyledStr {
    program.after_help(rest.trim_end().to_owned()).render_help()
}

fn heading(text: &str) -> String {
    format!("{HEADING}{text}:{HEADING:#}\n")
}

fn names<T: ?Sized>(specs: &[Spec<T>]) -> String {
    specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ")
}

fn plugins<T: ?Sized>(title: &str, specs: &[Spec<T>]) -> String {
    let rows = specs.iter().map(|spec| entry(&format!("  {}", spec.name), 26, spec.about));
    heading(title) + &rows.collect::<String>() + "\n"
}

fn exit_codes() -> String {
    let rows = exit::ABOUT.iter().map(|(code, about)| entry(&format!("  {code}"), 11, about));
    heading("Exit codes") + &rows.collect::<String>()
}

/// The help text of a plugin.
#[derive(Debug)]
pub(crate) struct PluginHelp {
    pub(crate) role: Role,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) options: Table,
}

impl PluginHelp {
    /// The help text of the plugin with this name, if there is one.
    pub(crate) fn find(registry: &Registry, role: Role, name: &str) -> Option<Self> {
        match role {
            Role::Input => Self::of(registry.inputs, role, name),
            Role::Filter | Role::Processor => Self::of(registry.filters, role, name),
            Role::Output => Self::of(registry.outputs, role, name),
        }
    }

    fn of<T: ?Sized>(specs: &'static [Spec<T>], role: Role, name: &str) -> Option<Self> {
        let spec = specs.iter().find(|spec| spec.name == name)?;
        Some(Self { role, name: spec.name, about: spec.about, options: spec.options })
    }
}

impl Display for PluginHelp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, name, about, options } = self;
        let entry = |name: &str, about: &str| entry(name, PROPERTY_COLUMN, about);
        writeln!(f, "HELP\n{name} {role} plugin\n\nDESCRIPTION\n{about}\n\nPROPERTIES")?;
        for row in options.rows() {
            let default = row.default.map(|text| format!("default: {text}, "));
            let several = if row.is_repeated { ", may be given more than once" } else { "" };
            let (default, shape) = (default.unwrap_or_default(), row.shape);
            let value = format!("> {default}type: {shape}{several}");
            writeln!(f, "{}{}", entry(row.name, &row.help()), entry("", &value))?;
        }
        writeln!(f, "GLOBAL PROPERTIES")?;
        for row in core_properties(*role).rows().filter(|row| !row.about.is_empty()) {
            let default = row.default.map(|text| format!(" Default: {text}."));
            f.write_str(&entry(row.name, &(row.help() + &default.unwrap_or_default())))?;
        }
        Ok(())
    }
}
