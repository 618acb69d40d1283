//! The tail input in the whole agent: killed and started again, told of changes by the system, and with the logs of containers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use flb_testkit::{Program, Run};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn start(folder: &Path) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder);
    for variable in ["FLB_LOG_LEVEL", "HOME", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    Program::start(&mut command)
}

fn run(folder: &Path) -> Run {
    start(folder).finish()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Waits until the file has all of these texts.
fn wait_for(path: &Path, texts: &[String]) -> String {
    let begun = Instant::now();
    loop {
        let found = fs::read_to_string(path).unwrap_or_default();
        if texts.iter().all(|text| found.contains(text)) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "not all is there:\n{found}");
        sleep(Duration::from_millis(10));
    }
}

/// A last agent, which delivers what is missing of these texts and ends as it should.
fn end_with_all(folder: &Path, texts: &[String]) {
    let mut agent = start(folder);
    assert!(agent.wait_for("file=a.log"));
    wait_for(&folder.join("out.txt"), texts);
    agent.signal("TERM");
    assert_eq!(agent.finish().code, Some(0));
}

const KILLED: &str = "\
[SERVICE]
    Flush 0.1
    Log_Level debug
[INPUT]
    Name tail
    Tag t
    Path *.log
    Refresh_Interval 0.1
    DB positions.db
[OUTPUT]
    Name file
    Match *
    File out.txt
    Format plain
";

#[test]
fn what_is_written_while_the_agent_is_dead_is_read_by_the_next_one() {
    let folder = folder(&[("agent.conf", KILLED), ("a.log", "before the first agent\n")]);
    let (log, out) = (folder.path().join("a.log"), folder.path().join("out.txt"));
    let lines = |round: u32, state: &str| -> Vec<String> {
        (0..50).map(|line| format!("{state} {round}.{line}.")).collect()
    };
    let mut all = Vec::new();
    for round in 0..4 {
        let mut agent = start(folder.path());
        assert!(agent.wait_for("file=a.log"));
        let alive = lines(round, "alive");
        append(&log, &(alive.join("\n") + "\n"));
        all.extend(alive);
        let found = wait_for(&out, &all);
        assert!(!found.contains("before the first agent"));
        agent.signal("KILL");
        let run = agent.finish();
        assert_eq!(run.code, None, "{}", run.stderr);
        assert!(!run.stderr.contains("[error]"), "{}", run.stderr);
        let dead = lines(round, "dead");
        append(&log, &(dead.join("\n") + "\n"));
        all.extend(dead);
    }
    end_with_all(folder.path(), &all);
}

#[test]
fn killed_at_any_moment_nothing_is_lost_with_filesystem_storage() {
    let conf = KILLED
        .replace("[INPUT]", "    storage.path chunks\n[INPUT]")
        .replace("DB positions.db", "DB positions.db\n    storage.type filesystem");
    let folder = folder(&[("agent.conf", &conf), ("a.log", "")]);
    let (log, out) = (folder.path().join("a.log"), folder.path().join("out.txt"));
    let mut all = Vec::new();
    for (round, seen) in [0, 199, 1, 60, 0, 120].into_iter().enumerate() {
        let mut agent = start(folder.path());
        assert!(agent.wait_for("file=a.log"));
        let lines: Vec<String> = (0..200).map(|line| format!("line {round}.{line}.")).collect();
        for piece in lines.chunks(20) {
            append(&log, &(piece.join("\n") + "\n"));
        }
        wait_for(&out, &lines[..seen]);
        agent.signal("KILL");
        let run = agent.finish();
        assert!(!run.stderr.contains("[error]"), "{}", run.stderr);
        all.extend(lines);
    }
    end_with_all(folder.path(), &all);
}

