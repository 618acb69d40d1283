//! `cpu`: how busy the processors are, in percent.

use flb_event::msgpack;
use flb_plugin::{Build, BuildError, Input, Options, Spec, Table};
use procfs::{CpuTime, CurrentSI as _, KernelStats};

use super::shared::interval;
use super::shared::sampler::{Sample, Sampler};
use flb_plugin::log::Label;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "cpu",
    about: "Tell how busy the processors are",
    options: Table(&[interval::KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(Sampler {
        tag: build.tag.clone(),
        label: Label::input("cpu", build),
        interval: interval::interval(options),
        limit: None,
        source: Cpus { before: None },
    }))
}

/// Ticks since the machine started.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticks {
    user: u64,
    system: u64,
    all: u64,
}

impl Ticks {
    fn of(time: &CpuTime) -> Self {
        let user = time.user + time.nice;
        let waiting = time.idle + time.iowait.unwrap_or(0);
        let others = time.irq.unwrap_or(0) + time.softirq.unwrap_or(0) + time.steal.unwrap_or(0);
        Self { user, system: time.system, all: user + time.system + waiting + others }
    }

    /// The shares of user and system since `before`, in percent.
    fn since(self, before: Self) -> (f64, f64) {
        let all = self.all.saturating_sub(before.all).max(1) as f64;
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / all * 100.0;
        (share(self.user, before.user), share(self.system, before.system))
    }
}

struct Cpus {
    /// All processors together, then each.
    before: Option<Vec<Ticks>>,
}

impl Sample for Cpus {
    fn sample(&mut self, body: &mut Vec<u8>) -> Result<bool, String> {
        let stats = KernelStats::current().map_err(|error| error.to_string())?;
        let now: Vec<Ticks> =
            std::iter::once(&stats.total).chain(&stats.cpu_time).map(Ticks::of).collect();
        let Some(before) = self.before.replace(now.clone()) else { return Ok(false) };
        write(&before, &now, body);
        Ok(true)
    }
}

fn write(before: &[Ticks], now: &[Ticks], body: &mut Vec<u8>) {
    let rows = before.len().min(now.len());
    msgpack::write_map_header(body, 3 * rows as u32);
    for (index, (before, now)) in before.iter().zip(now).enumerate() {
        let (user, system) = now.since(*before);
        let keys = match index {
            0 => ["cpu_p", "user_p", "system_p"].map(str::to_owned),
            _ => ["p_cpu", "p_user", "p_system"].map(|key| format!("cpu{}.{key}", index - 1)),
        };
        for (key, value) in keys.iter().zip([user + system, user, system]) {
            msgpack::write_str(body, key);
            msgpack::write_float(body, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{Scene, json_text};

    #[test]
    fn shares_are_those_since_the_sample_before() {
        let before = Ticks { user: 100, system: 50, all: 1000 };
        let now = Ticks { user: 125, system: 60, all: 1100 };
        let mut body = Vec::new();
        write(&[before, before], &[now, now], &mut body);
        assert_eq!(
            json_text(&body),
            r#"{"cpu_p":35.0,"user_p":25.0,"system_p":10.0,"cpu0.p_cpu":35.0,"cpu0.p_user":25.0,"cpu0.p_system":10.0}"#
        );
    }

    #[test]
    fn the_first_record_comes_with_the_second_sample() {
        let scene = Scene::new(1000.0).until(1003.5);
        scene.run(&SPEC, &[]).unwrap();
        assert_eq!(scene.batches(), [1, 1]);
        assert!(scene.bodies()[0].contains("\"cpu0.p_cpu\":"));
    }
}
