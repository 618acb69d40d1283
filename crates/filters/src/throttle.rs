//! `throttle`: lets records through up to an average rate, and drops the rest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flb_event::{Chunk, Timestamp};
use flb_plugin::keys::{Bool, Double, Int, Key, Time};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec, Table, keys};

use super::each::{Decision, each};
use flb_plugin::log::Label;

keys! {
    const KEYS;
    RATE: Double = Key::new("rate", "Records an interval, on average").default("1");
    WINDOW: Int = Key::new("window", "Intervals that the average is over").default("5");
    INTERVAL: Time = Key::new("interval", "Length of an interval").default("1");
    PRINT_STATUS: Bool = Key::new("print_status", "Log the rate at each interval").default("off");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "throttle",
    about: "Let records through up to an average rate",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let positive = |name: &str, is_positive: bool| match is_positive {
        true => Ok(()),
        false => Err(BuildError::new(format!("{name} must be above 0"))),
    };
    let rate = options.get(RATE);
    let window = usize::try_from(options.get(WINDOW)).unwrap_or(0);
    let interval = options.get(INTERVAL).as_secs();
    positive("rate", rate > 0.0)?;
    positive("window", window > 0)?;
    positive("interval", interval > 0)?;
    let print_status = options.get(PRINT_STATUS).then(|| Label::filter("throttle", build));
    let window =
        Window { rate, interval, print_status, window, slots: VecDeque::new(), current: 0 };
    Ok(Box::new(Throttle(Arc::new(Mutex::new(window)))))
}

/// The rate is that of all lanes together.
#[derive(Clone)]
struct Throttle(Arc<Mutex<Window>>);

impl Throttle {
    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filter for Throttle {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let mut window = self.window();
        window.advance(outlet.now());
        each(batch, outlet, |_, _| match window.lets_through() {
            true => Decision::Keep,
            false => Decision::Drop,
        })
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

struct Window {
    rate: f64,
    /// Seconds.
    interval: u64,
    print_status: Option<Label>,
    /// How many slots count.
    window: usize,
    /// How many records went through in each interval, the current one last.
    slots: VecDeque<u64>,
    /// The number of the current interval since 1970.
    current: u64,
}

impl Window {
    /// Moves the window up to now.
    fn advance(&mut self, now: Timestamp) {
        let interval = u64::from(now.sec) / self.interval;
        if self.slots.is_empty() {
            self.current = interval;
        }
        // A clock that is set back stands still here.
        let passed = interval.saturating_sub(self.current);
        if passed >= self.window as u64 {
            self.slots.clear();
        }
        for _ in 0..passed.min(self.window as u64) {
            self.status(now);
            self.slots.push_back(0);
        }
        if self.slots.is_empty() {
            self.slots.push_back(0);
        }
        while self.slots.len() > self.window {
            self.slots.pop_front();
        }
        self.current = self.current.max(interval);
    }

    fn average(&self) -> f64 {
        self.slots.iter().sum::<u64>() as f64 / self.window as f64
    }

    fn lets_through(&mut self) -> bool {
        if self.average() >= self.rate {
            return false;
        }
        if let Some(slot) = self.slots.back_mut() {
            *slot += 1;
        }
        true
    }

    fn status(&self, now: Timestamp) {
        let Some(label) = &self.print_status else { return };
        tracing::info!(
            "{label} {}: limit is {:.2} per {}s with window size of {}, current rate is: {} per interval",
            now.sec,
            self.rate,
            self.interval,
            self.window,
            self.average() as u64
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    /// How many of ten records go through at each of these seconds.
    fn check(options: &[(&str, &str)], seconds: &[u32], expected: &[usize]) {
        let mut filter = testing::build(&SPEC, options).unwrap();
        let through: Vec<usize> = seconds
            .iter()
            .map(|sec| {
                let mut outlet = Outlet::new(Timestamp { sec: *sec, nsec: 0 });
                filter.filter(testing::chunk("t", &[(0, 0, "{}"); 10]), &mut outlet);
                outlet.passed().iter().map(Chunk::len).sum()
            })
            .collect();
        assert_eq!(through, expected, "{options:?}");
    }

    #[test]
    fn so_many_records_go_through_on_average() {
        check(&[("rate", "2"), ("window", "2")], &[100, 101, 102, 103], &[4, 0, 4, 0]);
        check(&[("rate", "3"), ("window", "1")], &[100, 100, 101], &[3, 0, 3]);
        check(
            &[("rate", "1"), ("window", "5"), ("interval", "10")],
            &[100, 105, 110, 150],
            &[5, 0, 0, 5],
        );
    }

    #[test]
    fn a_long_silence_empties_the_window() {
        check(&[("rate", "1"), ("window", "3")], &[100, 1_000_000, 999_999], &[3, 3, 0]);
    }

    #[test]
    fn what_is_not_above_zero_is_refused() {
        for option in ["rate", "window", "interval"] {
            let error = testing::build(&SPEC, &[(option, "0")]).err().unwrap();
            assert_eq!(error.message, format!("{option} must be above 0"));
        }
    }
}
