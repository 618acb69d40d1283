//! The way of records behind their input: through a lane's filters into a chunk, and by the router to the outputs' workers.

mod backlog;
mod condition;
mod desk;
mod gathering;
mod lane;
mod matching;
#[cfg(test)]
mod outages;
mod processors;
mod retry;
mod router;
mod task;
mod trail;
mod worker;

pub(crate) use condition::Condition;
pub(crate) use desk::{Desk, Sharing};
pub(crate) use gathering::Gathering;
pub(crate) use lane::{Lane, LaneFilter};
pub(crate) use matching::{Match, TagRegex};
pub(crate) use processors::Processed;
pub(crate) use retry::Backoff;
pub use retry::RetryLimit;
pub(crate) use router::{Route, Router, Unrouted};
pub(crate) use task::{Full, Task};
pub(crate) use trail::Trail;
pub(crate) use worker::{Delivery, Pause, Worker};
