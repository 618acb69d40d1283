//! What a pipeline is made of, before it runs: an input, an output, the storage, and when things happen.

use std::sync::Arc;
use std::time::Duration;

use flb_plugin::{Input, Output};

use crate::books::{InputRow, OutputRow};
use crate::flow::{Backoff, LaneFilter, Match, RetryLimit, Sharing};
use crate::instance::Instance;
use crate::storage::{Rejected, Storage};

/// An input and what its lanes need.
pub(crate) struct InputPart {
    pub(crate) input: Box<dyn Input>,
    /// The filters of each lane.
    pub(crate) lanes: Vec<Vec<LaneFilter>>,
    pub(crate) sharing: Sharing,
    /// Whether it waits while too many stored chunks are in memory.
    pub(crate) pauses: bool,
    pub(crate) row: Arc<InputRow>,
}

/// An output and what its worker needs.
#[derive(Clone)]
pub(crate) struct OutputPart {
    pub(crate) output: Arc<dyn Output>,
    pub(crate) matching: Match,
    /// Whether it is gone from the configuration, and only delivers what it is owed.
    pub(crate) is_leaving: bool,
    pub(crate) limit: RetryLimit,
    pub(crate) workers: usize,
    /// Most bytes of stored chunks that may wait for it.
    pub(crate) storage_limit: Option<usize>,
    pub(crate) row: Arc<OutputRow>,
    pub(crate) key: OutputKey,
}

impl OutputPart {
    /// The same, in a pipeline whose configuration has it no more.
    pub(crate) fn leaving(&self) -> Self {
        let row = Arc::new(OutputRow::new(self.row.instance.clone()));
        Self { is_leaving: true, row, ..self.clone() }
    }
}

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) flush_every: Duration,
    /// Nothing means for ever.
    pub(crate) grace: Option<Duration>,
    /// How long deliveries and inputs get to end when the pipeline is replaced. Nothing means for ever.
    pub(crate) patience: Option<Duration>,
    pub(crate) backoff: Backoff,
}

/// By what an output is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputKey {
    pub(crate) instance: Instance,
    /// All that its section says.
    pub(crate) section: String,
}

impl OutputKey {
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self.section == other.section
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.instance.is_same(&other.instance)
    }
}

/// Where chunks are stored.
pub(crate) struct StoragePart {
    pub(crate) storage: Arc<Storage>,
    /// Most bytes of what is there at the start to keep in memory.
    pub(crate) leftovers_memory: usize,
    /// The place for chunks that outputs refuse, if they are kept.
    pub(crate) rejected: Option<Arc<Rejected>>,
    /// Whether all that is stored is to be delivered before the end.
    pub(crate) is_flushed: bool,
}
