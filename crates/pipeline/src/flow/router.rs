//! From a lane's finished chunk to the backlogs of all outputs that match its tag. Never waits for any of them, so a slow
//! or dead output does not stop the others: what it has not taken yet counts as its input's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flb_event::Tag;
use tokio::sync::mpsc;

use super::matching::Match;
use super::task::{Full, Task};
use crate::books::{InputRow, OutputRow};
use crate::instance::Instance;
use crate::storage::{Slots, StoredFile};

/// The way to one output.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) matching: Match,
    /// Whether the output delivers what it is owed and gets nothing new.
    pub(crate) is_leaving: bool,
    pub(crate) queue: mpsc::UnboundedSender<Arc<Task>>,
    pub(crate) row: Arc<OutputRow>,
}

/// All ways out of a lane. When the last lane drops its router, the outputs' queues end.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    routes: Vec<Route>,
    tasks: Arc<AtomicU64>,
    /// Places in memory for stored chunks.
    slots: Option<Slots>,
}

/// A chunk that no output takes.
#[derive(Debug)]
pub(crate) struct Unrouted {
    pub(crate) file: Option<StoredFile>,
    /// All that match had it before.
    pub(crate) is_settled: bool,
}

impl Router {
    pub(crate) fn new(routes: Vec<Route>, slots: Option<Slots>) -> Self {
        Self { routes, tasks: Arc::default(), slots }
    }

    /// Hands a new chunk to every output that matches.
    pub(crate) fn route(&self, from: &Arc<InputRow>, full: Full) -> Result<(), Unrouted> {
        let takes = |route: &Route| !route.is_leaving;
        self.route_to(from, full, &takes, &[])
    }

    /// Hands a chunk that was in storage to every output that matches, but for those that had it before, `settled`.
    pub(crate) fn route_again(
        &self,
        from: &Arc<InputRow>,
        full: Full,
        settled: &[String],
    ) -> Result<(), Unrouted> {
        self.route_to(from, full, &|_| true, settled)
    }

    /// The outputs that get what is new with this tag.
    pub(crate) fn outputs_of(&self, tag: &Tag) -> impl Iterator<Item = &Instance> {
        let takes = |route: &&Route| !route.is_leaving && route.matching.matches(tag);
        self.routes.iter().filter(takes).map(|route| &route.row.instance)
    }

    fn route_to(
        &self,
        from: &Arc<InputRow>,
        full: Full,
        takes: &dyn Fn(&Route) -> bool,
        settled: &[String],
    ) -> Result<(), Unrouted> {
        let tag = full.chunk.tag();
        let matches = |place: &usize| {
            let route = &self.routes[*place];
            takes(route) && route.matching.matches(tag)
        };
        let mut places: Vec<usize> = (0..self.routes.len()).filter(matches).collect();
        let is_matched = !places.is_empty();
        let has_had = |row: &OutputRow| settled.iter().any(|name| **name == *row.instance.name);
        places.retain(|place| !has_had(&self.routes[*place].row));
        if places.is_empty() {
            from.chunks.sub(1);
            return Err(Unrouted { file: full.file, is_settled: is_matched });
        }
        self.send(from, full, &places);
        Ok(())
    }

    /// Hands a chunk to the outputs at these places, at least one.
    pub(crate) fn send(&self, from: &Arc<InputRow>, full: Full, places: &[usize]) {
        let number = self.tasks.fetch_add(1, Ordering::Relaxed);
        let slots = self.slots.as_ref();
        let task = Arc::new(Task::new(number, from, full, places.len(), slots));
        if let Some(ring) = &from.buffer.ring {
            let waiting = Arc::downgrade(&task);
            ring.push(waiting);
        }
        for place in places {
            let route = &self.routes[*place];
            route.row.routed.add(task.records());
            route.row.tasks.add(1);
            if task.is_stored() {
                route.row.stored.add(task.records());
            }
            // A closed queue means that the output was given up at the end of the grace period. What was routed and
            // neither delivered nor dropped is reported as lost, or as still in storage.
            let _ = route.queue.send(Arc::clone(&task));
        }
    }
}