#[test]
fn a_stop_leaves_positions_so_that_nothing_comes_twice() {
    let folder = folder(&[("agent.conf", KILLED), ("a.log", "")]);
    let (log, out) = (folder.path().join("a.log"), folder.path().join("out.txt"));
    for round in 0..3 {
        let mut agent = start(folder.path());
        assert!(agent.wait_for("file=a.log"));
        append(&log, &format!("line {round}.\n"));
        wait_for(&out, &[format!("line {round}.")]);
        agent.signal("TERM");
        assert_eq!(agent.finish().code, Some(0));
    }
    let found = fs::read_to_string(out).unwrap();
    let expected = ["0", "1", "2"].map(|line| format!("{{\"log\":\"line {line}.\"}}\n"));
    assert_eq!(found, expected.concat());
}

#[test]
fn the_system_gives_word_of_changes() {
    let conf = KILLED
        .replace("DB positions.db", "Progress_Check_Interval 1h")
        .replace("Refresh_Interval 0.1", "Refresh_Interval 3600")
        .replace("Path *.log", "Path *.log\n    Rotate_Wait 0");
    let folder = folder(&[("agent.conf", &conf), ("a.log", "")]);
    let (log, out) = (folder.path().join("a.log"), folder.path().join("out.txt"));
    let mut agent = start(folder.path());
    assert!(agent.wait_for("file=a.log"));
    append(&log, "appended\n");
    wait_for(&out, &["appended".to_owned()]);
    append(&folder.path().join("b.log"), "new\n");
    wait_for(&out, &["new".to_owned()]);
    fs::rename(&log, folder.path().join("a.txt")).unwrap();
    append(&log, "rotated\n");
    wait_for(&out, &["rotated".to_owned()]);
    fs::write(&log, "cut\n").unwrap();
    wait_for(&out, &["cut".to_owned()]);
    agent.signal("TERM");
    assert_eq!(agent.finish().code, Some(0));
}

#[test]
fn word_comes_of_what_a_link_names_also_when_that_changes() {
    let conf = KILLED
        .replace("DB positions.db", "Progress_Check_Interval 1h")
        .replace("Refresh_Interval 0.1", "Refresh_Interval 3600")
        .replace("*.log", "links/*.log");
    let folder = folder(&[("agent.conf", &conf), ("pods/0.log", ""), ("links/none", "")]);
    let (pod, out) = (folder.path().join("pods/0.log"), folder.path().join("out.txt"));
    std::os::unix::fs::symlink(&pod, folder.path().join("links/a.log")).unwrap();
    let mut agent = start(folder.path());
    assert!(agent.wait_for("file=links/a.log"));
    append(&pod, "one\n");
    wait_for(&out, &["one".to_owned()]);
    fs::rename(&pod, folder.path().join("pods/0.log.old")).unwrap();
    append(&pod, "two\n");
    wait_for(&out, &["two".to_owned()]);
    append(&pod, "three\n");
    wait_for(&out, &["three".to_owned()]);
    agent.signal("TERM");
    assert_eq!(agent.finish().code, Some(0));
}

