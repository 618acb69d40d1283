//! The metrics of a whole agent as families of samples, in Prometheus' sense and text format (version 0.0.4), and the way by which
//! plugins are told them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use crate::{Histogram, Observed};

/// The content type of the text.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4";

/// A sample's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// A measure.
    Real(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}

/// One value of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What stands behind the family's name: nothing, or a part of a histogram.
    pub suffix: String,
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// What it is.
    pub value: Number,
}

/// A metric with a value for each set of labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// One sentence for those who read it.
    pub help: String,
    /// The values.
    pub samples: Vec<Sample>,
}

/// Metrics by their names, so that their order is always the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Families(pub BTreeMap<String, Family>);

impl Families {
    /// The family of this name, which is there from now on.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Family {
        self.0.entry(name.to_owned()).or_insert_with(|| Family {
            kind: kind.to_owned(),
            help: help.to_owned(),
            samples: Vec::new(),
        })
    }

    /// Adds a number that only grows.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.family(name, "counter", help).push("", labels, Number::Whole(value));
    }

    /// Adds a number that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.family(name, "gauge", help).push("", labels, Number::Whole(value));
    }

    /// The same for a measure.
    pub fn measure(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, "gauge", help).push("", labels, Number::Real(value));
    }

    /// Adds a distribution of times.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        histogram: &Histogram,
    ) {
        let within = histogram.within().map(|(bound, value)| (bound.as_secs_f64(), value));
        self.buckets(name, help, labels, within, histogram.sum().as_secs_f64(), histogram.count());
    }

    /// Adds a distribution of whatever a plugin observes.
    pub fn observed(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        observed: &Observed,
    ) {
        self.buckets(name, help, labels, observed.within(), observed.sum(), observed.count());
    }

    fn buckets(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        within: impl Iterator<Item = (f64, u64)>,
        sum: f64,
        count: u64,
    ) {
        let family = self.family(name, "histogram", help);
        let count = Number::Whole(count);
        let mut bucket = |bound: &str, value| {
            family.push("_bucket", &[labels, &[("le", bound)]].concat(), value);
        };
        for (bound, value) in within {
            bucket(&bound.to_string(), Number::Whole(value));
        }
        bucket("+Inf", count);
        family.push("_sum", labels, Number::Real(sum));
        family.push("_count", labels, count);
    }

    /// The text that a scraper reads, with these labels at every sample.
    pub fn text(&self, more: &[(String, String)]) -> String {
        let mut text = String::new();
        for (name, Family { kind, help, samples }) in &self.0 {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing to a text cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for Sample { suffix, labels, value } in samples {
                let labels = written(labels.iter().chain(more));
                let _ = writeln!(text, "{name}{suffix}{labels} {value}");
            }
        }
        text
    }
}

impl Family {
    /// Adds a sample.
    pub fn push(&mut self, suffix: &str, labels: &[(&str, &str)], value: Number) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(owned).collect();
        self.samples.push(Sample { suffix: suffix.to_owned(), labels, value });
    }
}

/// `{name="a\"b"}`, or nothing.
fn written<'a>(labels: impl Iterator<Item = &'a (String, String)>) -> String {
    let written: Vec<String> = labels
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    if written.is_empty() { String::new() } else { format!("{{{}}}", written.join(",")) }
}

type Tell = Box<dyn Fn() -> Families + Send + Sync>;

/// Tells plugins the metrics of the whole agent, which knows how.
#[derive(Default)]
pub struct Overview(Mutex<Option<Tell>>);

impl Overview {
    /// They are told so from now on.
    pub fn tell_by(&self, tell: impl Fn() -> Families + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tell));
    }

    /// The metrics now; none before the agent is at work.
    pub fn now(&self) -> Families {
        let tell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tell.as_ref().map(|tell| tell()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted_and_labels_escaped() {
        let mut families = Families::default();
        families.counter("b_total", "B.", &[("name", "x\"\\\ny"), ("k", "v")], 2);
        families.gauge("a", "A.", &[], 1);
        families.measure("a", "A.", &[("k", "v")], 0.5);
        let more = [("app".to_owned(), "z".to_owned())];
        assert_eq!(
            families.text(&[]),
            "# HELP a A.\n# TYPE a gauge\na 1\na{k=\"v\"} 0.5\n# HELP b_total B.\n\
             # TYPE b_total counter\nb_total{name=\"x\\\"\\\\\\ny\",k=\"v\"} 2\n"
        );
        assert!(families.text(&more).contains("a{app=\"z\"} 1\na{k=\"v\",app=\"z\"} 0.5\n"));
    }

    #[test]
    fn plugins_are_told_what_the_agent_tells() {
        let overview = Overview::default();
        assert_eq!(overview.now(), Families::default());
        overview.tell_by(|| {
            let mut families = Families::default();
            families.gauge("up", "Up.", &[], 1);
            families
        });
        assert_eq!(overview.now().text(&[]), "# HELP up Up.\n# TYPE up gauge\nup 1\n");
    }
}
