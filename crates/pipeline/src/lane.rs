//! A lane: the thread behind one input. It filters batches in the order they came, gathers them by tag and hands full or
//! due chunks to the router.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flb_event::{Chunk, ChunkBuilder, Pattern, Tag};
use flb_plugin::{Filter, Filtered, Tally};
use tracing::Span;

use crate::counters::{FilterRow, InputRow};
use crate::panics::caught;
use crate::queue::{Received, Receiver};
use crate::router::Router;

/// A chunk over this size leaves at once instead of waiting for the flush.
const FULL_CHUNK: usize = 2_048_000;

/// A filter's copy for one lane.
pub(crate) struct LaneFilter {
    pub(crate) pattern: Pattern,
    pub(crate) filter: Box<dyn Filter>,
    pub(crate) row: Arc<FilterRow>,
    pub(crate) span: Span,
}

impl LaneFilter {
    /// Filters a batch. When the filter panics the batch passes as it was, and a fresh copy takes the filter's place.
    fn apply(&mut self, batch: Chunk) -> Chunk {
        let span = self.span.clone();
        let _entered = span.enter();
        let Filtered { chunk, tally } = match caught(|| self.filter.filter(batch.clone())) {
            Ok(filtered) => filtered,
            Err(message) => {
                self.panicked(batch.len(), &message);
                Filtered { tally: Tally::untouched(batch.len()), chunk: batch }
            }
        };
        self.row.add(&tally);
        chunk
    }

    fn panicked(&mut self, records: usize, message: &str) {
        self.row.panics.add(1);
        if self.row.panics.get().is_power_of_two() {
            tracing::error!("the filter panicked: {message}; {records} records pass unfiltered");
        }
        match caught(|| self.filter.fork()) {
            Ok(Ok(fresh)) => self.filter = fresh,
            Ok(Err(error)) => tracing::error!("the filter cannot be renewed: {error}"),
            Err(message) => tracing::error!("the filter cannot be renewed: {message}"),
        }
    }
}

/// Everything between one input and the router.
pub(crate) struct Lane {
    pub(crate) queue: Receiver,
    pub(crate) filters: Vec<LaneFilter>,
    pub(crate) router: Router,
    pub(crate) row: Arc<InputRow>,
    pub(crate) flush_every: Duration,
    pub(crate) open: BTreeMap<Tag, ChunkBuilder>,
}

impl Lane {
    /// Runs until the input has dropped its end of the queue and all is routed.
    pub(crate) fn run(mut self) {
        let mut due = Instant::now() + self.flush_every;
        loop {
            match self.queue.receive(due.saturating_duration_since(Instant::now())) {
                Received::Batch(batch) => self.take(batch),
                Received::Nothing => {}
                Received::Closed => break,
            }
            let now = Instant::now();
            if now >= due {
                self.flush();
                due = now + self.flush_every;
            }
        }
        self.flush();
    }

    fn take(&mut self, batch: Chunk) {
        let taken = batch.len();
        let mut chunk = batch;
        for filter in &mut self.filters {
            if chunk.is_empty() {
                break;
            }
            if filter.pattern.matches(chunk.tag()) {
                chunk = filter.apply(chunk);
            }
        }
        self.row.filtered.add(taken.saturating_sub(chunk.len()));
        if !chunk.is_empty() {
            self.gather(&chunk);
        }
    }

    /// Adds a batch to the open chunk of its tag.
    fn gather(&mut self, batch: &Chunk) {
        let tag = batch.tag();
        let mut builder = self.open.remove(tag).unwrap_or_else(|| ChunkBuilder::new(tag.clone()));
        if builder.append(batch).is_err() {
            // Both together exceed what a chunk can hold; each of them fits alone.
            self.route(&builder.build());
            self.route(batch);
        } else if builder.size() >= FULL_CHUNK {
            self.route(&builder.build());
        } else {
            self.open.insert(tag.clone(), builder);
        }
    }

    fn flush(&mut self) {
        for builder in std::mem::take(&mut self.open).into_values() {
            self.route(&builder.build());
        }
    }

    fn route(&self, chunk: &Chunk) {
        if self.router.route(chunk, &self.row) {
            self.row.routed.add(chunk.len());
            return;
        }
        if self.row.unrouted.get() == 0 {
            tracing::warn!(
                "[router] records of tag '{}' match no output and are dropped",
                chunk.tag()
            );
        }
        self.row.unrouted.add(chunk.len());
    }
}
