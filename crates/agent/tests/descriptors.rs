//! An agent that may open few files: what is left of them for its own work while clients take what they can, and when nothing
//! is left at all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flb_testkit::{Program, get};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Longer than anything takes here, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent with this configuration that may open so many files.
fn start(folder: &Path, files: u32, conf: &str) -> Program {
    fs::write(folder.join("agent.conf"), conf).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $1; exec \"$0\" -c agent.conf"]);
    command.arg(env!("CARGO_BIN_EXE_flb-agent")).arg(files.to_string()).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command)
}

/// The port at the end of the line that has this text.
fn port(program: &mut Program, text: &str) -> u16 {
    let line = program.line_with(text).unwrap();
    line.trim_end().rsplit([':', '=']).next().unwrap().parse().unwrap()
}

/// Waits for a condition, trying again and again.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} has not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn count(path: &Path, text: &str) -> usize {
    fs::read_to_string(path).unwrap_or_default().matches(text).count()
}

/// Clients that connect, say so much, and then nothing.
fn silent(port: u16, words: &str) -> Vec<TcpStream> {
    let connect = |_| {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // The agent may have closed it already.
        let _ = client.write_all(words.as_bytes());
        client
    };
    (0..60).map(connect).collect()
}

#[test]
fn silent_clients_take_no_descriptor_that_others_need() {
    let folder = tempfile::tempdir().unwrap();
    let input = |name: &str| {
        format!("[INPUT]\n Name {name}\n Listen 127.0.0.1\n Port 0\n net.accept_timeout 1\n")
    };
    let conf = format!(
        "[SERVICE]\n Flush 0.05\n HTTP_Server on\n HTTP_Listen 127.0.0.1\n HTTP_Port 0\n\
         {}{}{}[INPUT]\n Name dummy\n Rate 20\n\
         [OUTPUT]\n Name file\n Match *\n File out\n Retry_Limit no_retries\n Format plain\n",
        input("forward"),
        input("http"),
        input("tcp"),
    );
    let mut agent = start(folder.path(), 128, &conf);
    let [forward, http, tcp] =
        ["[input:forward", "[input:http", "[input:tcp"].map(|label| port(&mut agent, label));
    let server = port(&mut agent, "[http_server] listen");
    let clients = [
        silent(server, "GET / HT"),
        silent(forward, ""),
        silent(http, "POST / HTTP/1.1\r\n"),
        silent(tcp, "{\"half\":"),
    ];
    assert_eq!(get(server, "/api/v1/uptime", "").status, 200);
    let out = folder.path().join("out");
    // Those at work get places as soon as the silent ones have had their time.
    let says = |port: u16, bytes: &[u8]| {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let _ = client.write_all(bytes);
        let _ = client.read(&mut [0; 100]);
    };
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"http\":1}";
    let message = b"\x93\xa1t\x01\x81\xa7forward\x01";
    for (port, bytes, record) in [
        (http, &request[..], "{\"http\":1}"),
        (tcp, b"{\"tcp\":1}\n", "{\"tcp\":1}"),
        (forward, message, "{\"forward\":1}"),
    ] {
        wait_until(record, || {
            says(port, bytes);
            count(&out, record) > 0
        });
    }
    assert_eq!(get(server, "/api/v1/uptime", "").status, 200);
    let before = count(&out, "dummy");
    wait_until("the next record", || count(&out, "dummy") > before);
    drop(clients);
    let run = agent.terminate();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("too many open files"), "{}", run.stderr);
    assert!(run.stderr.contains("makes way for another client"), "{}", run.stderr);
}

#[test]
fn want_of_descriptors_drops_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = folder.path().join("receiver");
    fs::create_dir(&receiver).unwrap();
    let mut other = start(
        &receiver,
        256,
        "[SERVICE]\n Flush 0.05\n\
         [INPUT]\n Name forward\n Listen 127.0.0.1\n Port 0\n Tag forward\n\
         [INPUT]\n Name http\n Listen 127.0.0.1\n Port 0\n Tag http\n\
         [OUTPUT]\n Name file\n Match forward\n File forward\n\
         [OUTPUT]\n Name file\n Match http\n File http\n",
    );
    let [forward, http] = ["[input:forward", "[input:http"].map(|label| port(&mut other, label));
    let conf = format!(
        "[SERVICE]\n Flush 0.05\n storage.path chunks\n\
         [INPUT]\n Name dummy\n Tag stored\n Rate 20\n Samples 60\n storage.type filesystem\n\
         [INPUT]\n Name dummy\n Tag held\n Rate 20\n Samples 60\n\
         [OUTPUT]\n Name file\n Match *\n Path x\n Mkdir on\n Retry_Limit no_retries\n\
         [OUTPUT]\n Name forward\n Match *\n Port {forward}\n Retry_Limit no_retries\n net.keepalive off\n\
         [OUTPUT]\n Name http\n Match *\n Port {http}\n Format json\n Retry_Limit no_retries\n net.keepalive off\n"
    );
    let mut agent = start(folder.path(), 256, &conf);
    assert!(agent.wait_for("version="));
    let stored = folder.path().join("x/stored");
    wait_until("the first record", || count(&stored, "dummy") > 0);
    let pid = Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap();
    let few = |current| {
        let limit = Rlimit { current: Some(current), maximum: Some(256) };
        prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    };
    // As if all that it may have were in use.
    few(3);
    assert!(agent.wait_for("oo many open files"));
    std::thread::sleep(Duration::from_secs(1));
    few(256);
    for file in [stored, folder.path().join("x/held")] {
        wait_until("the last record", || count(&file, "dummy") >= 60);
        assert_eq!(count(&file, "dummy"), 60);
    }
    for file in ["forward", "http"] {
        wait_until("the last record", || count(&receiver.join(file), "dummy") >= 120);
        assert_eq!(count(&receiver.join(file), "dummy"), 120);
    }
    let run = agent.terminate();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        !run.stderr.contains("lost") && !run.stderr.contains("cannot be retried"),
        "{}",
        run.stderr
    );
    assert_eq!(other.terminate().code, Some(0));
}

#[test]
fn files_to_follow_leave_room_for_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |n: u32| folder.path().join(format!("{n}.log"));
    for n in 0..100 {
        fs::write(path(n), format!("line {n}.\n")).unwrap();
    }
    let conf = "[SERVICE]\n Flush 0.05\n\
         [INPUT]\n Name tail\n Path *.log\n Tag t\n Read_From_Head on\n Refresh_Interval 0.1\n Rotate_Wait 1\n\
         [OUTPUT]\n Name file\n Match *\n File out\n Retry_Limit no_retries\n";
    let mut agent = start(folder.path(), 128, conf);
    assert!(agent.wait_for("32 files are followed, as many as"));
    let out = folder.path().join("out");
    wait_until("a line of each file", || count(&out, "line") == 32);
    // Those that are there still come as soon as there is room.
    for n in (0..100).filter(|n| count(&out, &format!("line {n}.")) == 1).collect::<Vec<_>>() {
        fs::remove_file(path(n)).unwrap();
    }
    wait_until("lines of other files", || count(&out, "line") == 64);
    let run = agent.terminate();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("oo many open files"), "{}", run.stderr);
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 64; ulimit -Hn 200; exec \"$0\" -i dummy -o null"]);
    command.arg(env!("CARGO_BIN_EXE_flb-agent")).current_dir(folder.path());
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let mut agent = Program::start(&mut command);
    assert!(agent.wait_for("version="));
    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("200"), "{line}");
    assert_eq!(agent.terminate().code, Some(0));
}
