//! A running agent in the terminal: `top` and `tap`, by a pipe and on a terminal of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use flb_testkit::{Program, get};

/// One output is not there, and the password of its records is nobody's business.
const CONFIG: &str = "\
[SERVICE]
    Flush           0.1
    HTTP_Server     on
    HTTP_Listen     127.0.0.1
    HTTP_Port       0
    Scheduler.Base  600
[INPUT]
    Name     dummy
    Alias    app
    Tag      app
    Rate     100
    Dummy    {\"user\":\"jane\",\"password\":\"hush\",\"level\":\"info\"}
[FILTER]
    Name     grep
    Alias    loud
    Match    app
    Regex    level info
[OUTPUT]
    Name         http
    Alias        siem
    Match        app
    Host         127.0.0.1
    Port         1
    Retry_Limit  no_limits
";

/// An agent with an output in trouble, and its URL.
fn start(tap: &str) -> (Program, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let text = CONFIG.replace("[INPUT]", &format!("    HTTP_Tap {tap}\n[INPUT]"));
    std::fs::write(dir.path().join("agent.conf"), text).unwrap();
    let mut command = agent();
    let mut program = Program::start(command.args(["-c", "agent.conf"]).current_dir(dir.path()));
    let line = program.line_with("tcp_port=").unwrap();
    let port: u16 = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    while !get(port, "/api/v1/pipeline", "").body.contains("\"state\":\"down\"") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    (program, format!("http://127.0.0.1:{port}"), dir)
}

fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    command
}

fn finish(program: Program) {
    program.signal("TERM");
    program.signal("TERM");
    program.finish();
}

fn asked(words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = agent().args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn top_prints_what_is_wrong_and_every_node() {
    let (program, url, _dir) = start("off");
    // Without a terminal it is the same with and without --once.
    for words in [&["top", "--once", &url][..], &["top", &url]] {
        let (code, text, stderr) = asked(words);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{text}");
        for expected in [
            "✕ One thing is wrong now\n✕ down: output siem has taken nothing for ",
            ": 1 try has failed, next try in ",
            "\n    127.0.0.1:1, Connection refused",
            "\ninputs ",
            "\napp (dummy) ",
            "\nfilters ",
            "\nloud (grep) ",
            "\noutputs ",
            "\nsiem (http)               ✕ down ",
        ] {
            assert!(text.contains(expected), "no '{expected}' in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    finish(program);
}

/// What a command prints on a terminal of 100 columns and 30 lines, on which these keys are pressed once this text stands there.
fn on_a_terminal(words: &str, wanted: &str, keys: &str) -> (Option<i32>, String) {
    let line = format!("stty cols 100 rows 30; {} {words}", env!("CARGO_BIN_EXE_flb-agent"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let mut program = Program::start_fed(&mut command);
    program.wait_for_output(wanted);
    program.write(keys);
    let run = program.finish();
    (run.code, run.stdout)
}

#[test]
fn top_has_a_screen_of_its_own_and_leaves_the_terminal_as_it_was() {
    let (program, url, _dir) = start("off");
    let (code, text) = on_a_terminal(&format!("top {url}"), "q ends", "q");
    assert_eq!(code, Some(0), "{text}");
    let order =
        ["\u{1b}[?1049h", "\u{1b}[?25l", "is wrong now", "siem", "\u{1b}[?1049l", "\u{1b}[?25h"];
    let mut rest = text.as_str();
    for part in order {
        let Some((_, behind)) = rest.split_once(part) else { panic!("no {part:?} in\n{text}") };
        rest = behind;
    }
    assert!(text.contains("\u{1b}[1m\u{1b}[31m✕ down"), "in red: {text}");
    finish(program);
}

#[test]
fn top_waits_for_an_agent_that_is_away_where_somebody_looks() {
    let (code, text) = on_a_terminal("top 127.0.0.1:1", "tells nothing", "\u{3}");
    assert_eq!(code, Some(0), "{text}");
    let (code, stdout, stderr) = asked(&["top", "127.0.0.1:1"]);
    assert_eq!((code, stdout.as_str()), (Some(255), ""));
    assert!(stderr.contains("; help: name another agent"), "{stderr}");
}

#[test]
fn tap_prints_a_record_without_its_secrets() {
    let (program, url, _dir) = start("on");
    let expected = "filter loud: kept as it was\n\
        - app {\"level\":\"info\",\"password\":\"********\",\"user\":\"jane\"}\n\
        + app {\"level\":\"info\",\"password\":\"********\",\"user\":\"jane\"}\n";
    for node in ["loud", "filters/loud"] {
        let (code, text, stderr) = asked(&["tap", "--once", node, &url]);
        assert_eq!((code, text.as_str(), stderr.as_str()), (Some(0), expected, ""));
    }
    let (code, text) = on_a_terminal(&format!("tap app {url}"), "input app: taken in", "\u{3}");
    assert!(code != Some(0) && text.contains("+\u{1b}[0m"), "{text}");
    let (code, _, stderr) = asked(&["tap", "--once", "other", &url]);
    assert_eq!(code, Some(255));
    assert!(
        stderr.contains("no node 'other'; help: there are inputs/app, filters/loud, outputs/siem"),
        "{stderr}"
    );
    finish(program);
}

#[test]
fn tap_needs_the_operator_s_leave() {
    let (program, url, _dir) = start("off");
    let (code, text, stderr) = asked(&["tap", "--once", "loud", &url]);
    assert_eq!((code, text.as_str()), (Some(255), ""));
    assert!(stderr.contains("HTTP status=403") && stderr.contains("HTTP_Tap on"), "{stderr}");
    finish(program);
}

#[test]
fn what_is_no_agent_or_no_node_is_told_at_once() {
    for (words, expected) in [
        (&["top", "https://a"][..], "'https://a': the agent speaks http"),
        (&["top", "a", "b"], "'b' is one word too many"),
        (&["tap"], "no node was given"),
        (&["tap", "a", "http://b/c"], "nothing stands behind its port"),
    ] {
        let (code, _, stderr) = asked(words);
        assert_eq!(code, Some(1), "{words:?}: {stderr}");
        assert!(stderr.contains(expected), "{words:?}: {stderr}");
    }
}
