//! What the filter counts in the agent's registry, by the names that flb-agent uses: `flb_filter_verdicts_total` and so on.
//! Records, bytes, and how many were added and removed, the agent itself counts for every filter.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use flb_guest::filter::{COUNTS as OF_COUNTS, MEMORY as OF_MEMORY, RECYCLES as OF_RECYCLES};
use flb_plugin::{FAILURES as OF_FAILURES, Observed, Reading, Tally, Value};

/// A metric of the group `flb_filter`. Its first label is `name`, the filter's.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static CStr,
    pub(crate) help: &'static CStr,
    /// Its other labels.
    pub(crate) labels: &'static [&'static CStr],
    /// Whether it is set, rather than counted.
    pub(crate) is_gauge: bool,
}

const VERDICTS: usize = 0;
const EXTRA: usize = 1;
const FAILURES: usize = 2;
const MEMORY: usize = 3;
const RECYCLES: usize = 4;
const MODULE: usize = 5;
const COUNTS: usize = 6;
const BUCKETS: usize = 7;
const SUM: usize = 8;
const NUMBER: usize = 9;

const fn counter(
    name: &'static CStr,
    help: &'static CStr,
    labels: &'static [&'static CStr],
) -> Metric {
    Metric { name, help, labels, is_gauge: false }
}

const fn gauge(
    name: &'static CStr,
    help: &'static CStr,
    labels: &'static [&'static CStr],
) -> Metric {
    Metric { name, help, labels, is_gauge: true }
}

/// All of them. A histogram of a guest has bounds of its own, and the agent's registry takes one set of bounds a metric, so its
/// three series are metrics themselves.
pub(crate) const METRICS: &[Metric] = &[
    counter(c"verdicts_total", c"Records by what became of them.", &[c"verdict"]),
    counter(c"emitted_extra_total", c"Records beyond the first that came of one.", &[]),
    counter(c"failures_total", c"Failures of filters by class.", &[c"class"]),
    gauge(c"guest_memory_bytes", c"Memory of the filter's guests.", &[]),
    counter(c"recycles_total", c"Sound guests that were replaced.", &[]),
    gauge(c"module_info", c"The module that the filter runs.", &[c"sha256"]),
    counter(c"guest_total", c"What the filter's guests count.", &[c"counter"]),
    counter(
        c"guest_values_bucket",
        c"What the filter's guests observe: how many were no more.",
        &[c"histogram", c"le"],
    ),
    gauge(c"guest_values_sum", c"What the filter's guests observe: the sum.", &[c"histogram"]),
    counter(c"guest_values_count", c"What the filter's guests observe: how many.", &[c"histogram"]),
];

/// Which of them a filter's own metrics are, but for histograms.
const OWN: [(&flb_plugin::Metric, usize); 4] = [
    (&OF_FAILURES, FAILURES),
    (&OF_RECYCLES, RECYCLES),
    (&OF_MEMORY, MEMORY),
    (&OF_COUNTS, COUNTS),
];

/// A change of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Count {
    /// Which of [`METRICS`].
    pub(crate) metric: usize,
    /// What its other labels say.
    pub(crate) labels: Vec<Cow<'static, CStr>>,
    pub(crate) value: f64,
}

/// What one chunk changes: its records, and what the filter's own metrics were before it and are now.
pub(crate) fn counts(tally: &Tally, before: &[Reading], now: &[Reading]) -> Vec<Count> {
    // A histogram is one only with all its buckets.
    let is_whole = |count: &Count| METRICS[count.metric].is_gauge || count.metric == BUCKETS;
    let is_news = |count: &Count| count.value != 0.0 || is_whole(count);
    all(tally, before, now).filter(is_news).collect()
}

/// What is said before there are records, so that every metric is there: this module has only started.
pub(crate) fn first(now: &[Reading], module: &str) -> Vec<Count> {
    all(&Tally::default(), &[], now).chain(this_module(module, 1.0)).collect()
}

/// That one module has taken another's place.
pub(crate) fn changed(before: &str, after: &str) -> Vec<Count> {
    this_module(before, 0.0).into_iter().chain(this_module(after, 1.0)).collect()
}

fn this_module(digest: &str, value: f64) -> Option<Count> {
    Some(Count { metric: MODULE, labels: vec![label(digest)?], value })
}

/// A label's value, unless there is a NUL in it.
fn label(text: &str) -> Option<Cow<'static, CStr>> {
    CString::new(text).ok().map(Cow::Owned)
}

fn all(tally: &Tally, before: &[Reading], now: &[Reading]) -> impl Iterator<Item = Count> {
    let verdicts = [
        (c"kept", tally.kept),
        (c"replaced", tally.replaced),
        (c"dropped", tally.dropped),
        (c"dropped_by_failure", tally.dropped_by_failure()),
        (c"quarantined", tally.quarantined()),
    ];
    let verdicts = verdicts.into_iter().map(|(verdict, value)| Count {
        metric: VERDICTS,
        labels: vec![Cow::Borrowed(verdict)],
        value: value as f64,
    });
    let extra = Count { metric: EXTRA, labels: Vec::new(), value: tally.emitted_extra as f64 };
    let own = now.iter().flat_map(|reading| own(before, reading).unwrap_or_default());
    verdicts.chain([extra]).chain(own)
}

