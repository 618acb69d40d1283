//! Threads for lanes. A pipeline that is to replace another one takes them while that one works: without them it could not
//! begin, and the other one would be gone.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::mpsc;

use super::error::RunError;
use super::parts::InputPart;
use crate::flow::Lane;

/// A thread that waits for its lane, and ends if none comes.
#[derive(Debug)]
pub(crate) struct LaneThread(Sender<Work>);

struct Work {
    lane: Lane,
    /// Where guests print and wait. In none, each would start another one, with a thread for each CPU.
    runtime: tokio::runtime::Handle,
    /// Dropped when the lane ends.
    alive: mpsc::Sender<()>,
}

impl LaneThread {
    fn start(instance: String) -> Result<Self, RunError> {
        let (sender, receiver) = channel::<Work>();
        let run = move || {
            let Ok(Work { lane, runtime, alive }) = receiver.recv() else { return };
            let _entered = runtime.enter();
            lane.run();
            drop(alive);
        };
        match std::thread::Builder::new().name(instance.clone()).spawn(run) {
            Ok(_detached) => Ok(Self(sender)),
            Err(source) => Err(RunError::Thread { instance, source }),
        }
    }

    /// Runs a lane on it. `alive` is dropped when the lane ends.
    pub(crate) fn run(self, lane: Lane, alive: mpsc::Sender<()>) -> Result<(), RunError> {
        let instance = lane.row.instance.to_string();
        let work = Work { lane, runtime: tokio::runtime::Handle::current(), alive };
        let gone = |_| RunError::Thread { instance, source: io::Error::other("it has ended") };
        self.0.send(work).map_err(gone)
    }
}

/// One for each lane of these inputs, in their order.
pub(crate) fn threads(inputs: &[InputPart]) -> Result<VecDeque<LaneThread>, RunError> {
    let lanes = inputs.iter().flat_map(|part| std::iter::repeat_n(part, part.lanes.len()));
    lanes.map(|part| LaneThread::start(part.row.instance.to_string())).collect()
}
