//! Outputs: where records go.

use std::time::Duration;

use flb_event::Chunk;

use crate::{BoxFuture, OutputError};

/// A chunk's fate at one output.
#[derive(Debug)]
pub enum Flush {
    /// Delivered.
    Done,
    /// Delivered but for some records, which no other try would get through; these are dropped and counted. The log says why.
    Partly {
        /// How many.
        left_out: usize,
        /// Those of them that are worth keeping where refused chunks are kept.
        refused: Option<Chunk>,
    },
    /// Not now; try again, after `after` or when the scheduler thinks best.
    Retry {
        /// Why.
        reason: String,
        /// What the receiver asked for, if it did.
        after: Option<Duration>,
    },
    /// Settled for some records, each of which was delivered or is refused; only the others are tried again, as for `Retry`.
    Rest {
        /// Of each of the chunk's records, by its place, whether it is to be tried again.
        again: Vec<bool>,
        /// How many of the settled ones no other try would get through; these are dropped and counted.
        left_out: usize,
        /// Those of them that are worth keeping where refused chunks are kept.
        refused: Option<Chunk>,
        /// Why not all were settled.
        reason: String,
        /// What the receiver asked for, if it did.
        after: Option<Duration>,
    },
    /// Not now, for this process or machine has no descriptor or memory left: try again soon. No fault of the chunk or its
    /// receiver, so it counts for no retry limit.
    NoRoom {
        /// Why.
        reason: String,
    },
    /// Never: the chunk is dropped and counted.
    Fail(OutputError),
}

impl Flush {
    /// A chunk that is delivered but for so many records.
    pub fn but(left_out: usize) -> Self {
        if left_out == 0 { Self::Done } else { Self::Partly { left_out, refused: None } }
    }

    /// This fate for those of a chunk's records alone that are to be tried `again`; the others are settled, so many of them left out.
    #[must_use]
    pub fn of_rest(self, again: Vec<bool>, left_out: usize, refused: Option<Chunk>) -> Self {
        match self {
            Self::Retry { reason, after } => Self::Rest { again, left_out, refused, reason, after },
            Self::NoRoom { reason } => Self::Rest { again, left_out, refused, reason, after: None },
            fate => fate,
        }
    }
}

/// A destination of chunks.
pub trait Output: Send + Sync {
    /// Delivers one chunk.
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush>;

    /// What it does beside that, as long as it is in use: it may have clients to answer.
    fn attend(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// What it does when the agent ends and no more chunks come: it may have records that wait to be sent together. The grace
    /// period bounds it. At a reload it is not asked, for the next output goes on.
    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
