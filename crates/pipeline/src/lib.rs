//! The pipeline: builds inputs, filters and outputs from a configuration, and moves records between them.
//!
//! A record travels from its input to a lane, through the lane's filters into a chunk, and by the router to outputs; never
//! back. Lanes are threads, inputs and outputs are tasks of the caller's tokio runtime. What an output has not taken yet
//! counts as memory of the input that it came from, which is paused at its limit. Knows plugins only by their traits.

mod backlog;
mod buffer;
mod build;
mod chunk_name;
mod condition;
mod context;
mod count;
mod counters;
mod findings;
mod handover;
mod histogram;
mod instance;
mod lane;
mod leftovers;
mod log_level;
mod matching;
#[cfg(test)]
mod outages;
mod panics;
mod parsers;
mod processors;
mod properties;
mod queue;
mod report;
mod retry;
mod ring;
mod router;
mod run;
mod running;
mod service;
mod stop;
mod storage;
mod task;
mod threads;
mod worker;

pub use build::Blueprint;
pub use findings::Findings;
pub use handover::Left;
pub use histogram::Histogram;
pub use instance::{Instance, Role};
pub use log_level::LogLevel;
pub use parsers::read_parsers_files;
pub use properties::{core_properties, is_core_property};
pub use report::{FilterReport, InputReport, OutputReport, Report};
pub use retry::RetryLimit;
pub use run::{Meter, Outcome, Pipeline, RunError};
pub use service::{HotReload, HttpSettings, LogFormat, SERVICE_DEFAULTS, Settings, is_service_key};
pub use stop::Stop;
pub use storage::StorageError;
pub use storage::format as storage_format;
