//! One a file: code, and the function in it that is the filter, found and type-checked once.

use std::sync::Arc;
use std::time::Duration;

use flb_artifact::contract::{FREE_RESULT, MEMORY_LIMIT};
use flb_artifact::{Interface, Required, Sha256Hex, ValueType};

use crate::abi::{self, Abi};
use crate::ready::Ready;
use crate::{FilterEngine, FilterInstance, LoadError, Sandbox, Signature};

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
    /// Most bytes that the guest's memory may grow to.
    pub memory_limit: u64,
    /// When the guest is replaced.
    pub recycle: Recycle,
    /// Which filter an artifact must be, by its signer's word.
    pub required: Option<Required>,
    /// What the guest may see and use of the host.
    pub sandbox: Sandbox,
}

impl FilterOptions {
    /// The function `function` with JSON records, one second, [`MEMORY_LIMIT`] and nothing of the host.
    pub fn new(function: impl Into<String>) -> Self {
        Self {
            function: function.into(),
            abi: None,
            format: EventFormat::Json { escape_unicode: true },
            deadline: Duration::from_secs(1),
            start_deadline: None,
            memory_limit: MEMORY_LIMIT,
            recycle: Recycle::default(),
            required: None,
            sandbox: Sandbox::default(),
        }
    }
}

/// Code ready to be instantiated. Cheap to clone; clones share the code.
#[derive(Clone)]
pub struct FilterModule {
    shared: Arc<Shared>,
}

struct Shared {
    ready: Ready,
    options: FilterOptions,
}

impl std::fmt::Debug for FilterModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterModule")
            .field("source", &self.source())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl FilterModule {
    /// Loads a file's bytes, be they WebAssembly or an artifact, whatever the file was called.
    pub fn load(
        engine: &FilterEngine,
        bytes: Vec<u8>,
        options: FilterOptions,
    ) -> Result<Self, LoadError> {
        let ready = Ready::load(engine, bytes, options.required.as_ref())?;
        abi::check(ready.interface(), &options.function, options.abi)?;
        check_free_result(ready.interface())?;
        Ok(Self { shared: Arc::new(Shared { ready, options }) })
    }

    /// Starts an instance: memory of its own, start function and constructors run.
    pub fn instantiate(&self) -> Result<FilterInstance, LoadError> {
        FilterInstance::start(self.clone())
    }

    /// How the filter is called.
    pub fn options(&self) -> &FilterOptions {
        &self.shared.options
    }

    /// Digest of the WebAssembly module that the code comes from.
    pub fn source(&self) -> Sha256Hex {
        self.ready().metadata().source.sha256
    }

    /// Whether the module has a function that frees answers.
    pub fn frees_answers(&self) -> bool {
        self.ready().interface().exports.iter().any(|export| export.name == FREE_RESULT)
    }

    /// Imports that nobody provides; calling one traps.
    pub fn unknown_imports(&self) -> &[String] {
        &self.ready().unknown_imports
    }

    /// What had to be done to load the module, for the log: compiled anew, and why; or a cache that cannot be used.
    pub fn notes(&self) -> &[String] {
        &self.ready().notes
    }

    pub(crate) fn ready(&self) -> &Ready {
        &self.shared.ready
    }
}

/// The function that frees answers, if there is one, must have the type of `free`.
fn check_free_result(interface: &Interface) -> Result<(), LoadError> {
    let Some(export) = interface.exports.iter().find(|export| export.name == FREE_RESULT) else {
        return Ok(());
    };
    let found = Signature { params: export.params.clone(), results: export.results.clone() };
    let expected = Signature { params: vec![ValueType::I32], results: Vec::new() };
    if found == expected { Ok(()) } else { Err(LoadError::FreeResultType { found }) }
}
