//! From a file's bytes to code that this host can run.
//!
//! Artifacts are taken as they are. What has to be compiled here (a raw module, or an artifact that no longer fits and holds
//! its module) is compiled once and kept in the cache, and then takes the same road as any artifact.

use std::borrow::Cow;

use flb_artifact::{
    Artifact, ArtifactError, Foreign, Interruption, Required, Traps, Trust, Verified,
};
use flb_engine::INTERPRETER;

#[cfg(feature = "jit")]
use crate::cache::Cache;
use crate::machine::Module;
use crate::{FilterEngine, LoadError};

/// Code in its engine, where it comes from, and what had to be done to get it.
pub(crate) struct Loaded {
    pub(crate) module: Module,
    pub(crate) artifact: Artifact,
    /// How the code is interrupted.
    pub(crate) interruption: Interruption,
    /// What an operator may want to know, in whole sentences.
    pub(crate) notes: Vec<String>,
}

/// The engines that there are here.
#[cfg(native)]
const ENGINES: &[(&str, &str)] = &flb_engine::ENGINES;
#[cfg(not(native))]
const ENGINES: &[(&str, &str)] = &[INTERPRETER];

/// By content, not by name.
pub(crate) fn load(
    engine: &FilterEngine,
    bytes: Vec<u8>,
    required: Option<&Required>,
) -> Result<Loaded, LoadError> {
    if Artifact::is_artifact(&bytes) {
        let artifact = Artifact::parse(bytes)?;
        required.map_or(Ok(()), |required| artifact.require(required))?;
        return load_artifact(engine, artifact);
    }
    match (Foreign::of(&bytes), required) {
        (Foreign::Wasm, Some(required)) => {
            Err(ArtifactError::Release { required: required.clone(), found: None }.into())
        }
        (kind, _) => load_module(engine, bytes, kind),
    }
}

fn load_module(engine: &FilterEngine, bytes: Vec<u8>, kind: Foreign) -> Result<Loaded, LoadError> {
    match kind {
        Foreign::Wasm | Foreign::WasmComponent if engine.trust() != &Trust::anyone() => {
            Err(ArtifactError::Untrusted { signer: None }.into())
        }
        Foreign::Wasm | Foreign::WasmComponent => {
            let wanted =
                if engine.may_signal() { Interruption::Signal } else { Interruption::Epoch };
            compile(engine, &bytes, wanted, Vec::new())
        }
        found => Err(LoadError::Format(ArtifactError::NoFilter { found })),
    }
}

/// The same module compiled for epochs, where signals cannot interrupt it here for this reason.
pub(crate) fn load_without_signals(
    engine: &FilterEngine,
    loaded: Loaded,
    wasm: Option<Vec<u8>>,
    reason: &str,
) -> Result<Loaded, LoadError> {
    let Loaded { artifact, mut notes, .. } = loaded;
    let inside = artifact.wasm()?.map(Cow::into_owned);
    let Some(wasm) = wasm.or(inside).filter(|_| cfg!(feature = "jit")) else {
        return Err(LoadError::Signals { reason: reason.to_owned() });
    };
    notes.push(format!(
        "signals cannot end its calls here: {reason}. It is compiled for epochs, which is slower"
    ));
    compile(engine, &wasm, Interruption::Epoch, notes)
}

/// An artifact that does not fit this CPU or engine any more is compiled anew from the module inside, if there is one. One
/// for another architecture or system is refused: somebody put it on the wrong machine.
fn load_artifact(engine: &FilterEngine, artifact: Artifact) -> Result<Loaded, LoadError> {
    let unfit = match map(engine, artifact.clone(), engine.trust()) {
        Ok((module, interruption)) => {
            return Ok(Loaded { module, artifact, interruption, notes: Vec::new() });
        }
        Err(error) if is_misfit(&error) => error,
        Err(error) => return Err(error),
    };
    let wasm = artifact.wasm()?.map(Cow::into_owned);
    let Some(wasm) = wasm.filter(|_| cfg!(feature = "jit")) else { return Err(unfit) };
    let wanted = artifact.metadata().slices[0].engine.interruption;
    let note =
        format!("the artifact does not fit: {unfit}. The module inside is compiled for this host");
    compile(engine, &wasm, wanted, vec![note])
}

