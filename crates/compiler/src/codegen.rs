//! Generates code for one target.
//!
//! One of the project's homes of `unsafe`: a wrong code generator flag could make code that misbehaves, so flags come
//! only from the closed table of CPUs and features.
#![expect(unsafe_code, reason = "setting code generator flags is unsafe; see the module's words")]

use std::panic::{self, AssertUnwindSafe};

use flb_artifact::{EngineSettings, Levels, Target};
use target_lexicon::OperatingSystem;
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm};

use crate::CompileError;
use crate::passes::lines::Lines;

/// What matters for the time that it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Whether functions are compiled on all CPUs.
    pub(crate) parallel: bool,
    /// Whether registers are given out in one pass over the code, which is plainer code in less time.
    pub(crate) is_intricate: bool,
}

/// What the code generator says of code that is too large for it, and of what it has not learnt.
const LIMITS: [&str; 3] = ["too large", "mplementation limit", "Unsupported feature"];

fn failed(error: wasmtime::Error) -> CompileError {
    let reason = format!("{error:#}");
    if LIMITS.iter().any(|words| reason.contains(words)) {
        return CompileError::TooLarge { reason };
    }
    CompileError::Codegen { reason }
}

/// The engine's image for one target. The same input gives the same bytes, on many threads as on one.
pub(crate) fn generate(
    wasm: &[u8],
    target: &Target,
    levels: Levels,
    settings: &EngineSettings,
    how: How,
) -> Result<Vec<u8>, CompileError> {
    let lines = Lines::read(wasm).map_err(|error| CompileError::invalid(&error))?;
    let mut config = flb_engine::config(settings);
    config
        .target(&target.triple.to_string())
        .map_err(failed)?
        .cranelift_opt_level(if levels.opt_level == 0 { OptLevel::None } else { OptLevel::Speed })
        .generate_address_map(levels.size_level < 2 || !lines.is_empty())
        .native_unwind_info(levels.size_level < 1 || needs_unwind_info(target))
        .parallel_compilation(how.parallel);
    if how.is_intricate {
        config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    set_features(&mut config, target);
    let engine = Engine::new(&config).map_err(failed)?;
    // No module may end the program: what the code generator does not expect is an error like others. Nothing is left
    // half done behind a panic, as the engine goes with it.
    match panic::catch_unwind(AssertUnwindSafe(|| engine.precompile_module(wasm))) {
        Ok(code) => {
            let mut code = code.map_err(failed)?;
            if !lines.is_empty() {
                flb_engine::lines::set(&mut code, |offset| lines.at(offset));
            }
            Ok(code)
        }
        Err(_) => Err(CompileError::Codegen {
            reason: format!("it panicked while compiling for {}", target.triple),
        }),
    }
}

/// On Windows the system itself walks the stack.
fn needs_unwind_info(target: &Target) -> bool {
    target.triple.operating_system == OperatingSystem::Windows
}

fn set_features(config: &mut Config, target: &Target) {
    for flag in target.flags() {
        // SAFETY: the flag is one of the constants in the table of this target's architecture, each of which only lets
        // the code generator use instructions of that CPU feature. Code that uses them runs only where the loader found
        // every feature present: they are recorded in the artifact, and the engine compares them again.
        unsafe { config.cranelift_flag_enable(flag) };
    }
}
