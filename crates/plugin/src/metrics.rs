//! What a plugin counts of its own. It registers each metric when it is built, and keeps the handle; whoever asks the agent
//! for its numbers finds them there, under the instance's name.
//!
//! A handle is cheap to clone, and clones count together, so copies of a filter on several lanes need nothing more. How many
//! values a metric has is for its plugin to bound: none is ever forgotten.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Histogram, Observed};

/// One metric: a row among a plugin's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in lower case, without what its kind adds to it: `recycles` of a filter is exported as
    /// `flb_filter_recycles_total`.
    pub name: &'static str,
    /// One sentence for those who read it.
    pub help: &'static str,
    /// What it is measured in, if not in pieces: `bytes`.
    pub unit: Option<&'static str>,
    /// The label that tells its values apart, if it has several.
    pub label: Option<&'static str>,
    /// The name under which it is exported, if that is another's.
    pub known: Option<&'static str>,
    /// How the instance's last line in the log words it: `2 recycled`, and nothing of none. Without, the line is silent of it.
    pub word: Option<&'static str>,
}

impl Metric {
    /// A metric with one value, of which the log says nothing.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, unit: None, label: None, known: None, word: None }
    }

    /// It is measured in this.
    #[must_use]
    pub const fn in_units_of(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// It has several values, told apart by this label.
    #[must_use]
    pub const fn by(self, label: &'static str) -> Self {
        Self { label: Some(label), ..self }
    }

    /// It is exported under this name, which Fluent Bit has for it.
    #[must_use]
    pub const fn known_as(self, name: &'static str) -> Self {
        Self { known: Some(name), ..self }
    }

    /// The log words it so.
    #[must_use]
    pub const fn worded(self, word: &'static str) -> Self {
        Self { word: Some(word), ..self }
    }
}

/// Why a filter failed on records: for filters that know classes of failures. The sum is the tally's. The log puts them in
/// brackets behind it.
pub const FAILURES: Metric = Metric::new("failures", "Failures of filters by class.").by("class");

/// A number that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls. Each clone has a part of its own, and what is told is their sum; a part goes with its
/// clone.
#[derive(Debug, Default)]
pub struct Gauge {
    sum: Arc<AtomicU64>,
    part: u64,
}

impl Gauge {
    /// This part is so large now.
    pub fn set(&mut self, part: u64) {
        if part != self.part {
            // What is added may be negative: it wraps as the sum does.
            self.sum.fetch_add(part.wrapping_sub(self.part), Ordering::Relaxed);
            self.part = part;
        }
    }

