//! A pipeline's life: it is started, looked after, and ends or hands over to the one that replaces it.

mod handover;
mod leftovers;
mod pipeline;
mod running;
mod threads;

pub use handover::Left;
pub(crate) use handover::OutputKey;
pub(crate) use pipeline::{InputPart, OutputPart, Reserved, StoragePart, Timing};
pub use pipeline::{Meter, Outcome, Pipeline, RunError};
