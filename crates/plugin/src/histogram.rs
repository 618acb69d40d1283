//! How long things took, or how much of something there was: how many of them within each bound, and all together.

use std::sync::Arc;
use std::time::Duration;

/// Counts of what took how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static [Duration],
    /// One for each bound, and one for what took longer than all of them.
    counts: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    /// An empty one with these bounds, which ascend.
    pub fn new(bounds: &'static [Duration]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Duration::ZERO }
    }

    /// Counts one thing that took `time`.
    pub fn add(&mut self, time: Duration) {
        self.add_all(time, 1);
    }

    /// Counts `number` things that took `time` together: each as if it had taken its share.
    pub fn add_all(&mut self, time: Duration, number: u32) {
        let Some(each) = time.checked_div(number) else { return };
        let place = self.bounds.partition_point(|bound| *bound < each);
        self.counts[place] += u64::from(number);
        self.sum = self.sum.saturating_add(time);
    }

    /// Adds what another one with the same bounds has counted.
    pub fn add_counts(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// For each bound how many took no longer.
    pub fn within(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut total = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

/// Counts of values of any measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    bounds: Arc<[f64]>,
    /// One for each bound, and one for what is more than all of them.
    counts: Vec<u64>,
    sum: f64,
}

impl Observed {
    /// None yet, with these bounds, which ascend.
    pub fn new(bounds: &[f64]) -> Self {
        Self { bounds: bounds.into(), counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// One with the same bounds, and nothing counted.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self::new(&self.bounds)
    }

    /// Counts one.
    pub fn add(&mut self, value: f64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += 1;
        self.sum += value;
    }

    /// Adds what another one has counted, if its bounds are the same.
    pub fn add_counts(&mut self, other: &Self) {
        if self.bounds == other.bounds {
            self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
            self.sum += other.sum;
        }
    }

    /// For each bound how many were no more.
    pub fn within(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_within_the_bounds_of_their_own() {
        let mut observed = Observed::new(&[1.0, 2.5]);
        [0.5, 1.0, 2.0, 9.0].into_iter().for_each(|value| observed.add(value));
        let mut other = Observed::new(&[1.0]);
        other.add_counts(&observed);
        assert_eq!(other.count(), 0, "other bounds");
        observed.add_counts(&observed.clone());
        assert_eq!(observed.within().collect::<Vec<_>>(), [(1.0, 4), (2.5, 6)]);
        assert_eq!((observed.count(), observed.sum()), (8, 25.0));
    }

    #[test]
    fn each_is_counted_within_all_bounds_that_it_did_not_exceed() {
        const BOUNDS: &[Duration] = &[Duration::from_secs(1), Duration::from_secs(2)];
        let mut histogram = Histogram::new(BOUNDS);
        histogram.add(Duration::from_secs(1));
        histogram.add(Duration::from_secs(3));
        histogram.add_all(Duration::from_secs(6), 4);
        histogram.add_all(Duration::from_secs(9), 0);
        let within: Vec<u64> = histogram.within().map(|(_, count)| count).collect();
        assert_eq!((within, histogram.count()), (vec![1, 5], 6));
        assert_eq!(histogram.sum(), Duration::from_secs(10));
    }
}
