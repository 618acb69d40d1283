//! Why a pipeline that was built could not run.

use std::io;

use crate::storage::StorageError;

/// Why a pipeline that was built could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system gives no thread.
    #[error("[engine] cannot start a thread for {instance}: {source}")]
    Thread {
        /// What it was for.
        instance: String,
        /// Why.
        source: io::Error,
    },
    /// Chunks cannot be stored.
    #[error("{0}")]
    Storage(#[from] StorageError),
}
