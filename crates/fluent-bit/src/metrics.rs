//! What the filter counts in the agent's registry, by the names that flb-agent uses: `flb_filter_verdicts_total` and so on.
//! Records, bytes, and how many were added and removed, the agent itself counts for every filter.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use flb_plugin::{Failure, Tally};

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

const CLASSES: [&CStr; Failure::ALL.len()] =
    [c"trap", c"deadline", c"memory", c"bad_output", c"exit", c"refused"];

/// A change of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// Which of [`METRICS`].
    pub(crate) metric: usize,
    /// What its second label says.
    pub(crate) label: Option<Cow<'static, CStr>>,
    pub(crate) value: u64,
}

/// What one chunk changes: its records, and where the guest is now.
pub(crate) fn counts(tally: &Tally, memory: u64) -> Vec<Count> {
    all(tally, memory).filter(|count| count.value > 0 || count.metric == MEMORY).collect()
}

/// What is said before there are records, so that every metric is there: nothing happened yet to this module.
pub(crate) fn first(memory: u64, module: &str) -> Vec<Count> {
    all(&Tally::default(), memory).chain(this_module(module, 1)).collect()
}

/// That one module has taken another's place.
pub(crate) fn changed(before: &str, after: &str) -> Vec<Count> {
    this_module(before, 0).into_iter().chain(this_module(after, 1)).collect()
}

fn this_module(digest: &str, value: u64) -> Option<Count> {
    let label = Some(Cow::Owned(CString::new(digest).ok()?));
    Some(Count { metric: MODULE, label, value })
}

fn all(tally: &Tally, memory: u64) -> impl Iterator<Item = Count> {
    let verdicts = [
        (c"kept", tally.kept),
        (c"replaced", tally.replaced),
        (c"dropped", tally.dropped),
        (c"dropped_by_failure", tally.dropped_by_failure()),
        (c"quarantined", tally.quarantined()),
    ];
    let failures = CLASSES.into_iter().zip(tally.failed.map(|fates| fates.total()));
    let labelled = |metric| {
        move |(label, value): (&'static CStr, u64)| Count {
            metric,
            label: Some(Cow::Borrowed(label)),
            value,
        }
    };
    let plain = [(EXTRA, tally.emitted_extra), (RECYCLES, tally.recycled), (MEMORY, memory)];
    let plain = plain.into_iter().map(|(metric, value)| Count { metric, label: None, value });
    verdicts
        .into_iter()
        .map(labelled(VERDICTS))
        .chain(failures.map(labelled(FAILURES)))
        .chain(plain)
}

#[cfg(test)]
mod tests {
    use flb_plugin::Fate;

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
        tally.fail(Failure::Deadline, Fate::Dropped);
        let expected = [
            "verdicts_total kept 2",
            "verdicts_total replaced 1",
            "verdicts_total dropped_by_failure 1",
            "failures_total deadline 1",
            "emitted_extra_total - 2",
            "guest_memory_bytes - 0",
        ];
        assert_eq!(told(&counts(&tally, 0)), expected);
    }

    #[test]
    fn every_metric_is_there_from_the_start() {
        let first = told(&first(7, "abc"));
        for metric in METRICS {
            let name = metric.name.to_str().unwrap();
            assert!(first.iter().any(|line| line.starts_with(name)), "{name}");
        }
        assert_eq!(told(&changed("a", "b")), ["module_info a 0", "module_info b 1"]);
    }

    #[test]
    fn classes_have_their_names() {
        let names = CLASSES.map(|class| class.to_str().unwrap());
        assert_eq!(names, Failure::ALL.map(Failure::name));
    }
}
