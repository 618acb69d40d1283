//! What a module imports, and who provides it: WASI, a few functions that toolchains expect, and a trap for whatever nobody
//! knows.

use wasmtime::{InstancePre, Linker, Module};

use crate::LoadError;
use crate::state::State;

/// The module name of WASI preview 1.
const WASI: &str = "wasi_snapshot_preview1";

/// Provides what the module imports: WASI, and a trap for whatever nobody knows.
pub(crate) fn link(module: &Module) -> Result<(InstancePre<State>, Vec<String>), LoadError> {
    let refused = |error: wasmtime::Error| LoadError::Instantiate { reason: format!("{error:#}") };
    let mut linker = Linker::<State>::new(module.engine());
    let (wasi, unknown): (Vec<_>, Vec<_>) =
        module.imports().partition(|import| import.module() == WASI);
    if !wasi.is_empty() {
        add_wasi(&mut linker)?;
    }
    for import in &unknown {
        let Some(ty) = import.ty().func().cloned() else { continue };
        let name = format!("({}, {})", import.module(), import.name());
        linker
            .func_new(import.module(), import.name(), ty, move |_, _, _| {
                Err(wasmtime::Error::msg(format!("failed to call unlinked import function {name}")))
            })
            .map_err(refused)?;
    }
    // What a later WASI may add.
    linker.define_unknown_imports_as_traps(module).map_err(refused)?;
    let pre = linker.instantiate_pre(module).map_err(refused)?;
    let names = unknown.iter().map(|import| format!("{}.{}", import.module(), import.name()));
    Ok((pre, names.collect()))
}

#[cfg(feature = "wasi")]
fn add_wasi(linker: &mut Linker<State>) -> Result<(), LoadError> {
    crate::wasi::link(linker)
        .map_err(|error| LoadError::Instantiate { reason: format!("{error:#}") })
}

#[cfg(not(feature = "wasi"))]
fn add_wasi(_linker: &mut Linker<State>) -> Result<(), LoadError> {
    Err(LoadError::NoWasi)
}
