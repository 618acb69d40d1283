//! Generates code for one target.
//!
//! One of the project's two homes of `unsafe`: a wrong code generator flag could make code that misbehaves, so flags come
//! only from the closed table of CPUs and features.
#![expect(unsafe_code, reason = "setting code generator flags is unsafe; see the module's words")]

use flb_artifact::{EngineSettings, Levels, Target};
use wasmtime::{Config, Engine, OptLevel};

use crate::CompileError;

/// The engine's image for one target. The same input gives the same bytes.
pub(crate) fn generate(
    wasm: &[u8],
    target: &Target,
    levels: Levels,
    settings: &EngineSettings,
) -> Result<Vec<u8>, CompileError> {
    let failed = |error: wasmtime::Error| CompileError::Codegen { reason: format!("{error:#}") };
    let mut config = flb_engine::config(settings);
    config
        .target(&target.triple.to_string())
        .map_err(failed)?
        .cranelift_opt_level(if levels.opt_level == 0 { OptLevel::None } else { OptLevel::Speed });
    set_features(&mut config, target);
    let engine = Engine::new(&config).map_err(failed)?;
    engine.precompile_module(wasm).map_err(failed)
}

fn set_features(config: &mut Config, target: &Target) {
    for flag in target.flags() {
        // SAFETY: the flag is one of the constants in the table of this target's architecture, each of which only lets
        // the code generator use instructions of that CPU feature. Code that uses them runs only where the loader found
        // every feature present: they are recorded in the artifact, and the engine compares them again.
        unsafe { config.cranelift_flag_enable(flag) };
    }
}
