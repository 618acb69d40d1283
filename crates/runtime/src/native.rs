//! Makes verified bytes code.
//!
//! One of the project's homes of `unsafe`: whatever bytes come here run as native code, so only `Verified` ones can.
#![expect(unsafe_code, reason = "mapping native code is unsafe; see the module's words")]

use flb_artifact::Verified;
use wasmtime::{Engine, Module};

use crate::LoadError;

/// Loads the artifact's code into an engine with the same settings.
pub(crate) fn load(engine: &Engine, verified: &Verified) -> Result<Module, LoadError> {
    let code = verified.code()?;
    // SAFETY: the engine asks that the bytes come, unchanged, from its own compiler. A `Verified` is only made from an
    // artifact whose every byte matched its SHA-256 and whose slice was made by the same engine version for this
    // architecture, operating system and CPU. The checksum keeps out damage, not malice: who can write the artifact can
    // run code, as with any program (docs/security.md). The bytes are in memory of ours, so no file can change them.
    let module = unsafe { Module::deserialize(engine, &code) };
    module.map_err(|error| LoadError::Engine { reason: format!("{error:#}") })
}
