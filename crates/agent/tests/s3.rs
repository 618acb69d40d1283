//! The output s3 beside a real server; both are killed in the middle of uploads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flb_testkit::Program;
use flb_testkit::servers::{Server, free_port, s3};

/// Longer than anything takes here, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "very-secret-key";
const LINES: usize = 30_000;

/// An agent that reads `lines` and sends what is in it.
fn start(folder: &Path, port: u16, input: &str) -> Program {
    let conf = format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 60\n    storage.path storage\n\
         [INPUT]\n    Name tail\n    Tag t\n    Path lines\n    Parser json\n    Read_From_Head on\n    DB lines.db\n    storage.type filesystem\n{input}\
         [OUTPUT]\n    Name s3\n    Match *\n    bucket logs\n    endpoint http://127.0.0.1:{port}\n    store_dir s3\n\
         \x20   total_file_size 30M\n    s3_key_format /$TAG/$UUID\n    json_date_key off\n"
    );
    fs::write(folder.join("agent.conf"), conf).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder).env_clear();
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    Program::start(&mut command)
}

/// Waits until the state of an object says so.
fn wait_for(folder: &Path, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let objects = fs::read_dir(folder.join("s3/logs")).into_iter().flatten().flatten();
        let states = objects.map(|object| fs::read_to_string(object.path().join("state.json")));
        if states.flatten().any(|state| state.contains(what)) {
            return;
        }
        assert!(Instant::now() < deadline, "no object says {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How often each line is in the bucket.
fn counts(bucket: &Path) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for object in fs::read_dir(bucket.join("logs/t")).unwrap().flatten() {
        for line in fs::read_to_string(object.path()).unwrap().lines() {
            let (_, number) = line.split_once("{\"n\":").unwrap();
            let number = number.split(',').next().unwrap().parse().unwrap();
            *counts.entry(number).or_default() += 1;
        }
    }
    counts
}

#[test]
fn an_agent_and_a_server_that_are_killed_in_the_middle_of_uploads_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bucket = folder.join("bucket");
    fs::create_dir_all(bucket.join("logs")).unwrap();
    let serve = |port| -> Option<Server> { s3(port, &bucket, KEY, SECRET) };
    let Some(server) = serve(free_port()) else { return };
    let port = server.port;
    let pad = "x".repeat(900);
    let line = |n: usize| format!("{{\"n\":{n},\"pad\":\"{pad}\"}}\n");
    fs::write(folder.join("lines"), (0..LINES).map(line).collect::<String>()).unwrap();

    let agent = start(folder, port, "");
    wait_for(folder, "\"sent\":[[1,");
    agent.signal("KILL");
    drop(agent.finish());

    let mut agent = start(folder, port, "");
    wait_for(folder, "[2,");
    // The parts that it was sent are in its memory.
    drop(server);
    let _server = serve(port);
    assert!(agent.wait_for("NoSuchUpload"));
    agent.signal("KILL");
    drop(agent.finish());

    for _ in 0..2 {
        let ended = start(folder, port, "    Exit_On_Eof on\n").finish();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains(SECRET), "{}", ended.stderr);
    }
    let counts = counts(&bucket);
    assert_eq!(counts.len(), LINES);
    // What tail had read since it saved its position last, and chunks that were taken and not settled: once more for each kill.
    assert!(counts.values().all(|count| *count <= 3), "a line came more than three times");
}
