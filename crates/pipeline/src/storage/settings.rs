//! What the service section says of storage.

use std::path::PathBuf;

use flb_config::value::{self, ValueError};

/// Where an input's chunks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StorageType {
    Memory,
    Filesystem,
    /// In memory, and at the limit the oldest give way.
    Ring,
}

impl StorageType {
    /// Reads the text of `storage.type`.
    pub(crate) fn parse(text: &str) -> Result<Self, ValueError> {
        Ok(match value::parse_choice(text, &["memory", "filesystem", "memrb"])? {
            "filesystem" => Self::Filesystem,
            "memrb" => Self::Ring,
            _ => Self::Memory,
        })
    }
}

/// How chunks are stored in files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StorageSettings {
    /// The folder. Without, nothing is stored.
    pub(crate) path: Option<PathBuf>,
    /// Whether a batch must be on the disk itself before it counts as stored.
    pub(crate) is_synced: bool,
    /// Most stored chunks that are in memory as well.
    pub(crate) max_chunks_up: usize,
    /// Most bytes of what is there at the start to keep in memory.
    pub(crate) leftovers_memory: usize,
    /// Whether all that is stored is to be delivered before the end.
    pub(crate) is_flushed: bool,
    /// Whether damaged files are deleted instead of kept aside.
    pub(crate) deletes_damaged: bool,
    /// What inputs use that say nothing, if they shall.
    pub(crate) default_type: Option<StorageType>,
    pub(crate) inherits: bool,
    /// Whether chunks that outputs refuse are kept, where below the folder, and at most how many bytes.
    pub(crate) keeps_rejected: bool,
    pub(crate) rejected_path: PathBuf,
    pub(crate) rejected_limit: Option<u64>,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            path: None,
            is_synced: false,
            max_chunks_up: 128,
            leftovers_memory: 100_000_000,
            is_flushed: false,
            deletes_damaged: false,
            default_type: None,
            inherits: false,
            keeps_rejected: false,
            rejected_path: "rejected".into(),
            rejected_limit: None,
        }
    }
}

impl StorageSettings {
    /// Where chunks are kept of an input that says `own`.
    pub(crate) fn of_input(&self, own: Option<StorageType>) -> StorageType {
        let inherited = self.default_type.filter(|_| self.inherits);
        own.or(inherited).unwrap_or(StorageType::Memory)
    }

    /// Whether they are in files.
    pub(crate) fn stores(&self, own: Option<StorageType>) -> bool {
        self.of_input(own) == StorageType::Filesystem
    }
}
