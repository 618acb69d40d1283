//! The tables of plugins, and what a plugin is given when it is built.

use std::path::PathBuf;
use std::sync::Arc;

use flb_config::Variables;
use flb_event::Tag;

use crate::{
    BuildError, Filter, Input, MultilineParser, MultilineParsers, OptionSpec, Options, Output,
    Parser, Parsers, Shared,
};

/// One plugin: a row of a table.
pub struct Spec<T: ?Sized> {
    /// The name that configurations use, in lower case.
    pub name: &'static str,
    /// One sentence for the help text.
    pub about: &'static str,
    /// Every option it takes.
    pub options: &'static [OptionSpec],
    /// Makes an instance of checked options.
    pub build: fn(&Options, &Build<'_>) -> Result<Box<T>, BuildError>,
}

impl<T: ?Sized> std::fmt::Debug for Spec<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spec").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the whole agent has settled and a plugin may want to know.
#[derive(Debug, Clone)]
pub struct Service {
    /// Whether JSON text escapes non-ASCII characters (`json.escape_unicode`).
    pub escape_unicode: bool,
    /// The most bytes of lines that are joined to one record (`multiline_buffer_limit`).
    pub multiline_limit: usize,
    /// The directory of the main configuration file, for paths that are not found from the working directory.
    pub config_dir: Option<PathBuf>,
    /// Files with the public keys whose signature an artifact must carry; without, signatures are not asked for.
    pub trusted_keys: Option<Vec<PathBuf>>,
    /// The name that an artifact must be signed with, and perhaps the first version that will do (`wasm.required_name`).
    pub required_name: Option<String>,
    /// Whether code is refused whose calls no deadline ends (`wasm.require_interruption`).
    pub require_interruption: bool,
    /// The folder where code that was compiled at start is kept.
    pub code_cache: Option<PathBuf>,
    /// What `${NAME}` stands for, in the files that options name.
    pub variables: Variables,
    /// The most connections that all inputs together may have open, so that descriptors are left for all else.
    pub max_connections: usize,
    /// The most files that all inputs together may follow, for the same reason.
    pub max_files: usize,
    /// Plugins are only built, to see whether they can be: nobody listens, and nobody is in the way of who does.
    pub dry_run: bool,
    /// What plugins make once for all of them, also for those of another configuration that takes the place of this one.
    pub shared: Arc<Shared>,
    /// Which configuration it is.
    pub generation: Generation,
}

/// Tells the configurations of an agent apart, which follow each other by reloads.
#[derive(Debug, Clone, Default)]
pub struct Generation(Arc<()>);

impl PartialEq for Generation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Generation {}

impl Default for Service {
    fn default() -> Self {
        Self {
            escape_unicode: true,
            multiline_limit: 2_000_000,
            config_dir: None,
            trusted_keys: None,
            required_name: None,
            require_interruption: false,
            code_cache: None,
            variables: Variables::default(),
            max_connections: 360,
            max_files: 480,
            dry_run: false,
            shared: Arc::default(),
            generation: Generation::default(),
        }
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

/// A kind of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginKind {
    /// Where records come from.
    Input,
    /// What decides about them.
    Filter,
    /// What stands below the `processors` of an input or output, where filters may stand too.
    Processor,
    /// Where they go.
    Output,
}

/// A plugin that configurations name and that is not here.
#[derive(Debug, Clone, Copy)]
pub struct Absent {
    /// Its kind.
    pub kind: PluginKind,
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
    pub fn absent(&self, kind: PluginKind, name: &str) -> Option<&'static Absent> {
        let fits =
            |other| kind == other || (kind, other) == (PluginKind::Processor, PluginKind::Filter);
        self.absent.iter().find(|row| fits(row.kind) && row.name.eq_ignore_ascii_case(name))
    }
}
