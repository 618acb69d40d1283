//! The pipeline: builds inputs, filters and outputs from a configuration, and moves records between them.
//!
//! A record travels from its input to a lane, through the lane's filters into a chunk, and by the router to outputs; never
//! back. Lanes are threads, inputs and outputs are tasks of the caller's tokio runtime. What an output has not taken yet
//! counts as memory of the input that it came from, which is paused at its limit. Knows plugins only by their traits.
//!
//! No arrow runs back: `build` knows `run`, `run` knows `flow`, `flow` knows `source`, `source` knows `books`, and `books`
//! knows `storage`.

mod books;
mod build;
mod count;
mod flow;
mod instance;
mod log_level;
mod panics;
mod run;
mod source;
mod stop;
mod storage;

pub use books::{
    FilterReport, Hop, InputReport, OutputReport, ParserReport, Report, Sample, Taken, Tap,
    TroubleReport, Way,
};
pub use build::{
    Blueprint, Findings, PARSERS_FILE, SERVICE, Settings, core_properties, read_parsers_files,
};
pub use flow::RetryLimit;
pub use instance::Instance;
pub use log_level::LogLevel;
pub use run::{Left, Meter, Outcome, Pipeline, RunError};
pub use stop::Stop;
pub use storage::StorageError;
pub use storage::format as storage_format;
