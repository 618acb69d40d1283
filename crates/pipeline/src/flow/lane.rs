//! A lane: a thread behind an input. It filters batches and has what is left gathered in the order in which they came.
//!
//! An input has one lane, or as many as its `Workers` says, each with its own copies of the filters. Then each tag has its lane; or
//! they share a desk, and take its batches in turn.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flb_event::{Chunk, ChunkBuilder, RecordTooLarge, Tag};
use flb_plugin::{Filter, Outlet, Tally};
use tracing::Span;

use super::condition::Condition;
use super::desk::{Desk, Taken, Turn};
use super::matching::Match;
use super::router::Router;
use super::trail::Trail;
use crate::books::{FilterRow, Hop, InputRow, Sample};
use crate::panics::caught;
use crate::source::{Batch, context};
use crate::storage::Held;

/// A filter's copy for one lane.
pub(crate) struct LaneFilter {
    pub(crate) matching: Match,
    pub(crate) filter: Box<dyn Filter>,
    /// What comes out of it, from one call to the next.
    pub(crate) outlet: Outlet,
    pub(crate) row: Arc<FilterRow>,
    pub(crate) span: Span,
    /// Which records it is for, if not for all.
    pub(crate) condition: Option<Condition>,
}

impl LaneFilter {
    /// Filters the records of a batch that it is for. The others stay as they are and where they are. What comes out of it is
    /// in the outlet then.
    pub(crate) fn apply(&mut self, batch: Chunk) {
        if !self.row.tap.is_asked() || self.apply_tapped(&batch).is_err() {
            self.apply_whole(batch);
        }
    }

    /// Filters the first record as a batch of its own, so that it is known what becomes of it, and then the others.
    fn apply_tapped(&mut self, batch: &Chunk) -> Result<(), RecordTooLarge> {
        let part = |records: Range<usize>| {
            let mut part = ChunkBuilder::new(batch.tag().clone());
            part.append_run(batch, records)?;
            Ok(part.build())
        };
        let (first, rest) = (part(0..1)?, part(1..batch.len())?);
        self.apply_whole(first.clone());
        let (mut passed, mut emitted) = self.outlet.take();
        let made: Vec<&Chunk> = passed.iter().chain(&emitted).collect();
        self.row.tap.give(Sample::filtered(&first, &made, *self.outlet.tally()));
        if !rest.is_empty() {
            self.apply_whole(rest);
            let others = self.outlet.take();
            passed.extend(others.0);
            emitted.extend(others.1);
        }
        self.outlet.begin(context::now());
        passed.into_iter().for_each(|chunk| self.outlet.pass(chunk));
        emitted.into_iter().for_each(|chunk| self.outlet.emit(chunk));
        Ok(())
    }

