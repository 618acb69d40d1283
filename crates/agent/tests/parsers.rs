//! The packaged parsers: for each one `tests/parsers` has lines as programs write them, and what records come of them.
//! `BLESS=1` writes the records anew: look at the difference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flb_testkit::Program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The packaged parsers: each one's name, and whether a record's time is known whole.
fn packaged() -> Vec<(String, bool)> {
    let text = fs::read_to_string(root().join("packaging/parsers.conf")).unwrap();
    let value = |section: &str, key: &str| {
        let line = section.lines().find(|line| line.trim_start().starts_with(key));
        line.map(|line| line.split_whitespace().last().unwrap().to_owned())
    };
    let of = |section: &str| {
        let has_year =
            section.lines().any(|line| line.contains("Time_Format") && line.contains("%Y"));
        (value(section, "Name").unwrap(), has_year)
    };
    text.split("\n[PARSER]\n").skip(1).map(of).collect()
}

/// What the agent makes of the file's lines.
fn records(parser: &str, has_time: bool, lines: &Path) -> String {
    let parsers = root().join("packaging/parsers.conf");
    let date = if has_time { "date" } else { "false" };
    let mut agent = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    let path = format!("path={}", lines.display());
    let input = ["-i", "tail", "-p", &path, "-p", "read_from_head=on", "-p", "exit_on_eof=on"];
    agent.args(["-R", parsers.to_str().unwrap(), "-f", "0.1"]).args(input);
    agent.args(["-p", &format!("parser={parser}"), "-o", "stdout", "-m", "*"]);
    agent.args(["-p", "format=json_lines", "-p", "json_date_format=iso8601"]);
    agent.args(["-p", &format!("json_date_key={date}")]);
    let run = Program::start(&mut agent).finish();
    assert_eq!(run.code, Some(0), "{parser}: {}", run.stderr);
    run.stdout
}

#[test]
fn every_packaged_parser_makes_records_of_real_lines() {
    let folder = root().join("tests/parsers");
    let mut wrong = String::new();
    for (parser, has_time) in packaged() {
        let lines = folder.join(format!("{parser}.log"));
        let expected = folder.join(format!("{parser}.jsonl"));
        let got = records(&parser, has_time, &lines);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &got).unwrap();
        }
        let text = fs::read_to_string(&lines).unwrap();
        assert_eq!(got.lines().count(), text.lines().count(), "{parser}");
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if got != expected {
            wrong.push_str(&format!("{parser} makes\n{got}and should make\n{expected}\n"));
        }
        // What a parser does not take is kept under the input's key.
        assert!(!got.contains("\"log\":\"<") && !got.contains("\"log\":\"["), "{parser}: {got}");
    }
    assert_eq!(wrong, "");
}

#[test]
fn the_packaged_parsers_are_those_that_configurations_name() {
    let mut names: Vec<String> = packaged().into_iter().map(|(name, _)| name).collect();
    names.sort();
    let expected = [
        "apache",
        "apache2",
        "apache_error",
        "cri",
        "docker",
        "docker-daemon",
        "envoy",
        "istio-envoy-proxy",
        "json",
        "k8s-nginx-ingress",
        "kmsg-netfilter-log",
        "kube-custom",
        "logfmt",
        "mongodb",
        "nginx",
        "syslog-rfc3164",
        "syslog-rfc3164-local",
        "syslog-rfc5424",
    ];
    assert_eq!(names, expected);
}
