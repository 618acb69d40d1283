//! The tables of plugins, and what a plugin is given when it is built.

use flb_config::Role;
use flb_config::keys::{Options, Table};
use flb_event::Tag;

use crate::service::Service;

use crate::{
    BuildError, Filter, Input, Metrics, MultilineParser, MultilineParsers, Output, Parser, Parsers,
};

/// One plugin: a row of a table.
pub struct Spec<T: ?Sized> {
    /// The name that configurations use, in lower case.
    pub name: &'static str,
    /// One sentence for the help text.
    pub about: &'static str,
    /// Every option it takes.
    pub options: Table,
    /// Makes an instance of checked options.
    pub build: fn(&Options, &Build<'_>) -> Result<Box<T>, BuildError>,
}

impl<T: ?Sized> std::fmt::Debug for Spec<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spec").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a plugin is built with, beside its own options.
#[derive(Debug)]
pub struct Build<'a> {
    /// The instance's name in logs and metrics: `wasm.0`, or its alias.
    pub instance: &'a str,
    /// The tag of an input's records; inputs without a `tag` use their instance name.
    pub tag: &'a Tag,
    /// The parsers that options may name.
    pub parsers: &'a Parsers,
    /// The multiline parsers that options may name.
    pub multiline: &'a MultilineParsers,
    /// What the whole agent has settled.
    pub service: &'a Service,
    /// What the instance counts of its own.
    pub metrics: &'a Metrics,
}

/// All plugins that an agent knows, one table a kind.
#[derive(Debug, Clone, Copy)]
pub struct Registry {
    /// Inputs, alphabetic.
    pub inputs: &'static [Spec<dyn Input>],
    /// Filters, alphabetic.
    pub filters: &'static [Spec<dyn Filter>],
    /// Outputs, alphabetic.
    pub outputs: &'static [Spec<dyn Output>],
    /// Parsers, alphabetic; the name is the value of a parser section's `Format`.
    pub parsers: &'static [Spec<dyn Parser>],
    /// Multiline parsers, alphabetic; the name is the value of a multiline parser section's `Type`.
    pub multiline: &'static [Spec<MultilineParser>],
    /// Plugins that configurations name and that are not here.
    pub absent: &'static [Absent],
}

/// A plugin that configurations name and that is not here.
#[derive(Debug, Clone, Copy)]
pub struct Absent {
    /// Its kind.
    pub kind: Role,
    /// The name that configurations use, in lower case.
    pub name: &'static str,
    /// Whether it comes later.
    pub is_planned: bool,
    /// What to do instead.
    pub instead: &'static str,
}

impl Absent {
    /// What to tell whoever asks for it.
    pub fn help(&self) -> String {
        let Self { name, instead, .. } = self;
        match self.is_planned {
            true => format!("'{name}' is planned, and not built yet; until then {instead}"),
            false => format!("'{name}' is not built here; {instead}"),
        }
    }
}

impl Registry {
    /// The plugin that is not here, by its name in any case. What may stand among processors is looked for among filters too.
    pub fn absent(&self, kind: Role, name: &str) -> Option<&'static Absent> {
        let fits = |other| kind == other || (kind, other) == (Role::Processor, Role::Filter);
        self.absent.iter().find(|row| fits(row.kind) && row.name.eq_ignore_ascii_case(name))
    }
}
