//! What a filter is allowed, and how it is called.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use flb_artifact::Required;
use flb_artifact::contract::{DEADLINE, MEMORY_LIMIT};

use crate::{Abi, Sandbox};

/// How a record's body is given to the guest and taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFormat {
    /// Compact JSON text with a NUL behind it.
    Json {
        /// Whether non-ASCII characters are escaped.
        escape_unicode: bool,
    },
    /// The msgpack map itself.
    Msgpack,
}

/// When a sound guest is replaced by a fresh one, between records. A guard against guests that leak; what the guest keeps
/// in memory is gone then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recycle {
    /// After so many calls.
    pub calls: Option<u64>,
    /// When its memory has grown past so many bytes.
    pub memory: Option<u64>,
}

/// Says whether it is time to hurry. Asked by another thread, every few milliseconds while a call is under way.
#[derive(Clone)]
pub struct Hurry(Arc<dyn Fn() -> bool + Send + Sync>);

impl Hurry {
    /// It is time when this says so.
    pub fn when(says: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(says))
    }

    pub(crate) fn is_due(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for Hurry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hurry").finish_non_exhaustive()
    }
}

/// What a filter is allowed and how it is called.
#[derive(Debug, Clone)]
pub struct FilterOptions {
    /// Name of the exported function.
    pub function: String,
    /// How it is called, if its type may not say so alone.
    pub abi: Option<Abi>,
    /// How records are given to it.
    pub format: EventFormat,
    /// Longest time for one call.
    pub deadline: Duration,
    /// Longest time for a guest's start, and for its first call, where that is another.
    pub start_deadline: Option<Duration>,
    /// When a guest with many records in hand has no more time for having come on from one to the next: the deadline under way is then
    /// the call's.
    pub hurry: Option<Hurry>,
    /// Most bytes that the guest's memory may grow to.
    pub memory_limit: u64,
    /// When the guest is replaced.
    pub recycle: Recycle,
    /// Which filter an artifact must be, by its signer's word.
    pub required: Option<Required>,
    /// What the guest may see and use of the host.
    pub sandbox: Sandbox,
    /// What the filter is called in logs, for guests that want to know it.
    pub name: String,
    /// Settings of the filter's own, for guests that are told them at their start.
    pub config: Vec<(String, String)>,
    /// Where the time that guests take is added up, in nanoseconds, for who measures it.
    pub guest_time: Option<Arc<AtomicU64>>,
}

impl FilterOptions {
    /// The function `function` with JSON records, [`DEADLINE`], [`MEMORY_LIMIT`] and nothing of the host.
    pub fn new(function: impl Into<String>) -> Self {
        Self {
            function: function.into(),
            abi: None,
            format: EventFormat::Json { escape_unicode: true },
            deadline: DEADLINE,
            start_deadline: None,
            hurry: None,
            memory_limit: MEMORY_LIMIT,
            recycle: Recycle::default(),
            required: None,
            sandbox: Sandbox::default(),
            name: String::new(),
            config: Vec::new(),
            guest_time: None,
        }
    }
}
