//! Filesystem storage through the whole agent: killed without warning, and on a disk without room.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flb_testkit::Program;

const AGENT: &str = env!("CARGO_BIN_EXE_flb-agent");

fn agent(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("FLB_LOG_LEVEL");
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    command
}

/// Waits until `fact` holds.
fn wait_until(what: &str, fact: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fact() {
        assert!(Instant::now() < deadline, "{what}: that does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The length of all chunks' files.
fn stored(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            if path.is_dir() { stored(&path) } else { path.metadata().map_or(0, |file| file.len()) }
        })
        .sum()
}

#[test]
fn what_was_stored_is_delivered_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("chunks").display().to_string();
    let input =
        ["-i", "dummy", "-p", "interval_sec=3600", "-p", "copies=5", "-p", "flush_on_startup=on"];
    let input = [&input[..], &["-p", "storage.type=filesystem", "-t", "app"]].concat();
    let output = ["-o", "stdout", "-m", "*", "-p", "format=json_lines"];
    let before = ["-q", "-f", "3600", "-b", &storage];
    let killed = Program::start(&mut agent(AGENT, &[&before[..], &input, &output].concat()));
    wait_until("a stored chunk", || stored(Path::new(&storage)) > 0);
    killed.signal("KILL");
    assert_eq!(killed.finish().stdout, "");
    let after = ["-f", "0.1", "-b", &storage];
    let mut program = Program::start(&mut agent(AGENT, &[&after[..], &output].concat()));
    assert!(program.wait_for("[storage] 1 chunks with 5 records were there at the start"));
    wait_until("the end of the chunk", || stored(Path::new(&storage)) == 0);
    program.signal("TERM");
    let run = program.finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 5, "{}", run.stdout);
}

#[test]
fn a_file_that_cannot_grow_loses_nothing() {
    // Files may not exceed some 60 KB, as if the disk were full, so appends fail in the middle of a batch.
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("chunks").display().to_string();
    let lines: Vec<String> =
        (0..3000).map(|n| format!("{{\"n\":{n},\"text\":\"{:>60}\"}}\n", n)).collect();
    let source = folder.path().join("lines");
    fs::write(&source, lines.concat()).unwrap();
    let script =
        format!("trap '' XFSZ; ulimit -f 120; exec \"$0\" \"$@\" < '{}'", source.display());
    let arguments = [
        "-c",
        &script,
        AGENT,
        "-f",
        "1",
        "-b",
        &storage,
        "-i",
        "stdin",
        "-p",
        "buffer_size=16000",
        "-p",
        "storage.type=filesystem",
        "-o",
        "stdout",
        "-m",
        "*",
        "-p",
        "format=json_lines",
    ];
    let run = Program::start(&mut agent("sh", &arguments)).finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let numbers: Vec<String> = run.stdout.lines().map(|line| number(line).to_owned()).collect();
    let expected: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    assert_eq!(numbers, expected, "{}", run.stderr);
    assert_eq!(stored(Path::new(&storage)), 0);
}

fn number(line: &str) -> &str {
    let (_, rest) = line.split_once("\"n\":").unwrap();
    rest.split_once(',').unwrap().0
}
