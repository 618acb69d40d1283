//! From a lane's finished chunk to the backlogs of all outputs that match its tag. Never waits for any of them, so a slow
//! or dead output does not stop the others: what it has not taken yet counts as its input's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flb_event::Chunk;
use tokio::sync::mpsc;

use crate::buffer::Held;
use crate::counters::{InputRow, OutputRow};
use crate::matching::Match;
use crate::task::{ChunkName, Task};

/// The way to one output.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) matching: Match,
    pub(crate) queue: mpsc::UnboundedSender<Arc<Task>>,
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

    /// Hands a chunk to every output that matches. False when none matches.
    pub(crate) fn route(
        &self,
        name: ChunkName,
        from: &Arc<InputRow>,
        (chunk, held): (Chunk, Held),
    ) -> bool {
        let fits = |route: &&Route| route.matching.matches(chunk.tag());
        let routes: Vec<&Route> = self.routes.iter().filter(fits).collect();
        if routes.is_empty() {
            from.chunks.sub(1);
            return false;
        }
        let number = self.tasks.fetch_add(1, Ordering::Relaxed);
        let task = Arc::new(Task::new(number, name, Arc::clone(from), (chunk, held)));
        for route in routes {
            route.row.routed.add(task.records());
            route.row.tasks.add(1);
            // A closed queue means that the output was given up at the end of the grace period. What was routed and
            // neither delivered nor dropped is reported as lost.
            let _ = route.queue.send(Arc::clone(&task));
        }
        true
    }
}
