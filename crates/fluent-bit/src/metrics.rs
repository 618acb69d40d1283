//! What the filter counts in the agent's registry, by the names that flb-agent uses: `flb_filter_verdicts_total` and so on.
//! Records, bytes, and how many were added and removed, the agent itself counts for every filter.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use flb_guest::filter::{MEMORY as OF_MEMORY, RECYCLES as OF_RECYCLES};
use flb_plugin::{FAILURES as OF_FAILURES, Reading, Tally, Value};

/// A metric of the group `flb_filter`. Its first label is `name`, the filter's.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static CStr,
    pub(crate) help: &'static CStr,
    /// Its second label, if it has one.
    pub(crate) label: Option<&'static CStr>,
    /// Whether it is set, rather than counted.
    pub(crate) is_gauge: bool,
}

const VERDICTS: usize = 0;
const EXTRA: usize = 1;
const FAILURES: usize = 2;
const MEMORY: usize = 3;
const RECYCLES: usize = 4;
const MODULE: usize = 5;

/// All of them.
pub(crate) const METRICS: &[Metric] = &[
    Metric {
        name: c"verdicts_total",
        help: c"Records by what became of them.",
        label: Some(c"verdict"),
        is_gauge: false,
    },
    Metric {
        name: c"emitted_extra_total",
        help: c"Records beyond the first that came of one.",
        label: None,
        is_gauge: false,
    },
    Metric {
        name: c"failures_total",
        help: c"Failures of filters by class.",
        label: Some(c"class"),
        is_gauge: false,
    },
    Metric {
        name: c"guest_memory_bytes",
        help: c"Memory of the filter's guests.",
        label: None,
        is_gauge: true,
    },
    Metric {
        name: c"recycles_total",
        help: c"Sound guests that were replaced.",
        label: None,
        is_gauge: false,
    },
    Metric {
        name: c"module_info",
        help: c"The module that the filter runs.",
        label: Some(c"sha256"),
        is_gauge: true,
    },
];

/// Which of them a filter's own metrics are.
const OWN: [(&flb_plugin::Metric, usize); 3] =
    [(&OF_FAILURES, FAILURES), (&OF_RECYCLES, RECYCLES), (&OF_MEMORY, MEMORY)];

/// A change of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// Which of [`METRICS`].
    pub(crate) metric: usize,
    /// What its second label says.
    pub(crate) label: Option<Cow<'static, CStr>>,
    pub(crate) value: u64,
}

/// What one chunk changes: its records, and what the filter's own metrics were before it and are now.
pub(crate) fn counts(tally: &Tally, before: &[Reading], now: &[Reading]) -> Vec<Count> {
    all(tally, before, now).filter(|count| count.value > 0 || count.metric == MEMORY).collect()
}

/// What is said before there are records, so that every metric is there: nothing happened yet to this module.
pub(crate) fn first(now: &[Reading], module: &str) -> Vec<Count> {
    all(&Tally::default(), now, now).chain(this_module(module, 1)).collect()
}

/// That one module has taken another's place.
pub(crate) fn changed(before: &str, after: &str) -> Vec<Count> {
    this_module(before, 0).into_iter().chain(this_module(after, 1)).collect()
}

fn this_module(digest: &str, value: u64) -> Option<Count> {
    let label = Some(Cow::Owned(CString::new(digest).ok()?));
    Some(Count { metric: MODULE, label, value })
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
        label: Some(Cow::Borrowed(verdict)),
        value,
    });
    let extra = Count { metric: EXTRA, label: None, value: tally.emitted_extra };
    verdicts.chain([extra]).chain(now.iter().filter_map(|reading| own(before, reading)))
}

/// How a metric of the filter's own has changed.
fn own(before: &[Reading], now: &Reading) -> Option<Count> {
    let (_, metric) = OWN.into_iter().find(|(own, _)| *own == now.metric)?;
    let value = match now.value {
        Value::Counter(number) => {
            let same = |was: &&Reading| (was.metric, &was.of) == (now.metric, &now.of);
            number - before.iter().find(same).map_or(0, Reading::number)
        }
        _ => now.number(),
    };
    let label = now.of.as_ref().and_then(|of| CString::new(&**of).ok()).map(Cow::Owned);
    Some(Count { metric, label, value })
}

#[cfg(test)]
mod tests {
    use flb_guest::filter::Measures;
    use flb_plugin::{Fate, Metrics};

    use super::*;

    fn told(counts: &[Count]) -> Vec<String> {
        let told = counts.iter().map(|Count { metric, label, value }| {
            let name = METRICS[*metric].name.to_str().unwrap();
            let label = label.as_ref().map(|label| label.to_str().unwrap());
            assert_eq!(label.is_some(), METRICS[*metric].label.is_some(), "{name}");
            format!("{name} {} {value}", label.unwrap_or("-"))
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
    fn every_metric_is_there_from_the_start() {
        let metrics = Metrics::default();
        let _measures = Measures::of(&metrics);
        metrics.counter_of(&OF_FAILURES, "trap");
        let first = told(&first(&metrics.read(), "abc"));
        for metric in METRICS {
            let name = metric.name.to_str().unwrap();
            assert!(first.iter().any(|line| line.starts_with(name)), "{name}");
        }
        assert_eq!(told(&changed("a", "b")), ["module_info a 0", "module_info b 1"]);
    }
}
