//! What a program took: wall time, CPU time and peak memory, as Linux tells them.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::run::line;

/// How often the running program's peak memory is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Linux reports CPU time to programs in ticks of this length, whatever its own are.
const TICK: Duration = Duration::from_millis(10);

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// User and system time together, to a hundredth of a second.
    pub(super) cpu: Duration,
    /// Peak resident memory in KiB; a lower bound, looked at every two milliseconds.
    pub(super) peak_kib: u64,
}

/// Runs a program unseen; an error unless it succeeds.
pub(super) fn measure(command: &mut Command) -> Result<Cost> {
    let before = children_cpu()?;
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", line(command)))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        peak_kib = peak_kib.max(high_water(&text).unwrap_or_default());
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        thread::sleep(LOOK);
    };
    let wall = started.elapsed();
    ensure!(ended.success(), "{} failed ({ended})", line(command));
    Ok(Cost { wall, cpu: children_cpu()?.saturating_sub(before), peak_kib })
}

/// `VmHWM` of a process's status text.
pub(super) fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// CPU time of all children that were waited for.
fn children_cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("CPU times need Linux")?;
    cpu_of_children(&stat).context("/proc/self/stat has another form than known")
}

/// CPU time of a process that runs, from its `stat` text.
pub(super) fn cpu_of(stat: &str) -> Result<Duration> {
    ticks(stat, 11).context("/proc/self/stat has another form than known")
}

/// Fields 16 and 17, counted behind the program's name, which may contain blanks.
fn cpu_of_children(stat: &str) -> Option<Duration> {
    ticks(stat, 13)
}

/// A field and the one behind it, counted from the program's name.
fn ticks(stat: &str, at: usize) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(TICK * (ticks(at)? + ticks(at + 1)?))
}

/// The middle one of some durations.
pub(super) fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    5120 kB\nVmRSS:\t 1 kB\n"), Some(5120));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5";
        assert_eq!(cpu_of_children(stat), Some(TICK * 70));
        assert_eq!(cpu_of(stat).unwrap(), TICK * 30);
        assert_eq!(cpu_of_children("nonsense"), None);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let ms = |all: &[u64]| median(all.iter().map(|ms| Duration::from_millis(*ms)).collect());
        assert_eq!(ms(&[5, 1, 3]), Duration::from_millis(3));
        assert_eq!(ms(&[]), Duration::ZERO);
    }
}