    /// The sum of all parts.
    pub fn get(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

impl Clone for Gauge {
    /// Another part, of nothing yet.
    fn clone(&self) -> Self {
        Self { sum: Arc::clone(&self.sum), part: 0 }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A text that is what it is: a version, a digest. The last one that was set is told.
#[derive(Debug, Clone, Default)]
pub struct Info(Arc<Mutex<Option<Arc<str>>>>);

impl Info {
    /// It is this now.
    pub fn set(&self, text: &str) {
        *lock(&self.0) = Some(text.into());
    }

    /// What it is, once it was set.
    pub fn get(&self) -> Option<Arc<str>> {
        lock(&self.0).clone()
    }
}

/// How long things take.
#[derive(Debug, Clone)]
pub struct Timer(Arc<Mutex<Histogram>>);

impl Timer {
    /// One more took so long.
    pub fn took(&self, time: Duration) {
        lock(&self.0).add(time);
    }

    /// What was counted.
    pub fn get(&self) -> Histogram {
        lock(&self.0).clone()
    }
}

/// How much of something there is each time.
#[derive(Debug, Clone)]
pub struct Distribution(Arc<Mutex<Observed>>);

impl Distribution {
    /// It was so much.
    pub fn observe(&self, value: f64) {
        lock(&self.0).add(value);
    }

    /// What was counted.
    pub fn get(&self) -> Observed {
        lock(&self.0).clone()
    }
}

/// The metrics of one instance. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Registered>>);

#[derive(Debug, Default)]
struct Registered {
    counters: Vec<Series<Counter>>,
    gauges: Vec<Series<Gauge>>,
    infos: Vec<Series<Info>>,
    timers: Vec<Series<Timer>>,
    distributions: Vec<Series<Distribution>>,
}

/// A metric, or one of its values.
#[derive(Debug)]
struct Series<T> {
    metric: &'static Metric,
    /// The label's value, if there is a label.
    of: Option<Arc<str>>,
    handle: T,
}

impl Metrics {
    /// A counter. Registered again it is the same one, as all of them are.
    pub fn counter(&self, metric: &'static Metric) -> Counter {
        registered(&mut lock(&self.0).counters, metric, None, Counter::default)
    }

    /// The counter of one of the metric's label's values.
    pub fn counter_of(&self, metric: &'static Metric, of: &str) -> Counter {
        registered(&mut lock(&self.0).counters, metric, Some(of), Counter::default)
    }

    /// A gauge.
    pub fn gauge(&self, metric: &'static Metric) -> Gauge {
        registered(&mut lock(&self.0).gauges, metric, None, Gauge::default)
    }

    /// The gauge of one of the metric's label's values.
    pub fn gauge_of(&self, metric: &'static Metric, of: &str) -> Gauge {
        registered(&mut lock(&self.0).gauges, metric, Some(of), Gauge::default)
    }

    /// A text, told as the value of the metric's label.
    pub fn info(&self, metric: &'static Metric) -> Info {
        registered(&mut lock(&self.0).infos, metric, None, Info::default)
    }

    /// A histogram of times with these bounds, which ascend.
    pub fn timer(&self, metric: &'static Metric, bounds: &'static [Duration]) -> Timer {
        let timer = || Timer(Arc::new(Mutex::new(Histogram::new(bounds))));
        registered(&mut lock(&self.0).timers, metric, None, timer)
    }

    /// The histogram of one of the metric's label's values, with these bounds, which ascend, if it is new.
    pub fn distribution_of(
        &self,
        metric: &'static Metric,
        of: &str,
        bounds: &[f64],
    ) -> Distribution {
        let new = || Distribution(Arc::new(Mutex::new(Observed::new(bounds))));
        registered(&mut lock(&self.0).distributions, metric, Some(of), new)
    }

    /// All values now, kind by kind in the order in which they were registered.
    pub fn read(&self) -> Vec<Reading> {
        let all = lock(&self.0);
        let mut readings = Vec::new();
        let mut told = |metric, of: &Option<Arc<str>>, value| {
            readings.push(Reading { metric, of: of.clone(), value });
        };
        for Series { metric, of, handle } in &all.counters {
            told(metric, of, Value::Counter(handle.get()));
        }
        for Series { metric, of, handle } in &all.gauges {
            told(metric, of, Value::Gauge(handle.get()));
        }
        for Series { metric, handle, .. } in &all.infos {
            if let Some(text) = handle.get() {
                told(metric, &Some(text), Value::Info);
            }
        }
        for Series { metric, of, handle } in &all.timers {
            told(metric, of, Value::Times(handle.get()));
        }
        for Series { metric, of, handle } in &all.distributions {
            told(metric, of, Value::Observed(handle.get()));
        }
        readings
    }

    /// Counts on from what the same instance of an earlier pipeline has counted.
    pub fn carry_on(&self, old: &Self) {
        if Arc::ptr_eq(&self.0, &old.0) {
            return;
        }
        let (mut own, old) = (lock(&self.0), lock(&old.0));
        for Series { metric, of, handle } in &old.counters {
            let counter = registered(&mut own.counters, metric, of.as_deref(), Counter::default);
            counter.add(handle.get());
        }
        for Series { metric, handle, .. } in &old.timers {
            if let Some(own) = own.timers.iter().find(|own| own.metric == *metric) {
                lock(&own.handle.0).add_counts(&handle.get());
            }
        }
        for Series { metric, of, handle } in &old.distributions {
            let old = handle.get();
            let new = || Distribution(Arc::new(Mutex::new(old.emptied())));
            let own = registered(&mut own.distributions, metric, of.as_deref(), new);
            lock(&own.0).add_counts(&old);
        }
    }
}

/// The handle of a metric's value, made if there is none yet.
fn registered<T: Clone>(
    all: &mut Vec<Series<T>>,
    metric: &'static Metric,
    of: Option<&str>,
    make: impl FnOnce() -> T,
) -> T {
    let same = |series: &&Series<T>| series.metric == metric && series.of.as_deref() == of;
    if let Some(series) = all.iter().find(same) {
        return series.handle.clone();
    }
    let handle = make();
    all.push(Series { metric, of: of.map(Into::into), handle: handle.clone() });
    handle
}

/// A panic while it was held leaves a number as good as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which metric.
    pub metric: &'static Metric,
    /// The label's value, if there is a label.
    pub of: Option<Arc<str>>,
    /// What it is.
    pub value: Value,
}

impl Reading {
    /// The number that it is; 0 where it is none.
    pub fn number(&self) -> u64 {
        match self.value {
            Value::Counter(number) | Value::Gauge(number) => number,
            Value::Info | Value::Times(_) | Value::Observed(_) => 0,
        }
    }

    /// `, 2 recycled` for a line that tells it, or nothing: it has no word, or there is nothing to tell.
    pub fn in_words(&self) -> String {
        match (self.metric.word, self.number()) {
            (None, _) | (_, 0) => String::new(),
            (Some(word), number) => format!(", {number} {word}"),
        }
    }
}

/// What a metric is, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// How many there were.
    Counter(u64),
    /// How much there is.
    Gauge(u64),
    /// The label says it.
    Info,
    /// How long things took.
    Times(Histogram),
    /// How much there was each time.
    Observed(Observed),
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Metric = Metric::new("seen", "Things seen.").worded("seen");
    const ROOM: Metric = Metric::new("room", "Room taken.").in_units_of("bytes");
    const BUILD: Metric = Metric::new("build", "What it is.").by("version");
    const WAIT: Metric = Metric::new("wait", "How long it waits.");
    const SECOND: &[Duration] = &[Duration::from_secs(1)];

    fn counted(metrics: &Metrics) -> Vec<(&'static str, Option<String>, u64)> {
        let number = |value| match value {
            Value::Counter(number) | Value::Gauge(number) => number,
            Value::Info => 1,
            Value::Observed(values) => values.count(),
            Value::Times(times) => times.count(),
        };
        let readings = metrics.read().into_iter();
        readings
            .map(|one| (one.metric.name, one.of.as_deref().map(str::to_owned), number(one.value)))
            .collect()
    }

    #[test]
    fn what_is_registered_again_is_the_same_and_clones_count_together() {
        let metrics = Metrics::default();
        metrics.counter(&SEEN).add(2);
        metrics.clone().counter(&SEEN).clone().add(3);
        metrics.counter_of(&FAILURES, "trap").add(1);
        metrics.counter_of(&FAILURES, "exit").add(0);
        let build = metrics.info(&BUILD);
        metrics.timer(&WAIT, SECOND).took(Duration::from_millis(2));
        let failures = |class: &str, count| ("failures", Some(class.to_owned()), count);
        let mut expected =
            vec![("seen", None, 5), failures("trap", 1), failures("exit", 0), ("wait", None, 1)];
        assert_eq!(counted(&metrics), expected, "a text that was never set is not told");
        build.set("1.2");
        expected.insert(3, ("build", Some("1.2".to_owned()), 1));
        assert_eq!(counted(&metrics), expected);
    }

    #[test]
    fn a_gauge_is_the_sum_of_its_parts() {
        let metrics = Metrics::default();
        let mut first = metrics.gauge(&ROOM);
        let mut second = first.clone();
        first.set(2);
        second.set(3);
        assert_eq!(first.get(), 5);
        first.set(0);
        second.set(4);
        let third = second.clone();
        assert_eq!(counted(&metrics), [("room", None, 4)]);
        drop(second);
        assert_eq!(third.get(), 0, "a part goes with whoever had it");
    }

    #[test]
    fn counts_are_carried_on_and_what_is_now_is_not() {
        let [old, new] = [(); 2].map(|()| Metrics::default());
        for (metrics, count) in [(&old, 2), (&new, 1)] {
            metrics.counter(&SEEN).add(count);
            metrics.timer(&WAIT, SECOND).took(Duration::from_secs(count));
        }
        old.counter_of(&FAILURES, "trap").add(7);
        let mut room = old.gauge(&ROOM);
        room.set(9);
        new.carry_on(&old);
        new.carry_on(&new.clone());
        let expected =
            [("seen", None, 3), ("failures", Some("trap".to_owned()), 7), ("wait", None, 2)];
        assert_eq!(counted(&new), expected);
    }
}
