//! Filesystem storage through the whole agent: killed without warning, again and again, and on a disk without room.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
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

/// An agent at work with the configuration `name` in the folder.
fn start(folder: &Path, name: &str) -> Program {
    Program::start(agent(AGENT, &["-c", name]).current_dir(folder))
}

/// When an agent is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So many milliseconds after its start.
    After(u64),
    /// When the receiver has got so many lines more.
    Lines(usize),
}

#[test]
fn an_agent_that_is_killed_again_and_again_loses_nothing() {
    const MOMENTS: [Moment; 9] = [
        Moment::After(0),
        Moment::Lines(1),
        Moment::After(10),
        Moment::After(40),
        Moment::Lines(50),
        Moment::After(100),
        Moment::Lines(150),
        Moment::After(25),
        Moment::Lines(300),
    ];
    const EACH: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/filter/modules/echo.wat");
    fs::write(path("filter.wasm"), wat::parse_file(filter).unwrap()).unwrap();
    let sender = format!(
        "[SERVICE]\n    Flush 0.05\n    storage.path chunks\n    scheduler.base 1\n    scheduler.cap 1\n\
         [INPUT]\n    Name tail\n    Tag t\n    Path lines.log\n    Read_From_Head on\n    DB tail.db\n    storage.type filesystem\n\
         [FILTER]\n    Name wasm\n    Match *\n    Wasm_Path filter.wasm\n    Function_Name filter\n\
         [OUTPUT]\n    Name forward\n    Match *\n    Port {port}\n    Require_Ack_Response on\n    Retry_Limit no_limits\n"
    );
    let receiver = format!(
        "[SERVICE]\n    Flush 0.02\n[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n\
         [OUTPUT]\n    Name file\n    Match *\n    File received\n    Format plain\n"
    );
    fs::write(path("sender.conf"), sender).unwrap();
    fs::write(path("receiver.conf"), receiver).unwrap();
    let mut receiver = start(folder.path(), "receiver.conf");
    assert!(receiver.wait_for("listening on"));
    let received = || fs::read_to_string(path("received")).unwrap_or_default();
    let mut log = OpenOptions::new().append(true).create(true).open(path("lines.log")).unwrap();
    for (kill, moment) in MOMENTS.into_iter().enumerate() {
        let before = received().lines().count();
        let sender = start(folder.path(), "sender.conf");
        for n in kill * EACH..(kill + 1) * EACH {
            writeln!(log, "line {n}.").unwrap();
        }
        match moment {
            Moment::After(milliseconds) => std::thread::sleep(Duration::from_millis(milliseconds)),
            // There are more: those of the agents that got nothing done.
            Moment::Lines(more) => {
                wait_until("some lines", || received().lines().count() >= before + more.min(EACH));
            }
        }
        sender.signal("KILL");
        assert_eq!(sender.finish().code, None, "killed at {moment:?}");
    }
    let mut sender = start(folder.path(), "sender.conf");
    // Before it says so a signal ends it as any program: it has not begun.
    assert!(sender.wait_for("[flb-agent] version"));
    let all: BTreeSet<String> =
        (0..MOMENTS.len() * EACH).map(|n| format!("{{\"log\":\"line {n}.\"}}")).collect();
    wait_until("every line", || {
        let received = received();
        let received: BTreeSet<&str> = received.lines().collect();
        all.iter().all(|line| received.contains(line.as_str()))
    });
    wait_until("the end of the last chunk", || stored(&path("chunks")) == 0);
    assert_eq!(sender.terminate().code, Some(0));
    assert_eq!(receiver.terminate().code, Some(0));
}
