//! Help texts: of the agent from its tables of options, commands and plugins, of a plugin from its row.

use std::fmt::{self, Display};

use clap::Command;
use clap::builder::StyledStr;
use flb_cli::{HEADING, entry};
use flb_pipeline::{Role, core_properties};
use flb_plugin::{Kind, OptionSpec, Registry, Spec};

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
    pub(crate) options: &'static [OptionSpec],
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
        for option in *options {
            let default = option.default.map(|text| format!("default: {text}, "));
            let several = if option.multiple { ", may be given more than once" } else { "" };
            let (default, kind) = (default.unwrap_or_default(), describe(option.kind));
            let value = format!("> {default}type: {kind}{several}");
            writeln!(f, "{}{}", entry(option.name, option.about), entry("", &value))?;
        }
        writeln!(f, "GLOBAL PROPERTIES")?;
        core_properties(*role).try_for_each(|(name, about)| f.write_str(&entry(name, about)))
    }
}

/// What an option's text must be, for people.
pub(crate) fn describe(kind: Kind) -> String {
    match kind {
        Kind::Bool => "boolean".to_owned(),
        Kind::Int => "integer".to_owned(),
        Kind::Double => "double".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Text => "string".to_owned(),
        Kind::List => "comma delimited strings".to_owned(),
        Kind::Words | Kind::Fields(_) => "space delimited strings".to_owned(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
    }
}
