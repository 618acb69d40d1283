//! From a real Fluent Bit to this agent, with the same configuration and the same database of positions. `FLUENT_BIT` names it;
//! without it this is skipped, with a word.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "it says what it skips, and what it has counted")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use flb_testkit::Program;

const CONFIGURATION: &str = "\
[SERVICE]
    Flush 0.2
[INPUT]
    Name tail
    Tag t
    Path a.log
    Read_from_Head on
    DB positions.db
[OUTPUT]
    Name file
    Match *
    File ${OUT}
    Format plain
";

fn start(program: &Path, folder: &Path, out: &str) -> Program {
    let mut command = Command::new(program);
    command.args(["-c", "agent.conf"]).current_dir(folder).env("OUT", out);
    Program::start(&mut command)
}

/// The numbers of the lines in a file of what was delivered, in its order.
fn numbers(folder: &Path, out: &str) -> Vec<usize> {
    let text = fs::read_to_string(folder.join(out)).unwrap_or_default();
    let whole = text.lines().filter(|line| line.ends_with('}'));
    whole.map(|line| line.split(['"', ' ']).nth(4).unwrap().parse().unwrap()).collect()
}

fn wait_for_number(folder: &Path, out: &str, number: usize) {
    let begun = Instant::now();
    while numbers(folder, out).last().is_none_or(|last| *last < number) {
        assert!(begun.elapsed() < Duration::from_secs(30), "line {number} does not come");
        sleep(Duration::from_millis(20));
    }
}

/// Lines with their numbers, until it is told to stop; then it says how many there are.
fn writer(log: File, stop: Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    let mut log = log;
    thread::spawn(move || {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..20 {
                count += 1;
                writeln!(log, "line {count} of many").unwrap();
            }
            sleep(Duration::from_millis(2));
        }
        count
    })
}

/// What both have delivered, when Fluent Bit was ended by this signal while it was at work.
fn switch(fluent_bit: &Path, signal: &str) -> (Vec<usize>, Vec<usize>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("agent.conf"), CONFIGURATION).unwrap();
    let log = OpenOptions::new().append(true).create(true).open(folder.join("a.log")).unwrap();
    let stop = Arc::default();
    let writer = writer(log, Arc::clone(&stop));
    let theirs = start(fluent_bit, folder, "theirs");
    wait_for_number(folder, "theirs", 2000);
    theirs.signal(signal);
    theirs.finish();
    sleep(Duration::from_millis(200));
    let mut ours = start(Path::new(env!("CARGO_BIN_EXE_flb-agent")), folder, "ours");
    assert!(ours.wait_for("taken over from Fluent Bit"));
    stop.store(true, Ordering::Relaxed);
    let count = writer.join().unwrap();
    wait_for_number(folder, "ours", count);
    ours.terminate().check(0, &[]);
    assert!(folder.join("positions.db.fluent-bit").exists());
    (numbers(folder, "theirs"), numbers(folder, "ours"), count)
}

fn fluent_bit() -> Option<PathBuf> {
    let named = std::env::var_os("FLUENT_BIT").map(PathBuf::from);
    if named.is_none() {
        eprintln!("skipped: FLUENT_BIT names no program");
    }
    named
}

#[test]
fn after_a_graceful_stop_of_fluent_bit_every_line_comes_once() {
    let Some(fluent_bit) = fluent_bit() else { return };
    let (theirs, ours, count) = switch(&fluent_bit, "TERM");
    let all: Vec<usize> = theirs.into_iter().chain(ours).collect();
    assert_eq!(all, (1..=count).collect::<Vec<_>>());
}

#[test]
fn after_a_kill_of_fluent_bit_reading_goes_on_where_it_wrote_down_last() {
    let Some(fluent_bit) = fluent_bit() else { return };
    let (theirs, ours, count) = switch(&fluent_bit, "KILL");
    let (last, first) = (*theirs.last().unwrap(), ours[0]);
    assert_eq!(theirs, (1..=last).collect::<Vec<_>>());
    assert_eq!(ours, (first..=count).collect::<Vec<_>>());
    eprintln!("of {count} lines Fluent Bit delivered {last}, and reading went on at {first}");
}
