//! Kafka through whole agents, at a real broker: from one to the other, members of a group that are killed, a broker that is away.

#![cfg(feature = "kafka")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flb_testkit::Program;
use flb_testkit::servers::{self, free_port};
use tempfile::TempDir;

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent with this configuration, at work in the folder.
fn start(folder: &Path, name: &str, configuration: &str) -> Program {
    fs::write(folder.join(name), configuration).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    agent.args(["-c", name]).current_dir(folder).env_remove("HOME").env_remove("XDG_CACHE_HOME");
    Program::start(&mut agent)
}

fn wait_until(what: &str, fact: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "{what}: that does not happen");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What sends the lines of `lines.log` to the topic `t`.
fn sender(port: u16) -> String {
    format!(
        "[SERVICE]\n Flush 0.05\n storage.path sender\n scheduler.base 1\n scheduler.cap 1\n\
         [INPUT]\n Name tail\n Path lines.log\n Read_From_Head on\n Refresh_Interval 1\n DB tail.db\n Tag t\n \
         storage.type filesystem\n\
         [OUTPUT]\n Name kafka\n Match *\n Brokers 127.0.0.1:{port}\n Topics t\n Format raw\n Raw_Log_Key log\n \
         Message_Key_Field log\n Retry_Limit no_limits\n rdkafka.message.timeout.ms 3000\n \
         rdkafka.reconnect.backoff.max.ms 500\n"
    )
}

/// A member of the group that writes what it reads of the topic `t` to a file of its own name.
fn member(port: u16, name: &str) -> String {
    format!(
        "[SERVICE]\n Flush 0.05\n storage.path {name}.chunks\n\
         [INPUT]\n Name kafka\n Brokers 127.0.0.1:{port}\n Topics t\n Poll_Ms 50\n Tag t\n storage.type filesystem\n \
         rdkafka.auto.offset.reset earliest\n rdkafka.session.timeout.ms 2000\n \
         rdkafka.heartbeat.interval.ms 300\n rdkafka.topic.metadata.refresh.interval.ms 1000\n\
         [OUTPUT]\n Name file\n Match *\n File {name}\n Format plain\n"
    )
}

