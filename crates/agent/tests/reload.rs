//! Another configuration while the agent runs: real signals, real requests, and no record lost or seen twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flb_testkit::Program;
use tempfile::TempDir;

const AGENT: &str = env!("CARGO_BIN_EXE_flb-agent");

/// An agent at work in a folder of its own, with its configuration there.
struct Agent {
    program: Program,
    folder: TempDir,
    /// Of the HTTP server.
    port: u16,
}

/// The service section of an agent that may be reloaded and is asked by HTTP.
const SERVICE: &str = "[SERVICE]\n Flush 0.05\n Hot_Reload on\n HTTP_Server on\n HTTP_Listen 127.0.0.1\n HTTP_Port 0\n";

impl Agent {
    fn start(pipeline: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), pipeline)
    }

    fn start_in(folder: TempDir, pipeline: &str) -> Self {
        configure(folder.path(), pipeline);
        let mut program = Program::start(&mut command(folder.path()));
        let line = program.line_with("tcp_port=").unwrap();
        let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
        Self { program, folder, port }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, pipeline: &str) {
        configure(self.folder.path(), pipeline);
    }

    /// Asks for a reload and waits for what becomes of it: the status of the answer, and its body.
    fn reload(&self) -> (u16, String) {
        ask(self.port, "POST", "/api/v2/reload")
    }

    fn reload_well(&self) {
        assert_eq!(self.reload(), (200, r#"{"reload":"done","status":0}"#.to_owned()));
    }

    /// A metric's value.
    fn metric(&self, name: &str) -> u64 {
        let (_, text) = ask(self.port, "GET", "/api/v2/metrics");
        // With the labels that are given, or with any.
        let is_it = |line: &str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let line = text.lines().find(|line| is_it(line));
        line.unwrap_or_else(|| panic!("{name}: {text}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The numbers in the lines of a file that an output writes.
    fn numbers(&self, name: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().filter_map(number).collect()
    }
}

fn configure(folder: &Path, pipeline: &str) {
    fs::write(folder.join("next.conf"), format!("{SERVICE}{pipeline}")).unwrap();
    fs::rename(folder.join("next.conf"), folder.join("agent.conf")).unwrap();
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(AGENT);
    command.args(["-c", "agent.conf"]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    command
}

/// The status and the body of an answer.
fn ask(port: u16, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The number in `...n=17;...`.
fn number(line: &str) -> Option<u64> {
    line.split_once("n=")?.1.split_once(';')?.0.parse().ok()
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| format!("n={n};\n")).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn wait_until(what: &str, fact: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fact() {
        assert!(Instant::now() < deadline, "{what}: that does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const DUMMY: &str = "[INPUT]\n Name dummy\n Samples 1\n Flush_On_Startup on\n";
const NULL: &str = "[OUTPUT]\n Name null\n Match *\n";

#[test]
fn a_signal_and_a_request_put_another_configuration_to_work() {
    let mut agent = Agent::start(&format!("{DUMMY}{NULL}"));
    agent.configure(&format!("{DUMMY} Alias second\n{NULL}"));
    agent.program.signal("HUP");
    assert!(agent.program.wait_for("[engine] caught signal (SIGHUP)"));
    assert!(agent.program.wait_for("[reload] reloading instance pid="));
    assert!(agent.program.wait_for("[reload] start everything"));
    wait_until("the second input", || {
        ask(agent.port, "GET", "/api/v1/metrics").1.contains("\"second\":{\"bytes\"")
    });
    for method in ["POST", "PUT"] {
        let answer = ask(agent.port, method, "/api/v2/reload");
        assert_eq!(answer, (200, r#"{"reload":"done","status":0}"#.to_owned()));
    }
    let count = ask(agent.port, "GET", "/api/v2/reload");
    assert_eq!(count, (200, r#"{"hot_reload_count":3}"#.to_owned()));
    assert_eq!(ask(agent.port, "DELETE", "/api/v2/reload").0, 405);
    assert_eq!(agent.metric("fluentbit_hot_reloaded_times"), 3);
    assert_eq!(agent.program.terminate().code, Some(0));
}

#[test]
fn a_wrong_configuration_leaves_the_old_one_at_work() {
    let mut agent = Agent::start(&format!("{DUMMY}{NULL}"));
    for (wrong, words) in [
        ("[INPUT]\n Name dumy\n", "did you mean 'dummy'?"),
        ("[INPUT]\n Name dummy\n Rat 1\n", "unknown configuration property 'rat'"),
        ("[INPUT]\n Name tail\n", "no input 'path' was given"),
        ("[FILTER]\n Name wasm\n Match *\n WASM_Path no.wasm\n Function_Name f\n", "no.wasm"),
    ] {
        agent.configure(wrong);
        assert_eq!(agent.reload(), (400, r#"{"reload":"failed","status":-3}"#.to_owned()));
        assert!(agent.program.wait_for(words), "{words}");
        assert!(agent.program.wait_for("[reload] reloaded config is invalid. Reloading is halted"));
    }
    fs::remove_file(agent.path("agent.conf")).unwrap();
    agent.program.signal("HUP");
    assert!(agent.program.wait_for("could not open configuration file"));
    assert!(agent.program.wait_for("Reloading is halted"));
    agent.configure(&format!("{DUMMY}{NULL}"));
    agent.reload_well();
    assert_eq!(agent.metric("flb_reload_failures_total"), 5);
    assert_eq!(agent.metric("fluentbit_hot_reloaded_times"), 1);
    let run = agent.program.terminate();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn nothing_happens_where_reloading_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let service = SERVICE.replace("Hot_Reload on", "Hot_Reload off");
    fs::write(folder.path().join("agent.conf"), format!("{service}{DUMMY}{NULL}")).unwrap();
    let mut program = Program::start(&mut command(folder.path()));
    let line = program.line_with("tcp_port=").unwrap();
    let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    let refused = (400, r#"{"reload":"not enabled","status":-1}"#.to_owned());
    assert_eq!(ask(port, "POST", "/api/v2/reload"), refused);
    program.signal("HUP");
    assert!(program.wait_for("[reload] hot reloading is not enabled"));
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn the_command_line_can_allow_it_and_be_all_there_is() {
    let mut command = Command::new(AGENT);
    command.args(["-Y", "-i", "dummy", "-o", "null", "-m", "*"]);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    let mut program = Program::start(&mut command);
    assert!(program.wait_for("[flb-agent] version="));
    program.signal("HUP");
    assert!(program.wait_for("[reload] start everything"));
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn the_http_server_follows_its_settings() {
    let agent = Agent::start(&format!("{DUMMY}{NULL}"));
    assert_eq!(ask(agent.port, "GET", "/api/v1/health").0, 404);
    agent.configure(&format!("[SERVICE]\n Health_Check on\n{DUMMY}{NULL}"));
    agent.reload_well();
    wait_until("the health", || ask(agent.port, "GET", "/api/v1/health").0 == 200);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    agent.configure(&format!("[SERVICE]\n HTTP_Port {port}\n{DUMMY}{NULL}"));
    assert_eq!(agent.reload().0, 400);
    drop(taken);
    agent.reload_well();
    assert_eq!(ask(port, "GET", "/api/v2/reload").1, r#"{"hot_reload_count":2}"#);
    assert_eq!(agent.program.terminate().code, Some(0));
}

#[test]
fn the_old_port_is_closed_also_while_requests_are_half_sent() {
    let agent = Agent::start(&format!("{DUMMY}{NULL}"));
    let mut half = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
    half.write_all(b"GET /api/v1/upt").unwrap();
    let port = free_port();
    agent.configure(&format!("[SERVICE]\n HTTP_Port {port}\n{DUMMY}{NULL}"));
    agent.reload_well();
    wait_until("the old port is closed", || TcpStream::connect(("127.0.0.1", agent.port)).is_err());
    // So is the connection, long before its client has had its time.
    half.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(
        !matches!(half.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    );
    assert_eq!(ask(port, "GET", "/api/v2/reload").1, r#"{"hot_reload_count":1}"#);
    assert_eq!(agent.program.terminate().code, Some(0));
}

/// A tail of `log` into a file, and a filter that may differ.
fn tail_to_file(key: &str) -> String {
    format!(
        "[INPUT]\n Name tail\n Path log\n Read_From_Head on\n Refresh_Interval 1\n\
         [FILTER]\n Name modify\n Match *\n Add {key} x\n\
         [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
    )
}

#[test]
fn reading_goes_on_under_load_through_good_and_bad_reloads() {
    const RELOADS: u64 = 60;
    const LINES: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("log"), &lines(0..LINES));
    let agent = Agent::start_in(folder, &tail_to_file("k"));
    for reload in 1..=RELOADS {
        append(&agent.path("log"), &lines(reload * LINES..(reload + 1) * LINES));
        if reload % 2 == 0 {
            agent.configure("[INPUT]\n Name nothing\n");
            assert_eq!(agent.reload().0, 400);
        } else {
            agent.configure(&tail_to_file(&format!("k{reload}")));
            agent.reload_well();
        }
    }
    let all: Vec<u64> = (0..(RELOADS + 1) * LINES).collect();
    wait_until("the last line", || agent.numbers("received").len() >= all.len());
    let total = agent.metric("fluentbit_input_records_total{name=\"tail.0\"}");
    assert_eq!(total, all.len() as u64, "counts go on");
    let numbers = agent.numbers("received");
    let run = agent.program.terminate();
    assert_eq!(numbers, all, "{}", run.stderr);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn a_receiver_and_a_sender_are_reloaded_while_records_go_between_them() {
    send_and_reload(" Require_Ack_Response on\n");
}

#[test]
fn connections_go_over_so_nothing_is_lost_that_nobody_acknowledges() {
    send_and_reload("");
}

fn send_and_reload(output: &str) {
    const LINES: u64 = 2000;
    let port = free_port();
    let receiving = format!(
        "[INPUT]\n Name forward\n Listen 127.0.0.1\n Port {port}\n\
         [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
    );
    let receiver = Agent::start(&receiving);
    let sending = format!(
        "[SERVICE]\n scheduler.base 1\n scheduler.cap 1\n[INPUT]\n Name tail\n Path log\n Read_From_Head on\n \
         Refresh_Interval 1\n\
         [OUTPUT]\n Name forward\n Match *\n Port {port}\n Retry_Limit no_limits\n{output}"
    );
    let sender = Agent::start(&sending);
    for part in 0..20 {
        let part = part * LINES / 20..(part + 1) * LINES / 20;
        append(&sender.path("log"), &lines(part));
        receiver.reload_well();
        sender.reload_well();
    }
    let numbers = || receiver.numbers("received");
    wait_until("the last line", || {
        let mut numbers = numbers();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len() as u64 == LINES
    });
    let sent = sender.program.terminate();
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let numbers = numbers();
    let received = receiver.program.terminate();
    assert_eq!(received.code, Some(0));
    assert_eq!(
        numbers.len() as u64,
        LINES,
        "none comes twice: {}\n{}",
        sent.stderr,
        received.stderr
    );
}

#[test]
fn what_an_output_that_is_down_was_owed_goes_to_its_successor() {
    let port = free_port();
    let pipeline = |output: &str, before: &str| {
        format!(
            "[INPUT]\n Name tail\n Path log\n Read_From_Head on\n Tag t\n Mem_Buf_Limit 5k\n{before}\
             [OUTPUT]\n Name file\n Match *\n File first\n Format plain\n{output}"
        )
    };
    let down = format!("[OUTPUT]\n Name forward\n Match *\n Port {port}\n Retry_Limit no_limits\n");
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("log"), &lines(0..1000));
    let mut agent = Agent::start_in(folder, &pipeline(&down, ""));
    assert!(agent.program.wait_for("failed to flush chunk"));
    // The outputs have other numbers now, and no record goes to the first file again.
    agent.configure(&pipeline(&down, NULL));
    agent.reload_well();
    assert!(agent.program.wait_for("failed to flush chunk"));
    // Another output takes the place of the one that is gone.
    agent.configure(&pipeline(
        "[OUTPUT]\n Name file\n Match *\n File second\n Format plain\n",
        NULL,
    ));
    agent.reload_well();
    let all: Vec<u64> = (0..1000).collect();
    for file in ["first", "second"] {
        wait_until(file, || agent.numbers(file).len() >= all.len());
        assert_eq!(agent.numbers(file), all, "{file}");
    }
    assert_eq!(agent.program.terminate().code, Some(0));
}

#[test]
fn an_output_that_is_gone_delivers_what_it_is_owed_if_nobody_else_does() {
    for storage in ["memory", "filesystem"] {
        let port = free_port();
        let service = "[SERVICE]\n Scheduler.Base 1\n Scheduler.Cap 1\n storage.path chunks\n";
        let input = format!(
            "[INPUT]\n Name tail\n Path log\n Tag t\n Read_From_Head on\n storage.type {storage}\n"
        );
        let kept = "[OUTPUT]\n Name null\n Match other\n";
        let down =
            format!("[OUTPUT]\n Name forward\n Match *\n Port {port}\n Retry_Limit no_limits\n");
        let folder = tempfile::tempdir().unwrap();
        append(&folder.path().join("log"), &lines(0..100));
        let mut agent = Agent::start_in(folder, &format!("{service}{input}{kept}{down}"));
        assert!(agent.program.wait_for("failed to flush chunk"));
        // Half of the file is not there yet.
        agent.configure(&format!("{service}{input}{kept}"));
        agent.reload_well();
        assert!(
            agent.program.wait_for("[output:forward:forward.1] is gone from the configuration")
        );
        assert!(agent.program.wait_for("failed to flush chunk"));
        // It gets nothing new.
        append(&agent.path("log"), &lines(100..200));
        assert!(agent.program.wait_for("records of tag 't' match no output"));
        agent.reload_well();
        let receiver = Agent::start(&format!(
            "[INPUT]\n Name forward\n Listen 127.0.0.1\n Port {port}\n\
             [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
        ));
        let all: Vec<u64> = (0..100).collect();
        wait_until("the records", || receiver.numbers("received").len() >= all.len());
        assert_eq!(receiver.numbers("received"), all, "{storage}");
        // Then nothing keeps it any more.
        wait_until("the end of the delivery", || {
            agent.metric("fluentbit_output_proc_records_total{name=\"forward.1\"}") == 100
        });
        agent.reload_well();
        assert!(!ask(agent.port, "GET", "/api/v2/metrics").1.contains("forward.1"));
        assert_eq!(agent.program.terminate().code, Some(0));
        assert_eq!(receiver.program.terminate().code, Some(0));
    }
}

/// What comes of a reload that a signal asks for: whether another configuration is at work.
fn reload_by_signal(program: &mut Program) -> bool {
    program.signal("HUP");
    loop {
        let line = program.line_with("[reload] ").unwrap();
        if line.contains("start everything") || line.contains("Reloading is halted") {
            return line.contains("start everything");
        }
    }
}

#[test]
fn no_half_of_a_file_leaves_an_agent_that_cannot_be_reloaded() {
    // The service section comes last, so all that is less than the whole file says nothing of reloading.
    let whole = "[INPUT]\n Name dummy\n Rate 100\n Dummy {\"a\":\"n=1;\"}\n\
                 [FILTER]\n Name modify\n Match *\n Add b x\n\
                 [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n\
                 [SERVICE]\n Flush 0.05\n Hot_Reload on\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.conf");
    fs::write(&path, whole).unwrap();
    let mut program = Program::start(&mut command(folder.path()));
    assert!(program.wait_for("[flb-agent] version="));
    let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at).collect();
    let halves = ends.iter().flat_map(|end| [&whole[..*end], &whole[..end.saturating_sub(2)]]);
    let mut taken = 0;
    for half in ["", "\n", "[SERVICE]\n Hot_Reload on\n"].into_iter().chain(halves) {
        fs::write(&path, half).unwrap();
        taken += usize::from(reload_by_signal(&mut program));
    }
    assert!(taken > 0);
    fs::write(&path, "[OUTPUT]\n Name null\n Match *\n").unwrap();
    program.signal("HUP");
    assert!(program.wait_for("the configuration has no input"));
    assert!(program.wait_for("Reloading is halted"));
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    program.signal("HUP");
    assert!(program.wait_for("agent.conf cannot be read again"));
    assert!(program.wait_for("Reloading is halted"));
    fs::remove_file(&path).unwrap();
    fs::write(&path, whole).unwrap();
    assert!(reload_by_signal(&mut program));
    let received = folder.path().join("received");
    let size = || fs::metadata(&received).map_or(0, |file| file.len());
    let before = size();
    wait_until("more records", || size() > before);
    // Whoever says so ends it.
    fs::write(&path, whole.replace("Hot_Reload on", "Hot_Reload off")).unwrap();
    assert!(reload_by_signal(&mut program));
    program.signal("HUP");
    assert!(program.wait_for("[reload] hot reloading is not enabled"));
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn a_delivery_that_hangs_is_cut_off_and_begun_again() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    for bound in ["Hot_Reload.Timeout 1", "Hot_Reload.Ensure_Thread_Safety off\n Grace 1"] {
        let pipeline = |output: &str| {
            format!(
                "[SERVICE]\n {bound}\n[INPUT]\n Name tail\n Path log\n Read_From_Head on\n\
                 [OUTPUT]\n Match *\n Alias there\n{output}"
            )
        };
        let folder = tempfile::tempdir().unwrap();
        append(&folder.path().join("log"), &lines(0..100));
        let forward = format!(" Name forward\n Port {port}\n Require_Ack_Response on\n");
        let mut agent = Agent::start_in(folder, &pipeline(&forward));
        let _silent = deaf.accept().unwrap();
        agent.configure(&pipeline(" Name file\n File received\n Format plain\n"));
        agent.reload_well();
        assert!(agent.program.wait_for("deliveries that take too long are cut off"));
        wait_until("the records", || agent.numbers("received").len() == 100);
        assert_eq!(agent.program.terminate().code, Some(0));
    }
}

#[test]
fn a_stop_is_heard_while_a_reload_waits() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    let mut agent = Agent::start(&format!(
        "[SERVICE]\n Grace 1\n{DUMMY}\
         [OUTPUT]\n Name forward\n Match *\n Port {port}\n Require_Ack_Response on\n"
    ));
    let _silent = deaf.accept().unwrap();
    agent.program.signal("HUP");
    assert!(agent.program.wait_for("[reload] reloading instance"));
    let run = agent.program.terminate();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("the grace period is over: "), "{}", run.stderr);
}

#[test]
fn a_log_file_that_was_moved_away_begins_anew() {
    let logging = format!("[SERVICE]\n Log_File agent.log\n{DUMMY}{NULL}");
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &logging);
    let program = Program::start(&mut command(folder.path()));
    let log = folder.path().join("agent.log");
    let says = |words: &str| {
        wait_until(words, || fs::read_to_string(&log).is_ok_and(|text| text.contains(words)));
    };
    says("[http_server] listen");
    fs::rename(&log, folder.path().join("agent.log.1")).unwrap();
    program.signal("HUP");
    says("[reload] start everything");
    fs::write(folder.path().join("agent.conf"), format!("{SERVICE}[INPUT]\n Name dumy\n")).unwrap();
    program.signal("HUP");
    says("did you mean 'dummy'?");
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn what_is_stored_is_found_again_and_delivered() {
    let port = free_port();
    let pipeline = |output: &str| {
        format!(
            "[SERVICE]\n storage.path chunks\n[INPUT]\n Name tail\n Path log\n Read_From_Head on\n \
             storage.type filesystem\n[OUTPUT]\n Match *\n Alias there\n{output}"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("log"), &lines(0..500));
    let down = format!(" Name forward\n Port {port}\n Retry_Limit no_limits\n");
    let mut agent = Agent::start_in(folder, &pipeline(&down));
    assert!(agent.program.wait_for("failed to flush chunk"));
    agent.configure(&pipeline(" Name file\n File received\n Format plain\n"));
    agent.reload_well();
    wait_until("the records", || agent.numbers("received").len() == 500);
    assert_eq!(agent.program.terminate().code, Some(0));
}

#[test]
fn a_reload_does_not_wait_for_a_storage_that_cannot_be_written() {
    let pipeline = |storage: &str| {
        format!(
            "[SERVICE]\n storage.path chunks\n[INPUT]\n Name tail\n Path log\n Read_From_Head on\n \
             storage.type {storage}\n[OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("log"), &lines(0..100));
    // A file stands where the folder of the input's chunks would be.
    fs::create_dir(folder.path().join("chunks")).unwrap();
    fs::write(folder.path().join("chunks/tail.0"), "").unwrap();
    let mut agent = Agent::start_in(folder, &pipeline("filesystem"));
    assert!(agent.program.wait_for("cannot store records of tail.0"));
    agent.configure(&pipeline("memory"));
    agent.reload_well();
    wait_until("the records", || agent.numbers("received").len() >= 100);
    assert_eq!(agent.numbers("received"), (0..100).collect::<Vec<u64>>());
    assert_eq!(agent.program.terminate().code, Some(0));
}

#[test]
fn a_storage_that_another_agent_has_is_refused_before_anything_stops() {
    let stored = |path: &str| format!("[SERVICE]\n storage.path {path}\n{DUMMY}{NULL}");
    let other = Agent::start(&stored("chunks"));
    let taken = other.path("chunks").display().to_string();
    let mut agent = Agent::start(&stored("own"));
    agent.configure(&stored(&taken));
    assert_eq!(agent.reload().0, 400);
    assert!(agent.program.wait_for("is in use by another agent"));
    agent.configure(&stored("own"));
    agent.reload_well();
    assert_eq!(agent.program.terminate().code, Some(0));
    assert_eq!(other.program.terminate().code, Some(0));
}

#[test]
fn standard_input_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    configure(
        folder.path(),
        "[INPUT]\n Name stdin\n[OUTPUT]\n Name file\n Match *\n File received\n Format plain\n",
    );
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" -c agent.conf < pipe", AGENT]).current_dir(folder.path());
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    let mut program = Program::start(&mut command);
    let mut writer = OpenOptions::new().write(true).open(&pipe).unwrap();
    let line = program.line_with("tcp_port=").unwrap();
    let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    for n in 0..20 {
        // A record is cut in two by each reload, and a read is always under way.
        write!(writer, "{{\"a\":\"n={n};\"}}{{\"a\":").unwrap();
        assert_eq!(ask(port, "POST", "/api/v2/reload").0, 200);
        write!(writer, "\"n=100{n};\"}}").unwrap();
    }
    drop(writer);
    let run = program.finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let text = fs::read_to_string(folder.path().join("received")).unwrap();
    let numbers: Vec<u64> = text.lines().filter_map(number).collect();
    let expected: Vec<u64> =
        (0..20_u64).flat_map(|n| [n, format!("100{n}").parse().unwrap()]).collect();
    assert_eq!(numbers, expected, "{}", run.stderr);
}

#[test]
fn a_connection_goes_on_in_the_middle_of_a_line_unless_its_terms_change() {
    let port = free_port();
    let pipeline = |format: &str| {
        format!(
            "[INPUT]\n Name tcp\n Listen 127.0.0.1\n Port {port}\n Format {format}\n\
             [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
        )
    };
    let agent = Agent::start(&pipeline("none"));
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for n in 0..20 {
        write!(client, "n={n}").unwrap();
        agent.reload_well();
        client.write_all(b"7;\n").unwrap();
    }
    wait_until("all lines", || agent.numbers("received").len() == 20);
    let expected: Vec<u64> = (0..20).map(|n| n * 10 + 7).collect();
    assert_eq!(agent.numbers("received"), expected);
    agent.configure(&pipeline("json"));
    agent.reload_well();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "it is closed");
    assert_eq!(agent.program.terminate().code, Some(0));
}

#[test]
fn an_answered_request_is_never_lost_and_a_slow_one_holds_up_nothing() {
    let port = free_port();
    let pipeline = format!(
        "[INPUT]\n Name http\n Listen 127.0.0.1\n Port {port}\n\
         [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
    );
    let agent = Agent::start(&pipeline);
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(slow, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{{").unwrap();
    let posting = std::thread::spawn(move || {
        let mut answered = Vec::new();
        for n in 0..200 {
            if post(port, &format!("{{\"a\":\"n={n};\"}}")).unwrap_or(0) == 201 {
                answered.push(n);
            }
        }
        answered
    });
    while !posting.is_finished() {
        agent.reload_well();
    }
    let answered = posting.join().unwrap();
    let run_numbers = || agent.numbers("received");
    wait_until("all that was answered", || {
        let numbers = run_numbers();
        answered.iter().all(|n| numbers.contains(n))
    });
    let mut numbers = run_numbers();
    numbers.sort_unstable();
    assert!(answered.iter().all(|n| numbers.contains(n)), "{answered:?}: {numbers:?}");
    assert!(numbers.is_sorted_by(|a, b| a < b), "none comes twice: {numbers:?}");
    assert!(!answered.is_empty());
    assert_eq!(agent.program.terminate().code, Some(0));
}

/// A module that replaces every record by one with this number.
fn module(number: u64) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 1024) "{{\22a\22:\22n={number};\22}}\00")
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024)))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn a_watched_filter_is_swapped_alone_and_a_bad_one_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.wasm"), module(1)).unwrap();
    let mut agent = Agent::start_in(
        folder,
        "[INPUT]\n Name dummy\n Rate 100\n\
         [FILTER]\n Name wasm\n Match *\n WASM_Path f.wasm\n Function_Name f\n Watch on\n\
         [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n",
    );
    wait_until("the first module", || agent.numbers("received").last() == Some(&1));
    fs::write(agent.path("new"), module(2)).unwrap();
    fs::rename(agent.path("new"), agent.path("f.wasm")).unwrap();
    let line = agent.program.line_with("f.wasm has changed, and module ").unwrap();
    let digest = line.trim_end().rsplit(' ').nth(2).unwrap();
    wait_until("the second module", || agent.numbers("received").last() == Some(&2));
    let info = format!("flb_filter_module_info{{name=\"wasm.0\",sha256=\"{digest}\"}}");
    wait_until("the metric", || ask(agent.port, "GET", "/api/v2/metrics").1.contains(&info));
    fs::write(agent.path("f.wasm"), &module(3)[..20]).unwrap();
    assert!(agent.program.wait_for("f.wasm has changed and is refused, the old module stays: "));
    fs::write(agent.path("f.wasm"), module(3)).unwrap();
    assert!(agent.program.wait_for("f.wasm has changed, and module "));
    wait_until("the third module", || agent.numbers("received").last() == Some(&3));
    let numbers = agent.numbers("received");
    assert!(numbers.is_sorted() && numbers.iter().all(|number| (1..=3).contains(number)));
    assert_eq!(ask(agent.port, "GET", "/api/v2/reload").1, r#"{"hot_reload_count":0}"#);
    assert_eq!(agent.program.terminate().code, Some(0));
}

/// The status of the answer to a request of JSON.
fn post(port: u16, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
