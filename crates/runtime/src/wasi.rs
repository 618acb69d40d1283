//! WASI preview 1 for guests that import it: no network, no environment, no arguments, and only the directories named.

use std::path::PathBuf;

use wasmtime::Linker;
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_sync};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use crate::LoadError;
use crate::state::State;

/// What WASI keeps for one guest.
pub(crate) type Wasi = WasiP1Ctx;

/// Provides WASI's functions.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_to_linker_sync(linker, |state| &mut state.wasi)
}

/// A context in which the guest writes to the agent's stdout and stderr and may use these directories.
pub(crate) fn context(directories: &[PathBuf]) -> Result<Wasi, LoadError> {
    let mut builder = WasiCtxBuilder::new();
    builder.inherit_stdout().inherit_stderr();
    for directory in directories {
        let path = directory.display().to_string();
        builder
            .preopened_dir(directory, &path, FsPerms::ReadWrite)
            .map_err(|error| LoadError::Directory { path, reason: format!("{error:#}") })?;
    }
    Ok(builder.build_p1())
}

/// The code that the guest exited with, if it did.
pub(crate) fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}
