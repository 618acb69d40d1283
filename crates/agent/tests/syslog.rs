//! The syslog input and real clients: logger, rsyslog and syslog-ng, over every transport. A client that is neither installed nor
//! brought is skipped, with a word.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flb_testkit::Program;
use flb_testkit::servers::{self, free_port};
use serde_json::Value;

/// Messages that each client sends; as many datagrams have room in the system's memory for a socket.
const MESSAGES: usize = 100;

const PARSERS: &str = r"
[PARSER]
    Name         syslog-rfc5424
    Format       regex
    Regex        ^<(?<pri>\d+)>1 (?<time>\S+) (?<host>\S+) (?<ident>\S+) (?<pid>\S+) (?<msgid>\S+) (?<extradata>-|(?:\[.*?\])+) (?:\xEF\xBB\xBF)?(?<message>.*)$
    Time_Key     time
    Time_Format  %Y-%m-%dT%H:%M:%S.%L%z

[PARSER]
    Name         syslog-rfc3164
    Format       regex
    Regex        ^<(?<pri>\d+)>(?<time>\w+ [ \d]\d \S+) (?<host>\S+) (?<ident>[^:\[ ]+)(?:\[(?<pid>\d+)\])?: ?(?<message>.*)$
    Time_Key     time
    Time_Format  %b %d %H:%M:%S

[PARSER]
    Name         syslog-rfc3164-local
    Format       regex
    Regex        ^<(?<pri>\d+)>(?<time>\w+ [ \d]\d \S+) (?:\S+ )?(?<ident>[^:\[ ]+)(?:\[(?<pid>\d+)\])?: ?(?<message>.*)$
    Time_Key     time
    Time_Format  %b %d %H:%M:%S
";

/// Where an agent listens.
struct Place {
    folder: tempfile::TempDir,
    port: u16,
}

impl Place {
    /// A folder with what is to be sent and a certificate for `localhost`; a port that was free a moment ago.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let lines: String = (0..MESSAGES).map(|n| format!("message {n} of a test\n")).collect();
        for (name, text) in [
            ("parsers.conf", PARSERS.to_owned()),
            ("lines", lines),
            ("crt.pem", made.cert.pem()),
            ("key.pem", made.signing_key.serialize_pem()),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder, port }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A text with the port and the folder in it.
    fn fill(&self, text: &str) -> String {
        let folder = self.path().to_str().unwrap();
        text.replace("{port}", &self.port.to_string()).replace("{folder}", folder)
    }

    /// An agent whose input has these options.
    fn agent(&self, input: &str) -> Program {
        let conf = format!(
            "[SERVICE]\n    Flush 0.05\n    Hot_Reload on\n    Parsers_File parsers.conf\n\
             [INPUT]\n    Name syslog\n    Listen 127.0.0.1\n    Port {{port}}\n    {}\n\
             [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n",
            input.replace("; ", "\n    ")
        );
        fs::write(self.path().join("agent.conf"), self.fill(&conf)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
        command.args(["-c", "agent.conf"]).current_dir(self.path());
        command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
        let mut agent = Program::start(&mut command);
        assert!(agent.wait_for("listening on"));
        agent
    }

    /// Runs an agent while `client` sends the lines: each comes out once, in order, parsed.
    #[track_caller]
    fn check(&self, input: &str, client: impl FnOnce() -> Option<Program>) {
        let mut agent = self.agent(input);
        let client = client();
        agent.wait_for_output(&format!("message {} of a test", MESSAGES - 1));
        let client = client.map(Program::terminate);
        let run = agent.terminate();
        run.check(0, &[]);
        let records = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let records: Vec<Value> =
            records.filter(|record| record["message"].as_str().is_none_or(is_ours)).collect();
        assert_eq!(records.len(), MESSAGES, "{client:?}\n{}\n{}", run.stdout, run.stderr);
        for (n, record) in records.iter().enumerate() {
            assert_eq!(record["message"], format!("message {n} of a test"), "{record}");
            assert_eq!((&record["ident"], &record["pri"]), (&"tester".into(), &"13".into()));
        }
        assert!(!run.stderr.contains("unparsed"), "{}", run.stderr);
    }
}

/// Daemons say that they have started, too.
fn is_ours(message: &str) -> bool {
    message.starts_with("message ")
}

fn logger(input: &str, arguments: &str) {
    if Command::new("logger").arg("--version").output().is_err() {
        return eprintln!("SKIPPED: there is no logger here");
    }
    let place = Place::new();
    place.check(input, || {
        let arguments = place.fill(arguments);
        let mut command = Command::new("logger");
        command.args(["-t", "tester", "-p", "user.notice"]).args(arguments.split_whitespace());
        let lines = fs::File::open(place.path().join("lines")).unwrap();
        assert!(command.stdin(lines).status().unwrap().success());
        None
    });
}

#[test]
fn logger_sends_over_every_transport() {
    let host = "--server 127.0.0.1 --port {port}";
    logger("Mode udp", &format!("--udp --rfc5424 {host}"));
    logger("Mode udp; Parser syslog-rfc3164", &format!("--udp --rfc3164 {host}"));
    logger("Mode tcp", &format!("--tcp --rfc5424 {host}"));
    logger("Mode tcp; Parser syslog-rfc3164", &format!("--tcp --rfc3164 {host}"));
    let octets = format!("--tcp --rfc5424 --octet-count {host}");
    logger("Mode tcp; Format octet_counting", &octets);
    logger("Path {folder}/log", "--socket {folder}/log");
    logger("Mode unix_tcp; Path {folder}/log", "--tcp --socket {folder}/log");
}

fn rsyslog(input: &str, action: &str) {
    let Some((mut command, driver)) = servers::rsyslog() else { return };
    let place = Place::new();
    place.check(input, || {
        let conf = place.fill(&format!(
            r#"global(workDirectory="{{folder}}" defaultNetstreamDriverCAFile="{{folder}}/crt.pem")
            module(load="imfile")
            module(load="omuxsock")
            input(type="imfile" file="{{folder}}/lines" tag="tester:" severity="notice" facility="user")
            template(name="local" type="string" string="<%PRI%>%TIMESTAMP% %syslogtag%%msg:::sp-if-no-1st-sp%%msg%")
            if $programname == "tester" then {{ {} }}
            "#,
            action.replace("{driver}", driver)
        ));
        let file = place.path().join("rsyslog.conf");
        fs::write(&file, conf).unwrap();
        command.arg("-n").arg("-f").arg(file).arg("-i").arg(place.path().join("pid"));
        Some(Program::start(&mut command))
    });
}

#[test]
fn rsyslog_sends_over_every_transport() {
    let send = |options: &str| {
        format!(r#"action(type="omfwd" target="localhost" port="{{port}}" {options})"#)
    };
    let new = r#"template="RSYSLOG_SyslogProtocol23Format""#;
    let old = r#"template="RSYSLOG_TraditionalForwardFormat""#;
    rsyslog("Mode udp", &send(&format!(r#"protocol="udp" {new}"#)));
    rsyslog("Mode udp; Parser syslog-rfc3164", &send(&format!(r#"protocol="udp" {old}"#)));
    rsyslog("Mode tcp", &send(&format!(r#"protocol="tcp" {new}"#)));
    let octets = format!(r#"protocol="tcp" tcp_framing="octet-counted" {new}"#);
    rsyslog("Mode tcp; Format octet_counting", &send(&octets));
    let tls = r#"streamDriver="{driver}" streamDriverMode="1" streamDriverAuthMode="x509/name" streamDriverPermittedPeers="localhost""#;
    let secure = "Mode tcp; tls on; tls.crt_file crt.pem; tls.key_file key.pem";
    rsyslog(secure, &send(&format!(r#"protocol="tcp" {tls} {new}"#)));
    rsyslog("Path {folder}/log", "$OMUxSockSocket {folder}/log\n*.* :omuxsock:;local\n");
}

fn syslog_ng(input: &str, destination: &str) {
    let Some(mut command) = servers::syslog_ng() else { return };
    let place = Place::new();
    place.check(input, || {
        let conf = place.fill(&format!(
            "@version: 3.38\noptions {{ stats-freq(0); }};\n\
             source s {{ file(\"{{folder}}/lines\" flags(no-parse) program-override(\"tester\")\n\
             default-priority(notice) default-facility(user) read-old-records(yes)); }};\n\
             destination d {{ {destination} }};\nlog {{ source(s); destination(d); }};\n"
        ));
        let file = place.path().join("syslog-ng.conf");
        fs::write(&file, conf).unwrap();
        command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(file);
        for (option, name) in [("--persist-file", "p"), ("--pidfile", "pid"), ("--control", "c")] {
            command.arg(option).arg(place.path().join(name));
        }
        Some(Program::start(&mut command))
    });
}

#[test]
fn syslog_ng_sends_over_every_transport() {
    let old = "Parser syslog-rfc3164";
    let network = |more: &str| format!("network(\"localhost\" port({{port}}) {more});");
    syslog_ng(&format!("Mode udp; {old}"), &network("transport(\"udp\")"));
    syslog_ng(&format!("Mode tcp; {old}"), &network("transport(\"tcp\")"));
    let syslog = "syslog(\"localhost\" port({port}) transport(\"tcp\"));";
    syslog_ng("Mode tcp; Format octet_counting", syslog);
    let secure = "tls on; tls.crt_file crt.pem; tls.key_file key.pem";
    let tls = "transport(\"tls\") tls(ca-file(\"{folder}/crt.pem\"))";
    syslog_ng(&format!("Mode tcp; {old}; {secure}"), &network(tls));
    syslog_ng("Path {folder}/log", "unix-dgram(\"{folder}/log\");");
    syslog_ng("Mode unix_tcp; Path {folder}/log", "unix-stream(\"{folder}/log\");");
}

/// Reloads while a client sends; none of its messages is lost or comes twice.
#[test]
fn a_reload_loses_no_datagram_and_no_connection() {
    use std::io::Write as _;
    use std::net::{TcpStream, UdpSocket};
    for mode in ["udp", "tcp"] {
        let place = Place::new();
        let mut agent = place.agent(&format!("Mode {mode}; Parser syslog-rfc3164-local"));
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut stream =
            (mode == "tcp").then(|| TcpStream::connect(("127.0.0.1", place.port)).unwrap());
        let mut send = |n: usize| {
            let message = format!("<13>Dec  1 10:00:00 tester: message {n} of a test\n");
            match &mut stream {
                Some(stream) => stream.write_all(message.as_bytes()).unwrap(),
                None => {
                    datagrams.send_to(message.as_bytes(), ("127.0.0.1", place.port)).unwrap();
                }
            }
        };
        (0..50).for_each(&mut send);
        agent.wait_for_output("message 49 of a test");
        agent.signal("HUP");
        (50..150).for_each(&mut send);
        assert!(agent.wait_for("[reload] start everything"));
        (150..200).for_each(&mut send);
        agent.wait_for_output("message 199 of a test");
        let run = agent.terminate();
        let messages: Vec<String> = run
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].to_string())
            .collect();
        let expected: Vec<String> =
            (0..200).map(|n| format!("\"message {n} of a test\"")).collect();
        assert_eq!(messages, expected, "{mode}\n{}", run.stderr);
    }
}
