//! What a program took: wall time, CPU time and peak memory, as Linux tells them.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::run::line;

/// How often the running program's peak memory is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Linux tells programs the CPU time of others in ticks of this length, whatever its own are.
const TICK: Duration = Duration::from_millis(10);
/// Runs the program that its arguments are, and tells its user and system time in seconds. The shell knows
/// the CPU time of what has ended to a millisecond.
const TIMED: &str = r#"TIMEFORMAT='%3U %3S'; time "$@" 2>/dev/null"#;

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// User and system time together, to a few milliseconds.
    pub(super) cpu: Duration,
    /// Peak resident memory in KiB; a lower bound, looked at every two milliseconds.
    pub(super) peak_kib: u64,
}

/// Does something with all programs that it runs on one CPU: two that share a core take more of its time together than one
/// after the other, and would be charged for it.
pub(super) fn on_one_cpu<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let all = sched_getaffinity(None).context("cannot tell which CPUs there are")?;
    let mut last = CpuSet::new();
    let number = (0..CpuSet::MAX_CPU).rfind(|cpu| all.is_set(*cpu)).context("there is no CPU")?;
    last.set(number);
    sched_setaffinity(None, &last).context("cannot keep to one CPU")?;
    let done = f();
    sched_setaffinity(None, &all).context("cannot go back to all CPUs")?;
    done
}

/// Runs a program unseen; an error unless it succeeds.
pub(super) fn measure(command: &Command) -> Result<Cost> {
    measure_until(command, None::<fn() -> Result<()>>)
}

/// The same; it is asked to end when something is done that it takes part in.
pub(super) fn measure_until(
    command: &Command,
    work: Option<impl FnOnce() -> Result<()>>,
) -> Result<Cost> {
    let started = Instant::now();
    let mut shell = timed(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", line(command)))?;
    if let Some(work) = work {
        let worked = work();
        // It may have ended by itself, which is an error then.
        if let Some(child) = child_of(shell.id()) {
            Command::new("kill").args(["-TERM", &child]).status().context("no kill")?;
        }
        worked?;
    }
    let mut peak_kib = 0;
    while shell.try_wait()?.is_none() {
        peak_kib = peak_kib.max(peak_of_child(shell.id()).unwrap_or_default());
        thread::sleep(LOOK);
    }
    let wall = started.elapsed();
    let ended = shell.wait_with_output()?;
    ensure!(ended.status.success(), "{} failed ({})", line(command), ended.status);
    let said = String::from_utf8_lossy(&ended.stderr);
    let cpu = cpu(&said).with_context(|| format!("times of {}: {said}", line(command)))?;
    Ok(Cost { wall, cpu, peak_kib })
}

/// The command in a shell that tells what it took.
fn timed(command: &Command) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-c", TIMED, "bash"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

fn child_of(shell: u32) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

fn peak_of_child(shell: u32) -> Option<u64> {
    let child = child_of(shell)?;
    high_water(&fs::read_to_string(format!("/proc/{child}/status")).ok()?)
}

/// `VmHWM` of a process's status text.
pub(super) fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// CPU time of a process that runs, from its `stat` text: fields 14 and 15, counted behind the program's name, which may
/// contain blanks.
pub(crate) fn cpu_of(stat: &str) -> Result<Duration> {
    let ticks =
        |at: usize| -> Option<u32> { stat.rsplit_once(") ")?.1.split(' ').nth(at)?.parse().ok() };
    let sum = ticks(11).zip(ticks(12)).map(|(user, system)| TICK * (user + system));
    sum.context("/proc/self/stat has another form than known")
}

/// The sum of the two times that [`TIMED`] tells.
fn cpu(said: &str) -> Option<Duration> {
    let (user, system) = said.trim().split_once(' ')?;
    let seconds = user.parse::<f64>().ok()? + system.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
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
    fn the_words_of_kernel_and_shell_are_understood() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    5120 kB\nVmRSS:\t 1 kB\n"), Some(5120));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5";
        assert_eq!(cpu_of(stat).unwrap(), TICK * 30);
        assert_eq!(cpu("0.310 0.029\n"), Some(Duration::from_millis(339)));
        assert_eq!(cpu("nonsense"), None);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let ms = |all: &[u64]| median(all.iter().map(|ms| Duration::from_millis(*ms)).collect());
        assert_eq!(ms(&[5, 1, 3]), Duration::from_millis(3));
        assert_eq!(ms(&[]), Duration::ZERO);
    }
}
