//! What the host keeps for one guest: its bounds, and what WASI knows of it.

use flb_artifact::Arguments;
use wasmtime::{StoreLimits, StoreLimitsBuilder};

#[cfg(feature = "wasi")]
use crate::capture::Capture;
use crate::{LoadError, Sandbox};

/// What the host keeps for one guest.
pub(crate) struct State {
    pub(crate) limits: StoreLimits,
    #[cfg(feature = "wasi")]
    pub(crate) wasi: crate::wasi::Wasi,
}

impl State {
    pub(crate) fn new(
        arguments: Arguments,
        memory_limit: u64,
        #[cfg_attr(
            not(feature = "wasi"),
            expect(unused_variables, reason = "only WASI shows the guest anything of the host")
        )]
        sandbox: &Sandbox,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            limits: limits(arguments, memory_limit),
            #[cfg(feature = "wasi")]
            wasi: crate::wasi::context(sandbox, None)?,
        })
    }

    /// For a program whose output is kept.
    #[cfg(feature = "wasi")]
    pub(crate) fn with_capture(
        arguments: Arguments,
        memory_limit: u64,
        sandbox: &Sandbox,
        stdout: Capture,
    ) -> Result<Self, LoadError> {
        let wasi = crate::wasi::context(sandbox, Some(stdout))?;
        Ok(Self { limits: limits(arguments, memory_limit), wasi })
    }
}

/// Bounds of tables and instances, and of memory where the guest grows it itself. A memory with host pages has its fixed
/// size, and the guest's part of it is bounded by the limit global.
fn limits(arguments: Arguments, memory_limit: u64) -> StoreLimits {
    let builder = StoreLimitsBuilder::new().instances(1).tables(16).table_elements(1 << 20);
    let memory_limit = usize::try_from(memory_limit).unwrap_or(usize::MAX);
    match arguments {
        Arguments::Malloc => builder.memory_size(memory_limit),
        Arguments::Pages { .. } => builder,
    }
    .memories(16)
    .build()
}
