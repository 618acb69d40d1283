//! Health: whether the outputs have failed too often of late. As in Fluent Bit, what is counted is the difference between the
//! first and the last of as many samples as the period has seconds, and nothing at all unless `Health_Check` is on.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flb_pipeline::Report;

use crate::service::HttpSettings;

/// What went wrong so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sample {
    errors: u64,
    retries_failed: u64,
}

/// What went wrong within the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HealthState {
    pub(super) is_good: bool,
    pub(super) errors: u64,
    pub(super) retries_failed: u64,
}

/// One sample a second, as many as the period is long.
#[derive(Debug)]
pub(super) struct Health {
    is_on: bool,
    limits: Sample,
    period: usize,
    samples: Mutex<VecDeque<Sample>>,
}

impl Health {
    pub(super) fn new(settings: &HttpSettings) -> Self {
        Self {
            is_on: settings.health_check,
            limits: Sample { errors: settings.errors, retries_failed: settings.retries_failed },
            period: usize::try_from(settings.period).unwrap_or(usize::MAX),
            samples: Mutex::default(),
        }
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the numbers of now.
    pub(super) fn sample(&self, report: &Report) {
        self.push(Sample {
            errors: report.outputs.iter().map(|row| row.errors).sum(),
            retries_failed: report.outputs.iter().map(|row| row.retries_failed).sum(),
        });
    }

    fn push(&self, sample: Sample) {
        if !self.is_on {
            return;
        }
        let mut samples = self.samples();
        samples.push_back(sample);
        while samples.len() > self.period {
            samples.pop_front();
        }
    }

    pub(super) fn state(&self) -> HealthState {
        let samples = self.samples();
        let first = samples.front().copied().unwrap_or_default();
        let last = samples.back().copied().unwrap_or_default();
        let errors = last.errors.saturating_sub(first.errors);
        let retries_failed = last.retries_failed.saturating_sub(first.retries_failed);
        let is_good = errors <= self.limits.errors && retries_failed <= self.limits.retries_failed;
        HealthState { is_good, errors, retries_failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_bad_while_too_much_went_wrong_within_the_period() {
        let settings = HttpSettings {
            errors: 1,
            retries_failed: 2,
            period: 4,
            ..HttpSettings::of(&flb_plugin::Options::default())
        };
        let settings = HttpSettings { health_check: true, ..settings };
        let health = Health::new(&settings);
        let good: Vec<bool> = [0, 1, 2, 2, 2, 2, 2]
            .into_iter()
            .map(|errors| {
                health.push(Sample { errors, retries_failed: 0 });
                health.state().is_good
            })
            .collect();
        assert_eq!(good, [true, true, false, false, true, true, true]);
        for (retries_failed, is_good) in [(2, true), (3, false)] {
            health.push(Sample { errors: 2, retries_failed });
            assert_eq!(health.state(), HealthState { is_good, errors: 0, retries_failed });
        }
    }

    #[test]
    fn nothing_is_bad_that_nobody_asks_for_or_that_was_before_the_first_second() {
        let settings =
            HttpSettings { errors: 1, ..HttpSettings::of(&flb_plugin::Options::default()) };
        let health = Health::new(&settings);
        for errors in [0, 100] {
            health.push(Sample { errors, retries_failed: 0 });
        }
        assert_eq!(health.state(), HealthState { is_good: true, errors: 0, retries_failed: 0 });
        let health = Health::new(&HttpSettings { health_check: true, ..settings });
        assert!(health.state().is_good);
        for (errors, is_good) in [(100, true), (101, true), (102, false)] {
            health.push(Sample { errors, retries_failed: 0 });
            assert_eq!(health.state().is_good, is_good, "{errors}");
        }
    }
}