fn is_misfit(error: &LoadError) -> bool {
    matches!(
        error,
        LoadError::Engine { .. }
            | LoadError::Artifact(ArtifactError::Cpu { .. } | ArtifactError::Engine { .. })
    )
}

/// Verifies the artifact and makes its code part of the engine with its settings.
fn map(
    engine: &FilterEngine,
    artifact: Artifact,
    trust: &Trust,
) -> Result<(Module, Interruption), LoadError> {
    let verified = artifact.verify(engine.host(), ENGINES, trust)?;
    let slice = verified.slice();
    let settings = &slice.engine;
    if engine.traps() == Traps::Explicit && settings.needs_signals() {
        return Err(LoadError::Traps);
    }
    let interruption = settings.interruption;
    let module = if settings.name == INTERPRETER.0 {
        let code = verified.code()?;
        Module::portable(&code, interruption != Interruption::None)
            .map_err(|reason| LoadError::Engine { reason })?
    } else {
        native(engine, &verified)?
    };
    Ok((module, interruption))
}

#[cfg(native)]
fn native(engine: &FilterEngine, verified: &Verified) -> Result<Module, LoadError> {
    let engine = engine.with(&verified.slice().engine)?;
    crate::native::load(&engine, verified).map(Module::Native)
}

/// What is verified is for the engines that there are.
#[cfg(not(native))]
fn native(_: &FilterEngine, verified: &Verified) -> Result<Module, LoadError> {
    let reason = format!("it is for {}, which is not here", verified.slice().engine.name);
    Err(LoadError::Engine { reason })
}

/// Compiles a module for this host, unless the cache has it.
#[cfg(feature = "jit")]
fn compile(
    engine: &FilterEngine,
    wasm: &[u8],
    wanted: Interruption,
    mut notes: Vec<String>,
) -> Result<Loaded, LoadError> {
    let target = flb_artifact::Target::host().ok_or(LoadError::NoCompiler)?;
    let compiler = flb_compiler::Compiler::new(flb_compiler::CompileOptions {
        targets: vec![target],
        levels: flb_artifact::Levels { opt_level: 3, size_level: 0 },
        embed_wasm: false,
        producer: concat!("flb-runtime ", env!("CARGO_PKG_VERSION")).to_owned(),
        jobs: 1,
    })
    .interrupted_by(wanted)
    .trapping(engine.traps());
    let cache = engine.cache().and_then(|folder| {
        Cache::open(folder, wasm, engine.host(), (wanted, engine.traps()))
            .map_err(|error| notes.push(error))
            .ok()
    });
    let load = |bytes| {
        let artifact = Artifact::parse(bytes)?;
        let (module, interruption) = map(engine, artifact.clone(), &Trust::anyone())?;
        Ok::<_, LoadError>((module, artifact, interruption))
    };
    if let Some((module, artifact, interruption)) =
        cache.as_ref().and_then(Cache::read).and_then(|kept| load(kept).ok())
    {
        return Ok(Loaded { module, artifact, interruption, notes });
    }
    let compiled = compiler.compile(wasm);
    let bytes = compiled.map_err(|error| LoadError::Compile { reason: error.to_string() })?;
    if let Some(cache) = cache {
        notes.extend(cache.write(&bytes).err());
    }
    let (module, artifact, interruption) = load(bytes)?;
    Ok(Loaded { module, artifact, interruption, notes })
}

#[cfg(not(feature = "jit"))]
fn compile(
    _: &FilterEngine,
    _: &[u8],
    _: Interruption,
    _: Vec<String>,
) -> Result<Loaded, LoadError> {
    Err(LoadError::NoCompiler)
}
