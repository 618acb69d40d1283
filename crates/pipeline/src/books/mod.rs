//! What became of all records: counted while the pipeline runs, and reported.

mod bounds;
mod counters;
mod report;

pub use counters::Way;
pub(crate) use counters::{Counters, FilterRow, InputRow, OutputRow, ParserRow};
pub use report::{FilterReport, InputReport, OutputReport, ParserReport, Report};
