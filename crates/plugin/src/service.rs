//! What the whole agent has settled and a plugin may want to know, and the keys of the service section that no plugin has for
//! itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flb_config::keys::{Bool, Key, Options, Size};
use flb_config::{Variables, keys};

use crate::Shared;

keys! {
    /// The keys of the service section that many plugins read.
    pub const SERVICE;
    pub ESCAPE_UNICODE: Bool = Key::new(
        "json.escape_unicode",
        "Whether JSON text escapes what is not ASCII",
    )
    .default("on");
    CONVERT_NAN: Option<Bool> = Key::new("json.convert_nan_to_null", "")
        .idle("what is no number is always null: else it would be no JSON");
    MULTILINE_BUFFER_LIMIT: Size = Key::new(
        "multiline_buffer_limit",
        "Most bytes of lines that are joined to one record",
    )
    .default("2M");
}

/// The most bytes that are joined where no limit is wanted: what a filter takes.
const LONGEST_JOINED: usize = 16 << 20;

/// What the whole agent has settled and a plugin may want to know.
#[derive(Debug, Clone)]
pub struct Service {
    /// What the service sections say: the keys above, and those that plugins have there for themselves.
    pub keys: Options,
    /// The directory of the main configuration file, for paths that are not found from the working directory.
    pub config_dir: Option<PathBuf>,
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
    /// Set once the agent ends, or this configuration does, and waits no longer: what still filters is to end.
    pub overdue: Arc<AtomicBool>,
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
            keys: Options::default(),
            config_dir: None,
            variables: Variables::default(),
            max_connections: 360,
            max_files: 480,
            dry_run: false,
            shared: Arc::default(),
            generation: Generation::default(),
            overdue: Arc::default(),
        }
    }
}

impl Service {
    /// Whether JSON text escapes what is not ASCII.
    pub fn escape_unicode(&self) -> bool {
        self.keys.get(ESCAPE_UNICODE)
    }

    /// The most bytes of lines that are joined to one record.
    pub fn multiline_limit(&self) -> usize {
        match usize::try_from(self.keys.get(MULTILINE_BUFFER_LIMIT)) {
            Ok(0) => LONGEST_JOINED,
            limit => limit.unwrap_or(usize::MAX),
        }
    }
}
