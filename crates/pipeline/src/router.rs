//! From a lane's finished chunk to the queues of all outputs that match its tag.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flb_event::{Chunk, Pattern, Timestamp};
use tokio::sync::mpsc;

use crate::context;
use crate::counters::{InputRow, OutputRow};

/// One chunk on its way to one output.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) chunk: Chunk,
    pub(crate) from: Arc<InputRow>,
    /// Counts the chunks of the whole pipeline.
    pub(crate) task: u64,
    /// When the chunk left its lane.
    pub(crate) created: Timestamp,
}

/// The way to one output.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) pattern: Pattern,
    pub(crate) queue: mpsc::Sender<Delivery>,
    pub(crate) row: Arc<OutputRow>,
}

/// All ways out of a lane. When the last lane drops its router, the outputs' queues end.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    routes: Vec<Route>,
    tasks: Arc<AtomicU64>,
}

impl Router {
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        Self { routes, tasks: Arc::default() }
    }

    /// Hands `chunk` to every output that matches; waits while one is full. False when none matches.
    ///
    /// Blocks the thread, so it must not be called from a runtime's.
    pub(crate) fn route(&self, chunk: &Chunk, from: &Arc<InputRow>) -> bool {
        let task = self.tasks.fetch_add(1, Ordering::Relaxed);
        let created = context::now();
        let mut matched = false;
        for route in self.routes.iter().filter(|route| route.pattern.matches(chunk.tag())) {
            matched = true;
            route.row.routed.add(chunk.len());
            route.row.tasks.add(1);
            let delivery = Delivery { chunk: chunk.clone(), from: Arc::clone(from), task, created };
            // A closed queue means that the output was given up at the end of the grace period. What was routed and
            // neither delivered nor dropped is reported as lost.
            let _ = route.queue.blocking_send(delivery);
        }
        matched
    }
}
