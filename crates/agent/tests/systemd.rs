//! The systemd input through the whole agent, on files of the journal that a real systemd-journal-remote writes. Where it is
//! missing, the test is skipped, with a word.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flb_testkit::Program;
use flb_testkit::servers::journal_remote;

/// Entries that are written between two kills.
const ENTRIES: usize = 400;
const KILLS: usize = 8;

fn writer(mut command: Command, folder: &Path) -> Child {
    let output = format!("--output={}", folder.join("journal/a.journal").display());
    command.arg(output).arg("-").stdin(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn write(writer: &mut Child, numbers: std::ops::Range<usize>) {
    let mut text = String::new();
    for number in numbers {
        let micros = 1_000_000_000 + number;
        text += &format!("__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={micros}\n");
        text += &format!("_BOOT_ID=11111111111111111111111111111111\nMESSAGE=number {number}.\n\n");
    }
    writer.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
}

fn agent(folder: &Path) -> Program {
    let conf = "[SERVICE]\n    Flush 0.05\n    storage.path storage\n    storage.sync full\n\
         [INPUT]\n    Name systemd\n    Tag j\n    Path journal\n    DB positions\n    Max_Entries 50\n    storage.type filesystem\n\
         [OUTPUT]\n    Name file\n    Match *\n    Path out\n    Mkdir on\n    Format template\n    Template {MESSAGE}\n";
    fs::write(folder.join("agent.conf"), conf).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command)
}

/// What has arrived, in the order in which it came first.
fn arrived(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("out/j")).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let whole = text.lines().filter(|line| line.ends_with('.'));
    whole.filter(|line| seen.insert(line.to_owned())).map(str::to_owned).collect()
}

fn wait_for(folder: &Path, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while arrived(folder).len() < count {
        assert!(Instant::now() < deadline, "{} of {count} came", arrived(folder).len());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_agent_that_is_killed_reads_on_in_the_journal() {
    let Some(remote) = journal_remote() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("journal")).unwrap();
    let mut writer = writer(remote, folder);
    for kill in 0..KILLS {
        write(&mut writer, kill * ENTRIES..(kill + 1) * ENTRIES);
        let agent = agent(folder);
        // At another point of the work each time.
        wait_for(folder, kill * ENTRIES + kill * ENTRIES / KILLS);
        agent.signal("KILL");
        agent.finish();
    }
    let all = KILLS * ENTRIES + 20;
    write(&mut writer, KILLS * ENTRIES..all);
    let last = agent(folder);
    wait_for(folder, all);
    last.terminate().check(0, &[]);
    let expected: Vec<String> = (0..all).map(|n| format!("number {n}.")).collect();
    let mut found = arrived(folder);
    found.sort_by_key(|line| expected.iter().position(|one| one == line));
    assert_eq!(found, expected);

    // One that ends as it is asked to: nothing comes twice.
    let size = || fs::metadata(folder.join("out/j")).unwrap().len();
    let before = size();
    write(&mut writer, 9990..9999);
    let quiet = agent(folder);
    wait_for(folder, all + 9);
    quiet.terminate().check(0, &[]);
    write(&mut writer, 9999..10_000);
    let again = agent(folder);
    wait_for(folder, all + 10);
    again.terminate().check(0, &[]);
    assert_eq!(size() - before, "number 9990.\n".len() as u64 * 10);
    let _ = writer.kill();
    writer.wait().unwrap();
}
