//! Counters and histograms of a filter's own: who keeps them, and what one guest has asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What is said of a counter that cannot be.
pub(crate) const NONE: u32 = u32::MAX;
/// Most counters and histograms that all guests of a module have together.
const MOST: usize = 100;
/// Longest name, in bytes.
const NAME: usize = 64;
/// Most bounds of a histogram.
pub(crate) const BOUNDS: u32 = 64;

/// Where a filter's guests count. All instances of a filter share it.
pub trait Meters: Send + Sync + fmt::Debug {
    /// The counter of this name, made if there is none; `None` if there cannot be one.
    fn counter(&self, name: &str) -> Option<Arc<dyn Meter<u64>>>;

    /// The histogram of this name, made with these upper bounds if there is none, which ascend; `None` if there cannot be one.
    fn histogram(&self, name: &str, bounds: &[f64]) -> Option<Arc<dyn Meter<f64>>>;
}

/// What counts: a counter by how much, a histogram values.
pub trait Meter<T>: Send + Sync {
    /// Counts.
    fn count(&self, value: T);
}

/// The names that guests of one module have asked for. Nobody forgets a metric, so a guest that starts afresh does not begin
/// a new list.
#[derive(Default)]
pub(crate) struct Names(Mutex<BTreeSet<(Kind, String)>>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Counter,
    Histogram,
}

impl Names {
    /// Whether there may be one of this name: there is one, or there is room.
    fn admit(&self, kind: Kind, name: &str) -> bool {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (kind, name.to_owned());
        names.contains(&name) || (names.len() < MOST && names.insert(name))
    }
}

/// What one guest has asked for.
#[derive(Default)]
pub(crate) struct Known {
    meters: Option<Arc<dyn Meters>>,
    names: Arc<Names>,
    counters: Vec<(String, Arc<dyn Meter<u64>>)>,
    histograms: Vec<(String, Arc<dyn Meter<f64>>)>,
}

impl Known {
    pub(crate) fn new(meters: Option<Arc<dyn Meters>>, names: Arc<Names>) -> Self {
        Self { meters, names, ..Self::default() }
    }

    /// The number of the counter of this name.
    pub(crate) fn counter(&mut self, name: &[u8]) -> u32 {
        let Self { meters, names, counters, .. } = self;
        number(counters, self::name(name), |name| {
            let meters = meters.as_ref().filter(|_| names.admit(Kind::Counter, name))?;
            meters.counter(name)
        })
    }

    /// Adds to a counter.
    pub(crate) fn add(&self, counter: u32, by: u64) {
        if let Some((_, counter)) = self.counters.get(counter as usize) {
            counter.count(by);
        }
    }

    /// The number of the histogram of this name.
    pub(crate) fn histogram(&mut self, name: &[u8], bounds: &[f64]) -> u32 {
        let Self { meters, names, histograms, .. } = self;
        let ascend = bounds.is_sorted_by(|low, high| low < high);
        if bounds.is_empty() || !ascend || !bounds.iter().all(|bound| bound.is_finite()) {
            return NONE;
        }
        number(histograms, self::name(name), |name| {
            let meters = meters.as_ref().filter(|_| names.admit(Kind::Histogram, name))?;
            meters.histogram(name, bounds)
        })
    }

    /// Counts a value.
    pub(crate) fn observe(&self, histogram: u32, value: f64) {
        let histogram = self.histograms.get(histogram as usize);
        if let Some((_, histogram)) = histogram.filter(|_| !value.is_nan()) {
            histogram.count(value);
        }
    }
}

/// The number of the one with this name, which is made if it is new.
fn number<M>(
    known: &mut Vec<(String, M)>,
    name: Option<&str>,
    made: impl FnOnce(&str) -> Option<M>,
) -> u32 {
    let Some(name) = name else { return NONE };
    if let Some(index) = known.iter().position(|(known, _)| known == name) {
        return index as u32;
    }
    let Some(made) = made(name) else { return NONE };
    known.push((name.to_owned(), made));
    known.len() as u32 - 1
}

/// A name, if it can be one.
fn name(text: &[u8]) -> Option<&str> {
    let is_name = (1..=NAME).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && !text[0].is_ascii_digit();
    std::str::from_utf8(text).ok().filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_metrics() {
        let long = "x".repeat(NAME);
        for good in ["a", "_", "Masked_2", &long] {
            assert_eq!(name(good.as_bytes()), Some(good));
        }
        for bad in ["", "2a", "a-b", "a b", "\u{e4}", &format!("{long}x")] {
            assert_eq!(name(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(name(b"\xff"), None);
    }

    #[test]
    fn a_number_is_given_once_a_name() {
        let mut known = Vec::new();
        assert_eq!(number(&mut known, Some("a"), |_| Some(1)), 0);
        assert_eq!(number(&mut known, Some("b"), |_| Some(2)), 1);
        assert_eq!(number(&mut known, Some("a"), |_| None), 0);
        assert_eq!(number(&mut known, Some("c"), |_| None), NONE);
        assert_eq!(number(&mut known, None, |_| Some(4)), NONE);
        assert_eq!(number(&mut known, Some("d"), |_| Some(3)), 2);
    }
}