/// How a metric of the filter's own has changed. `None`: it is none of those that the agent is told.
fn own(before: &[Reading], now: &Reading) -> Option<Vec<Count>> {
    let same = |was: &&Reading| (was.metric, &was.of) == (now.metric, &now.of);
    let before = before.iter().find(same);
    if let Value::Observed(observed) = &now.value {
        return distribution(before, now.of.as_deref()?, observed);
    }
    let (_, metric) = OWN.into_iter().find(|(own, _)| *own == now.metric)?;
    let value = match now.value {
        Value::Counter(number) => number - before.map_or(0, Reading::number),
        _ => now.number(),
    };
    let labels = now.of.iter().filter_map(|of| label(of)).collect();
    Some(vec![Count { metric, labels, value: value as f64 }])
}

/// How a histogram has changed.
fn distribution(before: Option<&Reading>, name: &str, now: &Observed) -> Option<Vec<Count>> {
    let nothing = now.emptied();
    let before = match before.map(|reading| &reading.value) {
        Some(Value::Observed(observed)) => observed,
        _ => &nothing,
    };
    let name = label(name)?;
    let more = (now.count() - before.count()) as f64;
    let bucket = |bound: &str, value: f64| {
        Some(Count { metric: BUCKETS, labels: vec![name.clone(), label(bound)?], value })
    };
    let of_all = |metric, value| Some(Count { metric, labels: vec![name.clone()], value });
    let within = now.within().zip(before.within());
    within
        .map(|((bound, now), (_, before))| bucket(&bound.to_string(), (now - before) as f64))
        .chain([bucket("+Inf", more), of_all(SUM, now.sum()), of_all(NUMBER, more)])
        .collect()
}

#[cfg(test)]
mod tests {
    use flb_guest::filter::{Measures, VALUES as OF_VALUES};
    use flb_plugin::{Fate, Metrics};

    use super::*;

    fn told(counts: &[Count]) -> Vec<String> {
        let told = counts.iter().map(|Count { metric, labels, value }| {
            let name = METRICS[*metric].name.to_str().unwrap();
            assert_eq!(labels.len(), METRICS[*metric].labels.len(), "{name}");
            let labels: Vec<_> = labels.iter().map(|label| label.to_str().unwrap()).collect();
            let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(" ") };
            format!("{name} {labels} {value}")
        });
        told.collect()
    }

    #[test]
    fn a_chunk_counts_what_happened() {
        let mut tally = Tally::untouched(2);
        tally.became(3);
        tally.fail(Fate::Dropped);
        let metrics = Metrics::default();
        let mut memory = metrics.gauge(&OF_MEMORY);
        let failures = metrics.counter_of(&OF_FAILURES, "deadline");
        failures.add(7);
        memory.set(9);
        let before = metrics.read();
        failures.add(1);
        memory.set(0);
        let expected = [
            "verdicts_total kept 2",
            "verdicts_total replaced 1",
            "verdicts_total dropped_by_failure 1",
            "emitted_extra_total - 2",
            "failures_total deadline 1",
            "guest_memory_bytes - 0",
        ];
        assert_eq!(told(&counts(&tally, &before, &metrics.read())), expected);
    }

    #[test]
    fn guests_counters_and_histograms_are_told_as_they_grow() {
        let metrics = Metrics::default();
        let seen = metrics.counter_of(&OF_COUNTS, "seen");
        let sizes = metrics.distribution_of(&OF_VALUES, "sizes", &[1.0, 2.5]);
        seen.add(3);
        sizes.observe(2.0);
        let before = metrics.read();
        assert!(told(&first(&before, "m")).contains(&"guest_total seen 3".to_owned()));
        seen.add(2);
        sizes.observe(0.5);
        sizes.observe(9.0);
        let expected = [
            "guest_total seen 2",
            "guest_values_bucket sizes 1 1",
            "guest_values_bucket sizes 2.5 1",
            "guest_values_bucket sizes +Inf 2",
            "guest_values_sum sizes 11.5",
            "guest_values_count sizes 2",
        ];
        assert_eq!(told(&counts(&Tally::default(), &before, &metrics.read())), expected);
    }

    #[test]
    fn every_metric_is_there_from_the_start() {
        let metrics = Metrics::default();
        let _measures = Measures::of(&metrics);
        metrics.counter_of(&OF_FAILURES, "trap");
        metrics.counter_of(&OF_COUNTS, "a");
        metrics.distribution_of(&OF_VALUES, "b", &[]);
        let first = told(&first(&metrics.read(), "abc"));
        for metric in METRICS {
            let name = metric.name.to_str().unwrap();
            assert!(first.iter().any(|line| line.starts_with(name)), "{name}");
        }
        assert_eq!(told(&changed("a", "b")), ["module_info a 0", "module_info b 1"]);
    }
}