    fn apply_whole(&mut self, batch: Chunk) {
        let Some(condition) = &self.condition else { return self.filter(batch) };
        let meant: Vec<bool> = batch.records().map(|event| condition.holds(&event)).collect();
        if meant.iter().all(|meant| *meant) {
            return self.filter(batch);
        }
        if meant.contains(&true) {
            if self.filter_meant(&batch, &meant) {
                return;
            }
            match self.filter_runs(&batch, &meant) {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!("{error}; {} records pass unfiltered", batch.len());
                }
            }
        }
        self.outlet.begin(context::now());
        self.outlet.pass(batch);
    }

    /// Filters the records that it is for in one go, if the filter does that.
    fn filter_meant(&mut self, batch: &Chunk, meant: &[bool]) -> bool {
        let others = Others::of(batch, meant);
        self.call(batch, others, |filter, outlet| filter.filter_meant(batch, meant, outlet))
    }

    /// Filters each run of records that it is for as a batch of its own, so that all keep their order.
    fn filter_runs(&mut self, batch: &Chunk, meant: &[bool]) -> Result<(), RecordTooLarge> {
        let mut passed = ChunkBuilder::new(batch.tag().clone());
        let mut emitted = Vec::new();
        let mut at = 0;
        for run in meant.chunk_by(|left, right| left == right) {
            let records = at..at + run.len();
            at = records.end;
            if !run[0] {
                passed.append_run(batch, records)?;
                continue;
            }
            let mut part = ChunkBuilder::new(batch.tag().clone());
            part.append_run(batch, records)?;
            self.filter(part.build());
            self.outlet.take_passed().try_for_each(|chunk| passed.append(&chunk))?;
            emitted.extend(self.outlet.take_emitted());
        }
        self.outlet.begin(context::now());
        self.outlet.pass(passed.build());
        emitted.into_iter().for_each(|chunk| self.outlet.emit(chunk));
        Ok(())
    }

    /// Filters a batch.
    fn filter(&mut self, batch: Chunk) {
        self.call(&batch, Others::default(), |filter, outlet| {
            filter.filter(batch.clone(), outlet);
            true
        });
    }

    /// Has the filter filter a batch, in which others pass by; whether it did. When it panics the batch passes as it was, and
    /// a fresh copy takes the filter's place.
    fn call(
        &mut self,
        batch: &Chunk,
        others: Others,
        filter: impl FnOnce(&mut dyn Filter, &mut Outlet) -> bool,
    ) -> bool {
        let span = self.span.clone();
        let _entered = span.enter();
        let begun = Instant::now();
        self.outlet.begin(context::now());
        match caught(|| filter(&mut *self.filter, &mut self.outlet)) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(message) => {
                let records = batch.len() - others.records;
                self.panicked(records, &message);
                self.outlet.begin(context::now());
                self.outlet.count(&Tally::untouched(records));
                self.outlet.pass(batch.clone());
            }
        }
        self.book(begun.elapsed(), (batch.len(), batch.bytes().len()), others.bytes);
        true
    }

    /// Has the filter let go of what waited in it and does so no longer: it is in the outlet then.
    pub(crate) fn release(&mut self, is_end: bool) {
        let span = self.span.clone();
        let _entered = span.enter();
        let begun = Instant::now();
        self.outlet.begin(context::now());
        if let Err(message) = caught(|| self.filter.release(&mut self.outlet, is_end)) {
            self.panicked(0, &message);
            self.outlet.begin(context::now());
        }
        if !self.outlet.passed().is_empty() {
            self.book(begun.elapsed(), (0, 0), 0);
        }
    }

    /// Counts what became of so many records of this size, of which so many bytes only passed by.
    fn book(&self, time: Duration, (records, size): (usize, usize), others: usize) {
        let passed = self.outlet.passed();
        let left: usize = passed.iter().map(Chunk::len).sum();
        let bytes: usize = passed.iter().map(|chunk| chunk.bytes().len()).sum();
        self.row.add(self.outlet.tally(), time);
        self.row.bytes.add(bytes.saturating_sub(others));
        self.row.bytes_dropped.add(size.saturating_sub(bytes));
        self.row.added.add(left.saturating_sub(records));
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

/// Records of a batch that a filter is not for.
#[derive(Default)]
struct Others {
    records: usize,
    bytes: usize,
}

impl Others {
    fn of(batch: &Chunk, meant: &[bool]) -> Self {
        let mut others = Self::default();
        let mut records = batch.records();
        for meant in meant {
            let from = records.position();
            records.pass(1);
            if !meant {
                others.records += 1;
                others.bytes += records.position() - from;
            }
        }
        others
    }
}

/// A batch on its way through the filters.
struct Way {
    chunk: Chunk,
    held: Held,
    /// The first filter for it.
    from: usize,
    /// The filters that it has its origin in.
    origin: Vec<usize>,
}

/// A thread's part of what is between an input and the router.
pub(crate) struct Lane {
    /// Where it takes batches and puts down what is left of them.
    pub(crate) desk: Arc<Desk>,
    pub(crate) filters: Vec<LaneFilter>,
    pub(crate) row: Arc<InputRow>,
    pub(crate) router: Router,
    pub(crate) trail: Trail,
}

impl Lane {
    /// Runs until the input has dropped its end of the queue and all is routed.
    pub(crate) fn run(mut self) {
        let desk = Arc::clone(&self.desk);
        loop {
            match desk.take() {
                Taken::Batch(batch, turn) => self.take(batch, &turn),
                Taken::Due => {
                    self.release(false);
                    desk.gathering().flush();
                }
                Taken::Closed(turn) => {
                    turn.wait();
                    self.release(true);
                    return desk.gathering().flush();
                }
            }
        }
    }

    fn take(&mut self, batch: Batch, turn: &Turn<'_>) {
        let Batch { chunk, held, stored, handed } = batch;
        if self.row.tap.is_asked() {
            self.row.tap.give(Sample::begun(&chunk));
        }
        let (taken, bytes) = (chunk.len(), chunk.bytes().len());
        let filtered = self.pass(Way { chunk, held, from: 0, origin: Vec::new() });
        turn.wait();
        let Some(left) = self.gather(filtered) else { return };
        self.row.latency.lock().add(handed.elapsed());
        self.row.filtered.add(taken.saturating_sub(left));
        self.row.added.add(left.saturating_sub(taken));
        if let Some(stored) = stored {
            self.row.records.add(taken);
            self.row.bytes.add(bytes);
            // The input may have been cut off while it waited.
            let _ = stored.send(());
        }
    }

    /// Notes the way of a tag: from the input, or the filter that made it, through the filters to the outputs.
    fn follow(&self, tag: &Tag, origin: &[usize]) {
        let mut ways = self.row.ways.lock();
        let mut at = match origin.last() {
            Some(maker) => &self.filters[*maker].row.instance,
            None => {
                if ways.tags.len() < Trail::MOST {
                    ways.tags.insert(tag.clone());
                }
                &self.row.instance
            }
        };
        let others = self.filters.iter().enumerate().filter(|(index, _)| !origin.contains(index));
        for (_, filter) in others.filter(|(_, filter)| filter.matching.matches(tag)) {
            let next = &filter.row.instance;
            ways.hops.insert(Hop::new(at, next));
            at = next;
        }
        let hops = self.router.outputs_of(tag).map(|output| Hop::new(at, output));
        ways.hops.extend(hops);
    }

    /// Takes what waited in filters and does so no longer through the filters behind them.
    fn release(&mut self, is_end: bool) {
        for index in 0..self.filters.len() {
            self.filters[index].release(is_end);
            let mut released = VecDeque::new();
            if let Some(chunk) = self.let_out(index, &[], &mut released) {
                let held = Held::new(&self.row.buffer, chunk.bytes().len());
                released.push_front(Way { chunk, held, from: index + 1, origin: Vec::new() });
            }
            for way in released {
                let filtered = self.pass(way);
                match self.gather(filtered) {
                    Some(left) => self.row.added.add(left),
                    None => return,
                }
            }
        }
    }

    /// Sends a batch through the filters. What comes out, in its order.
    fn pass(&mut self, way: Way) -> Vec<(Chunk, Held)> {
        let mut passed = Vec::new();
        let mut waiting = VecDeque::new();
        let mut growth = Outlet::GROWTH;
        let mut next = Some(way);
        while let Some(way) = next.take().or_else(|| waiting.pop_front()) {
            let is_begun = way.from == 0;
            if is_begun && self.trail.is_new(way.origin.last().copied(), way.chunk.tag()) {
                self.follow(way.chunk.tag(), &way.origin);
            }
            let filtered = self.filter(way, &mut waiting, &mut growth);
            let Some((chunk, mut held)) = filtered else { continue };
            held.resize(chunk.bytes().len());
            passed.push((chunk, held));
        }
        passed
    }

    /// Gathers what came out. How many records that were; `None` when nobody shall wait for the storage any more.
    fn gather(&self, passed: Vec<(Chunk, Held)>) -> Option<usize> {
        let mut left = 0;
        let mut gathering = self.desk.gathering();
        for (chunk, held) in passed {
            left += chunk.len();
            if !gathering.gather(&chunk, held) {
                return None;
            }
        }
        Some(left)
    }

    /// Sends a batch through all filters from one on, but those that it has its origin in, so that no filter is given its
    /// own work again. What else comes out on the way waits. All that comes of one batch may outgrow it by so much: else each
    /// of several filters could make a thousand batches of each that the one before made.
    fn filter(
        &mut self,
        way: Way,
        waiting: &mut VecDeque<Way>,
        growth: &mut usize,
    ) -> Option<(Chunk, Held)> {
        let Way { mut chunk, held, from, origin } = way;
        if chunk.is_empty() {
            return None;
        }
        for index in from..self.filters.len() {
            let filter = &mut self.filters[index];
            if filter.matching.matches(chunk.tag()) && !origin.contains(&index) {
                let size = chunk.bytes().len();
                filter.outlet.set_growth(*growth);
                filter.apply(chunk);
                *growth = growth.saturating_sub(filter.outlet.grown(size));
                chunk = self.let_out(index, &origin, waiting)?;
            }
        }
        Some((chunk, held))
    }

    /// Takes what is in a filter's outlet: what passes first, and the rest waits.
    fn let_out(
        &mut self,
        index: usize,
        origin: &[usize],
        waiting: &mut VecDeque<Way>,
    ) -> Option<Chunk> {
        let outlet = &mut self.filters[index].outlet;
        let held = |chunk: &Chunk| Held::new(&self.row.buffer, chunk.bytes().len());
        for chunk in outlet.take_emitted() {
            let (held, origin) = (held(&chunk), [origin, &[index]].concat());
            waiting.push_back(Way { chunk, held, from: 0, origin });
        }
        let mut passed = outlet.take_passed();
        let first = passed.next();
        for chunk in passed {
            let (held, origin) = (held(&chunk), origin.to_vec());
            waiting.push_back(Way { chunk, held, from: index + 1, origin });
        }
        first
    }
}
