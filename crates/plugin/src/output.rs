//! Outputs: where records go.

use std::time::Duration;

use flb_event::Chunk;

use crate::{BoxFuture, OutputError};

/// A chunk's fate at one output.
#[derive(Debug)]
pub enum Flush {
    /// Delivered.
    Done,
    /// Not now; try again, after `after` or when the scheduler thinks best.
    Retry {
        /// Why.
        reason: String,
        /// What the receiver asked for, if it did.
        after: Option<Duration>,
    },
    /// Never: the chunk is dropped and counted.
    Fail(OutputError),
}

/// A destination of chunks.
pub trait Output: Send + Sync {
    /// Delivers one chunk.
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush>;
}
