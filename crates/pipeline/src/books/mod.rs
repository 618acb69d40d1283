//! What became of all records: counted while the pipeline runs, and reported.

mod bounds;
mod counters;
mod report;
mod tap;
mod trouble;

pub(crate) use counters::{Counters, FilterRow, InputRow, OutputRow, ParserRow};
pub use counters::{Hop, Way};
pub use report::{FilterReport, InputReport, OutputReport, ParserReport, Report};
pub use tap::{Sample, Taken, Tap};
pub(crate) use trouble::Trouble;
pub use trouble::TroubleReport;
