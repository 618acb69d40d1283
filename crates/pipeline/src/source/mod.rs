//! Where records come from: an input at work, what it is lent, and the queues into its lanes.

pub(crate) mod context;
mod input;
mod queue;

pub(crate) use context::InputContext;
pub(crate) use input::{Ended, Told, ended, run_input};
pub(crate) use queue::{Batch, Received, Receiver, queue};
