//! Runs filters: verified code becomes a module, a module becomes instances, an instance gives verdicts.
//!
//! Three nouns, each built from the one before: [`FilterEngine`], one a process; [`FilterModule`], one a file;
//! [`FilterInstance`], one a lane. `docs/abi.md` says what a filter exports and what its answers mean.

#[cfg(feature = "jit")]
mod cache;
mod engine;
mod error;
mod failure;
mod guest;
mod instance;
mod load;
mod module;
mod native;
mod state;
#[cfg(feature = "wasi")]
mod wasi;

pub use engine::{EngineOptions, FilterEngine};
pub use error::{FilterError, LoadError, Signature};
pub use instance::FilterInstance;
pub use module::{EventFormat, FilterModule, FilterOptions};
