//! What can be plugged in: the traits of inputs, filters, outputs and parsers, and the tables that describe them.
//!
//! A plugin is one file with a `Spec` (its row), a struct and one trait. The row pays for the rest: typing and checking of
//! options, defaults, help and "did you mean". Nothing here knows an async runtime; futures are boxed.

mod books;
mod ending;
mod failure;
pub mod families;
mod filter;
mod histogram;
mod input;
pub mod log;
mod metrics;
mod multiline;
mod output;
mod parser;
mod registry;
mod service;
mod shared;
mod sink;
mod tally;

use std::future::Future;
use std::pin::Pin;

pub use books::Books;
pub use ending::Ending;
pub use failure::{BuildError, InputError, OutputError, is_exhausted};
pub use filter::{Filter, Outlet};
pub use flb_config::keys;
pub use flb_config::keys::{Options, Table};
pub use flb_config::{Role, Secrecy};
pub use flb_regex::{Groups, Regex, RegexError, TooManySteps};
pub use histogram::{Histogram, Observed};
pub use input::{Closed, Context, End, Input, LongLines};
pub use metrics::{
    Counter, Distribution, FAILURES, Gauge, Info, Metric, Metrics, Reading, Timer, Value,
};
pub use multiline::{MultilineParser, MultilineParsers, Rule, Whole};
pub use output::{Flush, Output};
pub use parser::{Named, ParseError, Parsed, Parser, Parsers};
pub use registry::{Absent, Build, Registry, Spec};
pub use service::{ESCAPE_UNICODE, Generation, SERVICE, Service};
pub use shared::Shared;
pub use sink::write_all;
pub use tally::{Fate, Fates, Tally};

/// A boxed future, so that plugin traits are object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
