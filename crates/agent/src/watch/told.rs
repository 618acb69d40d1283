//! What an agent tells of its pipeline: the parts of `/api/v1/pipeline` that the terminal shows.

use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) version: String,
    pub(super) hostname: String,
    pub(super) uptime_ms: u64,
    pub(super) storage: Storage,
    pub(super) problems: Vec<Problem>,
    pub(super) inputs: Vec<Node>,
    pub(super) filters: Vec<Node>,
    pub(super) outputs: Vec<Node>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Storage {
    pub(super) memory_bytes: u64,
    pub(super) stored_bytes: u64,
    pub(super) chunks: u64,
    pub(super) mem_chunks: u64,
    pub(super) fs_chunks: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) message: String,
    pub(super) reason: Option<String>,
    pub(super) next_try_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) plugin: String,
    pub(super) state: String,
    pub(super) last_minute: Recent,
    pub(super) pending: u64,
    pub(super) memory_bytes: u64,
    pub(super) guest_memory: u64,
    pub(super) stored_bytes: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Recent {
    pub(super) seconds: f64,
    pub(super) past: Vec<u64>,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) dropped_by_failure: u64,
    pub(super) quarantined: u64,
    pub(super) errors: u64,
    pub(super) retries: u64,
    pub(super) latency: Latency,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) seconds: f64,
}

impl Told {
    /// The nodes of each kind.
    pub(super) fn kinds(&self) -> [(&'static str, &[Node]); 3] {
        [("inputs", &*self.inputs), ("filters", &*self.filters), ("outputs", &*self.outputs)]
    }

    /// The kind and name of every node.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let kinds = self.kinds().into_iter();
        kinds.flat_map(|(kind, nodes)| nodes.iter().map(move |node| (kind, &*node.name)))
    }
}

impl Node {
    /// Records a second, of the last five.
    pub(super) fn rate(&self) -> f64 {
        let past = &self.last_minute.past;
        let last = &past[past.len().saturating_sub(5)..];
        last.iter().sum::<u64>() as f64 / last.len().max(1) as f64
    }
}
