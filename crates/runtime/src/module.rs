//! One a file: code, and the function in it that is the filter, found and type-checked once.

use std::sync::Arc;

use flb_artifact::contract::FREE_RESULT;
use flb_artifact::{Interface, Sha256Hex, ValueType};

use crate::ready::Ready;
use crate::{Abi, FilterEngine, FilterOptions, LoadError, Signature, abi};

/// Code ready to be instantiated. Cheap to clone; clones share the code.
#[derive(Clone)]
pub struct FilterModule {
    shared: Arc<Shared>,
}

struct Shared {
    ready: Ready,
    options: FilterOptions,
    abi: Abi,
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
        let abi = abi::check(ready.interface(), &options.function, options.abi)?;
        check_free_result(ready.interface())?;
        Ok(Self { shared: Arc::new(Shared { ready, options, abi }) })
    }

    /// What ABI the function speaks.
    pub fn abi(&self) -> Abi {
        self.shared.abi
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
    let found = Signature::of(export);
    let expected = Signature { params: vec![ValueType::I32], results: Vec::new() };
    if found == expected { Ok(()) } else { Err(LoadError::FreeResultType { found }) }
}
