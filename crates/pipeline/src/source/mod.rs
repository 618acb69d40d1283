//! Where records come from: what an input is lent, and the queues into its lanes.

pub(crate) mod context;
mod queue;

pub(crate) use context::InputContext;
pub(crate) use queue::{Batch, Received, Receiver, queue};
