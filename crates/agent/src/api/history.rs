//! What each node counted of late, a sample a second: so that rates are those of the last minute, and not of a lifetime.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flb_pipeline::{FilterReport, InputReport, Instance, OutputReport, Report};
use flb_plugin::{FAILURES, Histogram, Reading, Role};
use tokio::time::Instant;

/// Samples that are kept: those of a minute, its beginning and its end.
const LENGTH: usize = 61;

/// A node: what it is there for, and its name.
type Node = (Role, Arc<str>);

/// What a node has counted, or counted within some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Records that a filter dropped on purpose, that an output gave up, or that matched no output.
    pub(super) dropped: u64,
    pub(super) dropped_by_failure: u64,
    pub(super) quarantined: u64,
    pub(super) errors: u64,
    pub(super) retries: u64,
    /// Failures by class.
    pub(super) failures: BTreeMap<Arc<str>, u64>,
    /// How many things were timed, and how long they took together.
    pub(super) timed: u64,
    pub(super) seconds: f64,
}

/// What a node counted in the last minute, or for as long as it has been there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Recent {
    pub(super) seconds: f64,
    pub(super) figures: Figures,
    /// Records of each second, the newest last.
    pub(super) past: Vec<u64>,
}

impl Figures {
    pub(super) fn of_input(row: &InputReport) -> Self {
        Self {
            records: row.records,
            bytes: row.bytes,
            dropped: row.unrouted,
            errors: row.failures,
            ..Self::timed([&row.latency])
        }
    }

    pub(super) fn of_filter(row: &FilterReport) -> Self {
        Self {
            records: row.passed(),
            bytes: row.bytes,
            dropped: row.tally.dropped,
            dropped_by_failure: row.tally.dropped_by_failure(),
            quarantined: row.tally.quarantined(),
            errors: row.tally.failures() + row.panics,
            failures: classes(&row.metrics),
            ..Self::timed([&row.latency])
        }
    }

    pub(super) fn of_output(row: &OutputReport) -> Self {
        Self {
            records: row.delivered,
            bytes: row.delivered_bytes,
            dropped: row.dropped,
            errors: row.errors,
            retries: row.retries,
            ..Self::timed(row.latency.iter().map(|(_, histogram)| histogram))
        }
    }

    fn timed<'h>(histograms: impl IntoIterator<Item = &'h Histogram>) -> Self {
        let add = |all: Self, histogram: &Histogram| Self {
            timed: all.timed + histogram.count(),
            seconds: all.seconds + histogram.sum().as_secs_f64(),
            ..all
        };
        histograms.into_iter().fold(Self::default(), add)
    }

    /// What was counted since `before`. After a reload a node may have begun anew.
    fn since(&self, before: &Self) -> Self {
        let since = |of: fn(&Self) -> u64| of(self).saturating_sub(of(before));
        let class = |(class, count): (&Arc<str>, &u64)| {
            let before = before.failures.get(class).copied().unwrap_or_default();
            (Arc::clone(class), count.saturating_sub(before))
        };
        Self {
            records: since(|figures| figures.records),
            bytes: since(|figures| figures.bytes),
            dropped: since(|figures| figures.dropped),
            dropped_by_failure: since(|figures| figures.dropped_by_failure),
            quarantined: since(|figures| figures.quarantined),
            errors: since(|figures| figures.errors),
            retries: since(|figures| figures.retries),
            failures: self.failures.iter().map(class).collect(),
            timed: since(|figures| figures.timed),
            seconds: (self.seconds - before.seconds).max(0.0),
        }
    }
}

fn classes(metrics: &[Reading]) -> BTreeMap<Arc<str>, u64> {
    let failures = metrics.iter().filter(|reading| reading.metric.name == FAILURES.name);
    failures.filter_map(|reading| Some((reading.of.clone()?, reading.number()))).collect()
}

/// The samples of the last minute.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Moment>>);

#[derive(Debug)]
struct Moment {
    at: Instant,
    nodes: BTreeMap<Node, Figures>,
}

fn node(instance: &Instance) -> Node {
    (instance.role, Arc::clone(&instance.name))
}

impl History {
    fn moments(&self) -> MutexGuard<'_, VecDeque<Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the numbers of now.
    pub(super) fn sample(&self, report: &Report, at: Instant) {
        let inputs = report.inputs.iter().map(|row| (node(&row.instance), Figures::of_input(row)));
        let filters =
            report.filters.iter().map(|row| (node(&row.instance), Figures::of_filter(row)));
        let outputs =
            report.outputs.iter().map(|row| (node(&row.instance), Figures::of_output(row)));
        self.push(Moment { at, nodes: inputs.chain(filters).chain(outputs).collect() });
    }

    fn push(&self, moment: Moment) {
        let mut moments = self.moments();
        moments.push_back(moment);
        if moments.len() > LENGTH {
            moments.pop_front();
        }
    }

    /// What a node counted of late that has counted so much by now.
    pub(super) fn of(&self, instance: &Instance, figures: &Figures, now: Instant) -> Recent {
        let (moments, node) = (self.moments(), node(instance));
        let own = moments.iter().filter_map(|moment| Some((moment.at, moment.nodes.get(&node)?)));
        let own: Vec<(Instant, &Figures)> = own.collect();
        let Some((begun, first)) = own.first() else { return Recent::default() };
        let second = |pair: &[(Instant, &Figures)]| {
            let (earlier, later) = (pair[0], pair[1]);
            let (records, time) = (later.1.since(earlier.1).records, later.0 - earlier.0);
            // A machine that is busy looks late.
            (records as f64 / time.max(Duration::from_millis(1)).as_secs_f64()).round() as u64
        };
        Recent {
            seconds: (now - *begun).as_secs_f64(),
            figures: figures.since(first),
            past: own.windows(2).map(second).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: usize, expected: (f64, u64, usize)) {
        let (history, begun) = (History::default(), Instant::now());
        let at = |second: usize| begun + Duration::from_secs(second as u64);
        let key: Node = (Role::Input, "in".into());
        let counted = |second: usize| Figures { records: 5 * second as u64, ..Figures::default() };
        for second in 0..=seconds {
            history.push(Moment { at: at(second), nodes: [(key.clone(), counted(second))].into() });
        }
        let moments = history.moments();
        let first = moments.front().unwrap();
        let recent = counted(seconds).since(&first.nodes[&key]);
        assert_eq!(
            ((at(seconds) - first.at).as_secs_f64(), recent.records, moments.len()),
            expected,
        );
    }

    #[test]
    fn a_rate_is_of_the_last_minute() {
        check(0, (0.0, 0, 1));
        check(10, (10.0, 50, 11));
        check(500, (60.0, 300, LENGTH));
    }

    #[test]
    fn what_begins_anew_counts_nothing_less_than_nothing() {
        let figures = |records, trap| Figures {
            records,
            failures: [("trap".into(), trap)].into(),
            ..Figures::default()
        };
        assert_eq!(figures(9, 4).since(&figures(2, 1)), figures(7, 3));
        assert_eq!(figures(2, 1).since(&figures(9, 4)), figures(0, 0));
    }
}
