//! Help texts: of the agent from its tables of options and plugins, of a plugin from its row.

use std::fmt::{self, Display, Write};

use flb_pipeline::{Role, core_properties};
use flb_plugin::{Kind, OptionSpec, Registry, Spec};

use crate::commands::{COMMANDS, Command};
use crate::exit;
use crate::options::{Handle, OPTIONS, Row};

/// The agent's name and version.
pub(crate) const VERSION: &str = concat!("flb-agent v", env!("CARGO_PKG_VERSION"));

/// The help text of the agent.
pub(crate) struct AgentHelp<'a>(pub(crate) &'a Registry);

impl Display for AgentHelp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Usage: flb-agent [OPTION]\n       flb-agent COMMAND\n\nAvailable Options")?;
        let (refused, taken): (Vec<_>, Vec<_>) =
            OPTIONS.iter().partition(|row| matches!(row.handle, Handle::NotYet(_)));
        for row in taken {
            write_option(f, row)?;
        }
        writeln!(f, "\nCommands")?;
        for Command { name, argument, about } in COMMANDS {
            let call = argument.map_or((*name).to_owned(), |argument| format!("{name} {argument}"));
            writeln!(f, "  {call:<32} {about}")?;
        }
        writeln!(f, "\nNot supported yet")?;
        for row in refused {
            write_option(f, row)?;
        }
        writeln!(f, "\nInputs")?;
        write_plugins(f, self.0.inputs)?;
        writeln!(f, "\nProcessors\n  every filter is one")?;
        writeln!(f, "\nFilters")?;
        write_plugins(f, self.0.filters)?;
        writeln!(f, "\nOutputs")?;
        write_plugins(f, self.0.outputs)?;
        writeln!(f, "\nExit codes")?;
        exit::ABOUT.iter().try_for_each(|(code, about)| writeln!(f, "  {code:<24}{about}"))
    }
}

fn write_option(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let short = row.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    let mut name = format!("  {short}--{}", row.longs[0]);
    if let Some(argument) = row.argument() {
        write!(name, "={argument}")?;
    }
    writeln!(f, "{name:<32} {}", row.about)
}

fn write_plugins<T: ?Sized>(f: &mut fmt::Formatter<'_>, specs: &[Spec<T>]) -> fmt::Result {
    specs.iter().try_for_each(|spec| writeln!(f, "  {:<24}{}", spec.name, spec.about))
}

/// The help text of a plugin.
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
        writeln!(f, "HELP\n{name} {role} plugin\n\nDESCRIPTION\n{about}\n\nPROPERTIES")?;
        for option in *options {
            writeln!(f, "{:<32}{}", option.name, option.about)?;
            let default = option.default.map(|text| format!("default: {text}, "));
            let several = if option.multiple { ", may be given more than once" } else { "" };
            let (default, kind) = (default.unwrap_or_default(), describe(option.kind));
            writeln!(f, "{:<32}> {default}type: {kind}{several}\n", "")?;
        }
        writeln!(f, "GLOBAL PROPERTIES")?;
        core_properties(*role).try_for_each(|(name, about)| writeln!(f, "{name:<32}{about}"))
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
