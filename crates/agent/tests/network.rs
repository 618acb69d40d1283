//! Agents that talk to each other, and to clients, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use flb_testkit::Program;

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
