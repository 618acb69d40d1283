//! How long things took: how many of them within each bound, and all together.

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

#[cfg(test)]
mod tests {
    use super::*;

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
