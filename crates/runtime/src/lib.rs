//! Runs filters: verified code becomes a module, a module becomes instances, an instance gives verdicts.
//!
//! Three nouns, each built from the one before: [`FilterEngine`], one a process; [`FilterModule`], one a file;
//! [`FilterInstance`], one a lane. `docs/abi.md` says what a filter exports and what its answers mean. A [`Program`] runs to
//! its end instead, and what it writes is kept. A [`Sandbox`] says what either may see of the host.

mod abi;
mod backtrace;
mod bounds;
#[cfg(feature = "jit")]
mod cache;
#[cfg(feature = "wasi")]
mod capture;
mod class;
mod engine;
mod error;
mod failure;
mod fault;
#[cfg(all(native, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod fence;
#[cfg(not(all(
    native,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "no_fence.rs"]
mod fence;
mod guest;
mod guests;
mod imports;
mod instance;
mod interrupt;
mod leaves;
mod libc;
mod load;
mod machine;
mod meters;
mod module;
#[cfg(native)]
mod native;
mod options;
mod output;
#[cfg(feature = "wasi")]
mod program;
mod ready;
mod sandbox;
mod space;
mod state;
#[cfg(feature = "wasi")]
mod wasi;

pub use abi::{Abi, Answers, MOST_RECORDS, Part, Signature};
pub use class::Failure;
pub use engine::{EngineOptions, FilterEngine};
pub use error::{FilterError, LoadError};
pub use imports::unprovided;
pub use instance::FilterInstance;
pub use meters::{Meter, Meters};
pub use module::FilterModule;
pub use options::{EventFormat, FilterOptions, Hurry, Recycle};
pub use output::{GuestLog, GuestOutput, GuestStream, Heard, LINE, LogLevel};
#[cfg(feature = "wasi")]
pub use program::{Program, ProgramOptions, ProgramRun};
pub use sandbox::{Directory, NoVariable, Sandbox, variable};
