//! What the host keeps for one guest: its bounds, and what WASI knows of it.

use flb_artifact::Arguments;
use wasmtime::{StoreLimits, StoreLimitsBuilder};

use crate::{FilterOptions, LoadError};

/// What the host keeps for one guest.
pub(crate) struct State {
    pub(crate) limits: StoreLimits,
    #[cfg(feature = "wasi")]
    pub(crate) wasi: crate::wasi::Wasi,
}

impl State {
    pub(crate) fn new(arguments: Arguments, options: &FilterOptions) -> Result<Self, LoadError> {
        Ok(Self {
            limits: limits(arguments, options.memory_limit),
            #[cfg(feature = "wasi")]
            wasi: crate::wasi::context(&options.accessible_paths)?,
        })
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
