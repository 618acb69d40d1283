//! What became of all records: counted while the pipeline runs, and reported.

mod counters;
mod histogram;
mod report;

pub(crate) use counters::{Counters, FilterRow, InputRow, OutputRow};
pub use histogram::Histogram;
pub use report::{FilterReport, InputReport, OutputReport, Report};