/// How often each line came, in all these files.
fn came(folder: &Path, names: &[&str]) -> BTreeMap<usize, usize> {
    let mut came = BTreeMap::new();
    for name in names {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        let payloads = text.lines().filter_map(|line| line.split_once(r#""payload":"line "#));
        let numbers = payloads.filter_map(|(_, rest)| rest.split_once('"')?.0.parse().ok());
        numbers.for_each(|number| *came.entry(number).or_default() += 1);
    }
    came
}

fn append(folder: &Path, lines: std::ops::Range<usize>) {
    let file = fs::OpenOptions::new().append(true).create(true).open(folder.join("lines.log"));
    let text: String = lines.map(|n| format!("line {n}\n")).collect();
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn records_go_through_a_broker_from_agent_to_agent() {
    let Some(broker) = servers::kafka(free_port()) else { return };
    let folder = tempfile::tempdir().unwrap();
    for topic in ["logs", "orders"] {
        servers::kafka_topic(&broker, topic, 1);
    }
    let port = broker.port;
    let reader = format!(
        "[SERVICE]\n Flush 0.05\n\
         [INPUT]\n Name kafka\n Brokers 127.0.0.1:{port}\n Topics logs,orders\n Format json\n Poll_Ms 20\n \
         rdkafka.auto.offset.reset earliest\n\
         [OUTPUT]\n Name stdout\n Match *\n Format json_lines\n"
    );
    let mut reader = start(folder.path(), "reader.conf", &reader);
    let writer = format!(
        "[SERVICE]\n Flush 0.05\n\
         [INPUT]\n Name dummy\n Samples 1\n Dummy {{\"log\":\"é\",\"n\":1}}\n\
         [INPUT]\n Name dummy\n Samples 1\n Dummy {{\"topic\":\"orders\",\"n\":2}}\n\
         [OUTPUT]\n Name kafka\n Match *\n Brokers 127.0.0.1:{port}\n Topics logs\n Topic_Key topic\n \
         Dynamic_Topic on\n Message_Key all\n rdkafka.compression.codec lz4\n"
    );
    let writer = start(folder.path(), "writer.conf", &writer);
    for words in [
        r#""topic":"logs","partition":0,"offset":0,"error":null,"key":"all","payload":{"@timestamp":"#,
        r#""log":"\u00e9","n":1}"#,
        r#""topic":"orders","partition":0,"offset":0,"error":null,"key":"all","payload":{"@timestamp":"#,
        r#""topic":"orders","n":2}"#,
    ] {
        reader.wait_for_output(words);
    }
    for agent in [writer, reader] {
        agent.signal("TERM");
        assert_eq!(agent.finish().code, Some(0));
    }
}

#[test]
fn members_of_a_group_lose_nothing_when_one_is_killed() {
    const LINES: usize = 20_000;
    let Some(broker) = servers::kafka(free_port()) else { return };
    servers::kafka_topic(&broker, "t", 4);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sender = start(folder, "sender.conf", &sender(broker.port));
    let stays = start(folder, "stays.conf", &member(broker.port, "stays"));
    let dies = start(folder, "dies.conf", &member(broker.port, "dies"));
    append(folder, 0..LINES / 2);
    wait_until("both read", || {
        !came(folder, &["stays"]).is_empty() && !came(folder, &["dies"]).is_empty()
    });
    append(folder, LINES / 2..LINES);
    dies.signal("KILL");
    dies.finish();
    // What it had stored and not written is its next life's.
    let dies = start(folder, "dies.conf", &member(broker.port, "dies"));
    wait_until("every line comes", || came(folder, &["stays", "dies"]).len() == LINES);
    for agent in [sender, stays, dies] {
        agent.signal("TERM");
        let run = agent.finish();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    let came = came(folder, &["stays", "dies"]);
    let again = came.values().map(|times| times - 1).sum::<usize>();
    println!("{LINES} lines, 0 lost, {again} came again");
    assert!(again < LINES / 2, "{again} came again");
}

#[test]
fn a_broker_that_is_away_for_a_while_loses_nothing() {
    const LINES: usize = 3000;
    let (port, front) = (free_port(), free_port());
    let Some(broker) = servers::kafka_behind(port, front, &[]) else { return };
    servers::kafka_topic(&broker, "t", 1);
    let gate = Gate::open(front, port);
    let (folder, stays) = (tempfile::tempdir().unwrap(), "stays");
    let folder: &TempDir = &folder;
    let sender = start(folder.path(), "sender.conf", &sender(front));
    let reader = start(folder.path(), "reader.conf", &member(front, stays));
    append(folder.path(), 0..LINES / 2);
    wait_until("lines come", || !came(folder.path(), &[stays]).is_empty());
    gate.set_open(false);
    append(folder.path(), LINES / 2..LINES);
    // Longer than a message waits before it comes again.
    thread::sleep(Duration::from_secs(5));
    gate.set_open(true);
    wait_until("every line comes", || came(folder.path(), &[stays]).len() == LINES);
    for agent in [sender, reader] {
        agent.signal("TERM");
        let run = agent.finish();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
}

#[test]
fn whoever_may_not_in_is_told_what_to_check() {
    let port = free_port();
    let Some(_broker) = servers::kafka_behind(port, port, &["--authentication"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let writer = format!(
        "[SERVICE]\n Flush 0.05\n[INPUT]\n Name dummy\n\
         [OUTPUT]\n Name kafka\n Match *\n Brokers 127.0.0.1:{port}\n rdkafka.security.protocol sasl_plaintext\n \
         rdkafka.sasl.mechanism PLAIN\n rdkafka.sasl.username jane\n rdkafka.sasl.password hush\n"
    );
    let mut writer = start(folder.path(), "writer.conf", &writer);
    assert!(writer.wait_for("check rdkafka.security.protocol, and rdkafka.sasl.mechanism"));
    writer.signal("KILL");
    assert!(!writer.finish().stderr.contains("hush"));
}

/// What stands before the broker, and can be shut: then all connections end, and none begins.
#[derive(Clone)]
struct Gate(Arc<Mutex<State>>);

struct State {
    is_open: bool,
    streams: Vec<TcpStream>,
}

impl Gate {
    /// Passes on from `front` to `port`.
    fn open(front: u16, port: u16) -> Self {
        let gate = Self(Arc::new(Mutex::new(State { is_open: true, streams: Vec::new() })));
        let listener = TcpListener::bind(("127.0.0.1", front)).unwrap();
        let own = gate.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = own.0.lock().unwrap();
                if !state.is_open {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                state.streams.extend([client, server]);
            }
        });
        gate
    }

    fn set_open(&self, is_open: bool) {
        let mut state = self.0.lock().unwrap();
        state.is_open = is_open;
        if !is_open {
            state.streams.drain(..).for_each(|stream| {
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    }
}