#[test]
fn container_logs_are_joined_tagged_and_parsed() {
    let folder = folder(&[
        (
            "agent.conf",
            "\
[SERVICE]
    Parsers_File parsers.conf
[INPUT]
    Name tail
    Path containers/*.log
    Read_from_Head on
    Exit_On_Eof on
    Tag kube.<namespace>.<pod>
    Tag_Regex (?<pod>[a-z0-9-]+)_(?<namespace>[^_]+)_(?<container>.+)-[0-9a-f]+\\.log$
    multiline.parser docker, cri
[FILTER]
    Name parser
    Match kube.shop.*
    Key_Name log
    Parser level
    Reserve_Data on
[OUTPUT]
    Name file
    Match kube.*
    File out.txt
",
        ),
        (
            "parsers.conf",
            "[PARSER]\n    Name level\n    Format regex\n    Regex ^(?<level>[A-Z]+) (?<text>.*)$\n",
        ),
        (
            "containers/web-1_shop_nginx-0af3.log",
            "2024-01-01T00:00:00Z stdout P INFO long \n2024-01-01T00:00:01Z stdout F line\n",
        ),
        (
            "containers/db_data_pg-1.log",
            "{\"log\":\"x\\n\",\"stream\":\"stderr\",\"time\":\"2024-01-01T00:00:02Z\"}\n",
        ),
    ]);
    let run = run(folder.path());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let found = fs::read_to_string(folder.path().join("out.txt")).unwrap();
    let mut lines: Vec<&str> = found.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            r#"kube.data.db: [1704067202.000000000, {"log":"x\n","stream":"stderr","time":"2024-01-01T00:00:02Z"}]"#,
            r#"kube.shop.web-1: [1704067200.000000000, {"level":"INFO","text":"long line","time":"2024-01-01T00:00:00Z","stream":"stdout","_p":"P"}]"#,
        ]
    );
}

#[test]
fn a_multiline_parser_of_a_file_joins_lines() {
    let conf = "\
[SERVICE]
    Parsers_File parsers.conf
[INPUT]
    Name tail
    Tag t
    Path a.log
    Read_from_Head on
    Exit_On_Eof on
    multiline.parser mine
[OUTPUT]
    Name file
    Match *
    File out.txt
    Format plain
";
    let parsers = "\
[MULTILINE_PARSER]
    name          mine
    type          regex
    flush_timeout 1000
    rule          \"start_state\"  \"/^[A-Z][a-z]+ \\d+/\"  \"cont\"
    rule          \"cont\"         \"/^\\s+/\"              \"cont\"
";
    let log = "Jan 1 one\n  more\nother\nFeb 2 two\n";
    let folder = folder(&[("agent.conf", conf), ("parsers.conf", parsers), ("a.log", log)]);
    let run = run(folder.path());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let found = fs::read_to_string(folder.path().join("out.txt")).unwrap();
    assert_eq!(
        found,
        "{\"log\":\"Jan 1 one\\n  more\\n\"}\n{\"log\":\"other\\n\"}\n{\"log\":\"Feb 2 two\\n\"}\n"
    );
}

/// What an agent prints of a file that it follows, with a database.
const PRINTED: &str = "\
[SERVICE]
    Flush 0.1
    Log_Level debug
[INPUT]
    Name tail
    Tag t
    Path a.log
    Refresh_Interval 0.1
    DB disk/positions.db
[OUTPUT]
    Name stdout
    Match *
    Format json_lines
";

/// An agent that lives on when a file of its cannot grow. What it prints is in `out.txt`, which is not its own.
fn start_limited(folder: &Path) -> Program {
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; mkfifo out; cat out > out.txt & exec \"$0\" -c agent.conf > out";
    command.args(["-c", script, env!("CARGO_BIN_EXE_flb-agent")]).current_dir(folder);
    for variable in ["FLB_LOG_LEVEL", "HOME", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    Program::start(&mut command)
}

/// Limits what a program may have from now on. False where there is no command to do so.
fn limit(program: &Program, what: &str) -> bool {
    let id = program.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &id, what]).status();
    status.is_ok_and(|status| status.success())
}

/// A folder of its own file system for `disk`, as long as this lives.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// None where nobody may mount.
    fn mount(folder: &Path) -> Option<Self> {
        let path = folder.join("disk");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "none"])
            .arg(&path)
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then_some(Self(path))
    }

    fn fill(&self) {
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while filler.write_all(&[7; 512]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // An agent that a failed test leaves behind must not hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A folder with a log, a configuration, and another one that ends where the log ends.
fn folder_with_disk() -> TempDir {
    let to_the_end = PRINTED.replace("Refresh_Interval 0.1", "Exit_On_Eof on");
    folder(&[
        ("agent.conf", PRINTED),
        ("end.conf", &to_the_end),
        ("a.log", "before\n"),
        ("disk/none", ""),
    ])
}

/// What the next agent prints, up to the end of the log.
fn rest(folder: &Path) -> String {
    let conf = fs::read_to_string(folder.join("end.conf")).unwrap();
    fs::write(folder.join("agent.conf"), conf).unwrap();
    let run = run(folder);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout
}

/// Adds a line to the log, and waits until the agent has printed it.
fn print(folder: &Path, line: &str) {
    append(&folder.join("a.log"), &format!("{line}\n"));
    wait_for(&folder.join("out.txt"), &[line.to_owned()]);
}

/// An agent at work whose disk is full, and that has noticed.
fn start_on_a_full_disk(folder: &Path, fill: impl Fn(&Program)) -> Program {
    let mut agent = start_limited(folder);
    assert!(agent.wait_for("file=a.log"));
    print(folder, "while there is room");
    fill(&agent);
    print(folder, "while it is full");
    assert!(agent.wait_for("db cannot be used now"));
    agent
}

/// The disk is full for a while, then the agent is killed: nothing comes twice.
fn positions_are_saved_again(folder: &Path, fill: impl Fn(&Program), free: impl Fn(&Program)) {
    let mut agent = start_on_a_full_disk(folder, fill);
    free(&agent);
    assert!(agent.wait_for("db can be used again"));
    agent.signal("KILL");
    assert_eq!(agent.finish().code, None);
    append(&folder.join("a.log"), "while nobody reads\n");
    let rest = rest(folder);
    assert_eq!(rest.lines().count(), 1, "{rest}");
    assert!(rest.contains("while nobody reads"), "{rest}");
}

/// The disk is full, the log rotates, and the agent ends as it should: nothing is passed over.
fn a_new_file_is_read_whole(folder: &Path, fill: impl Fn(&Program), free: impl Fn(&Program)) {
    let agent = start_on_a_full_disk(folder, fill);
    fs::rename(folder.join("a.log"), folder.join("a.log.1")).unwrap();
    print(folder, "after the rotation");
    agent.signal("TERM");
    free(&agent);
    assert_eq!(agent.finish().code, Some(0));
    append(&folder.join("a.log"), "while nobody reads\n");
    let rest = rest(folder);
    assert!(rest.contains("while nobody reads"), "{rest}");
}

#[test]
fn positions_are_saved_again_when_the_database_may_grow_again() {
    let folder = folder_with_disk();
    let fill = |agent: &Program| assert!(limit(agent, "--fsize=0:unlimited"));
    let free = |agent: &Program| assert!(limit(agent, "--fsize=unlimited:unlimited"));
    if Command::new("prlimit").arg("--version").output().is_err() {
        return eprintln!("skipped: there is no prlimit here");
    }
    positions_are_saved_again(folder.path(), fill, free);
    let folder = folder_with_disk();
    a_new_file_is_read_whole(folder.path(), fill, |_| {});
}

#[test]
fn positions_are_saved_again_when_there_is_room_on_the_disk() {
    let folder = folder_with_disk();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        return eprintln!("skipped: nobody may mount here");
    };
    positions_are_saved_again(folder.path(), |_| disk.fill(), |_| disk.free());
    drop(disk);
    let folder = folder_with_disk();
    let disk = SmallDisk::mount(folder.path()).unwrap();
    a_new_file_is_read_whole(folder.path(), |_| disk.fill(), |_| disk.free());
}

#[test]
fn without_a_descriptor_for_the_folder_no_file_is_lost() {
    let conf =
        PRINTED.replace("Path a.log", "Path *.log\n    Read_from_Head on\n    Rotate_Wait 0");
    let conf = conf.replace("    DB disk/positions.db\n", "    Inotify_Watcher off\n");
    let folder = folder(&[("agent.conf", &conf), ("a.log", "one\n")]);
    let mut agent = start(folder.path());
    assert!(agent.wait_for("file=a.log"));
    if !limit(&agent, "--nofile=3:") {
        return eprintln!("skipped: there is no prlimit here");
    }
    assert!(agent.wait_for("Too many open files"));
    fs::rename(folder.path().join("a.log"), folder.path().join("b.log")).unwrap();
    append(&folder.path().join("b.log"), "two\n");
    assert!(limit(&agent, "--nofile=1000:"));
    assert!(agent.wait_for("handle rotation(): a.log => b.log"));
    let run = agent.terminate();
    let logs: Vec<&str> = run
        .stdout
        .lines()
        .filter_map(|line| line.split_once(r#""log":"#))
        .map(|(_, log)| log)
        .collect();
    assert_eq!(logs, [r#""one"}"#, r#""two"}"#], "{}", run.stderr);
}
