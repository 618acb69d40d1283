//! Agents that talk to each other, and to clients, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flb_testkit::Program;

/// Longer than anything takes here, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent with this configuration.
fn start(folder: &Path, name: &str, conf: &str) -> Program {
    let conf = format!("[SERVICE]\n    Flush 0.05\n{conf}");
    fs::write(folder.join(name), conf).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", name]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command)
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A certificate for `localhost` and its key, as files.
fn certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("crt.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// Lines go from one agent to another, and come out as they went in.
fn forward(input: &str, output: &str) {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let port = free_port();
    let lines: Vec<String> =
        (0..500).map(|n| format!("{{\"n\":{n},\"text\":\"x\\ny\"}}")).collect();
    fs::write(folder.path().join("lines"), lines.join("\n") + "\n").unwrap();
    let mut receiver = start(
        folder.path(),
        "receiver.conf",
        &format!(
            "[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n{input}\
             [OUTPUT]\n    Name stdout\n    Match a.*\n    Format json_lines\n    json_date_key off\n"
        ),
    );
    assert!(receiver.wait_for("listening on"));
    let sender = start(
        folder.path(),
        "sender.conf",
        &format!(
            "[INPUT]\n    Name tail\n    Tag a.b\n    Path lines\n    Parser json\n    Read_From_Head on\n    Exit_On_Eof on\n\
             [OUTPUT]\n    Name forward\n    Match *\n    Host localhost\n    Port {port}\n    Require_Ack_Response on\n{output}"
        ),
    );
    let sent = sender.finish();
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    assert!(!sent.stderr.contains("retry"), "{}", sent.stderr);
    receiver.signal("TERM");
    let received = receiver.finish();
    assert_eq!(received.code, Some(0), "{}", received.stderr);
    let got: Vec<&str> = received.stdout.lines().collect();
    assert_eq!(got, lines);
}

#[test]
fn records_go_from_agent_to_agent() {
    forward("", "");
}

#[test]
fn records_go_from_agent_to_agent_compressed_and_secured() {
    forward(
        "    Shared_Key secret\n    Security.Users me pass\n    tls on\n    tls.crt_file crt.pem\n    tls.key_file key.pem\n",
        "    Shared_Key secret\n    Username me\n    Password pass\n    Compress gzip\n    tls on\n    tls.ca_file crt.pem\n",
    );
}

#[test]
fn a_receiver_that_comes_late_gets_everything() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut sender = start(
        folder.path(),
        "sender.conf",
        &format!(
            "    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name dummy\n    Samples 1\n    Flush_On_Startup on\n\
             [OUTPUT]\n    Name forward\n    Match *\n    Port {port}\n    Retry_Limit no_limits\n"
        ),
    );
    assert!(sender.wait_for("failed to flush chunk"));
    let receiver = start(
        folder.path(),
        "receiver.conf",
        &format!(
            "[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
        ),
    );
    assert!(sender.wait_for("succeeded at retry"));
    sender.signal("TERM");
    receiver.signal("TERM");
    let received = receiver.finish();
    assert_eq!(received.stdout.lines().count(), 1, "{}", received.stderr);
    assert!(received.stdout.contains("\"message\":\"dummy\""));
    assert_eq!(sender.finish().code, Some(0));
}

/// The lines of a file, each as often as it came first.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut seen = BTreeSet::new();
    // What is being written at this moment has no end yet.
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter(|line| seen.insert(line.to_owned())).map(str::to_owned).collect()
}

#[test]
fn a_receiver_that_is_down_for_a_while_loses_nothing_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let port = free_port();
    let receiver = format!(
        "[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n\
         [OUTPUT]\n    Name file\n    Match *\n    Path received\n    Mkdir on\n    Format template\n    Template {{log}}\n"
    );
    let sender = format!(
        "    scheduler.base 1\n    scheduler.cap 1\n\
         [INPUT]\n    Name tail\n    Tag *\n    Path *.log\n    Read_From_Head on\n    Refresh_Interval 0.1\n\
         [OUTPUT]\n    Name forward\n    Match *\n    Port {port}\n    Require_Ack_Response on\n    Retry_Limit no_limits\n\
         [OUTPUT]\n    Name file\n    Match *\n    Path other\n    Mkdir on\n    Format template\n    Template {{log}}\n"
    );
    let mut logs = ["a.log", "b.log"].map(|name| fs::File::create(path(name)).unwrap());
    let mut written: Vec<String> = Vec::new();
    let mut write = |count: usize| {
        for n in (written.len()..).take(count) {
            written.push(format!("line {n}."));
            logs.iter_mut().for_each(|log| writeln!(log, "line {n}.").unwrap());
        }
        written.clone()
    };
    // Each file has its tag, and each tag its file.
    let wait_for = |place: &str, written: &[String]| {
        for tag in ["a.log", "b.log"] {
            let begun = Instant::now();
            while lines(&path(place).join(tag)) != written {
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{place}/{tag}: {:?}",
                    lines(&path(place).join(tag))
                );
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    };
    let mut first = start(folder.path(), "receiver.conf", &receiver);
    assert!(first.wait_for("listening on"));
    let mut sender = start(folder.path(), "sender.conf", &sender);
    wait_for("received", &write(100));
    assert_eq!(first.terminate().code, Some(0));
    for _ in 0..3 {
        // The other output has everything while this one is put off.
        wait_for("other", &write(100));
        assert!(sender.wait_for("failed to flush chunk"));
    }
    let second = start(folder.path(), "receiver.conf", &receiver);
    wait_for("received", &write(100));
    wait_for("other", &write(0));
    let sent = sender.terminate();
    assert_eq!(sent.code, Some(0));
    assert!(!sent.stderr.contains("lost"), "{}", sent.stderr);
    assert_eq!(second.terminate().code, Some(0));
}

#[test]
fn a_port_in_use_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let conf = format!(
        "[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n[OUTPUT]\n    Name null\n    Match *\n"
    );
    let run = start(folder.path(), "x.conf", &conf).finish();
    assert_eq!(run.code, Some(255), "{}", run.stderr);
    for words in [&format!("cannot listen on 127.0.0.1:{port}"), "another program"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    let mut dry = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    dry.args(["-c", "x.conf", "--dry-run"]).current_dir(folder.path());
    dry.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let dry = Program::start(&mut dry).finish();
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
}

#[test]
fn what_a_client_sent_comes_out_when_the_agent_stops() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut agent = start(
        folder.path(),
        "x.conf",
        &format!(
            "[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n\
             [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    json_date_key off\n"
        ),
    );
    assert!(agent.wait_for("listening on"));
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"first\nsecond").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    // The agent closes its side when it has taken everything.
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    agent.signal("TERM");
    let run = agent.finish();
    assert_eq!(run.stdout, "{\"log\":\"first\"}\n{\"log\":\"second\"}\n", "{}", run.stderr);
}
