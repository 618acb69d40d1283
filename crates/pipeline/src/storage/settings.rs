//! What the service section says of storage.

use std::path::PathBuf;

use flb_config::keys::Word;

/// Where an input's chunks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StorageType {
    /// In memory.
    Memory,
    /// In files.
    Filesystem,
    /// In memory, and at the limit the oldest give way.
    Ring,
}

impl Word for StorageType {
    const ALL: &'static [(&'static str, Self)] =
        &[("memory", Self::Memory), ("filesystem", Self::Filesystem), ("memrb", Self::Ring)];
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

impl StorageSettings {
    /// Those of tests.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self {
            path: None,
            is_synced: false,
            max_chunks_up: 128,
            leftovers_memory: 1_000_000,
            is_flushed: false,
            deletes_damaged: false,
            default_type: None,
            inherits: false,
            keeps_rejected: false,
            rejected_path: "rejected".into(),
            rejected_limit: None,
        }
    }

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
