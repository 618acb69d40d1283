//! A pipeline's life: it is started, looked after, and ends or hands over to the one that replaces it.

mod error;
mod handover;
mod leftovers;
mod meter;
mod parts;
mod pipeline;
mod running;
mod threads;

pub use error::RunError;
pub use handover::Left;
pub use meter::Meter;
pub(crate) use parts::{InputPart, OutputKey, OutputPart, StoragePart, Timing};
pub(crate) use pipeline::Reserved;
pub use pipeline::{Outcome, Pipeline};
