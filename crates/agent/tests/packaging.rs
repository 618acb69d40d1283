//! The files of `packaging/`: the configurations are the agent's, and the objects for Kubernetes hang together and are what its API
//! takes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use flb_testkit::servers::{Packages, brought};
use flb_testkit::{Program, Run};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn packaging(name: &str) -> String {
    std::fs::read_to_string(root().join("packaging").join(name)).unwrap()
}

/// The documents of a YAML file. All scalars are texts.
fn documents(text: &str) -> Vec<Value> {
    let mut documents = Vec::new();
    // What is open: a list's values, or a map's keys and values in turn.
    let mut open: Vec<Vec<Value>> = Vec::new();
    for event in Parser::new_from_str(text) {
        let done = match event.unwrap().0 {
            Event::Scalar(text, ..) => Value::from(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                open.push(Vec::new());
                continue;
            }
            Event::SequenceEnd => open.pop().unwrap().into(),
            Event::MappingEnd => {
                let pairs = open.pop().unwrap();
                let pair = |pair: &[Value]| (pair[0].as_str().unwrap().to_owned(), pair[1].clone());
                let map: Map<String, Value> = pairs.chunks(2).map(pair).collect();
                assert_eq!(map.len() * 2, pairs.len(), "a key is given twice");
                map.into()
            }
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.push(done),
            None => documents.push(done),
        }
    }
    documents
}

/// Tries a configuration, in a folder with the packaged parsers.
fn dry_run(config: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.conf"), config).unwrap();
    std::fs::write(folder.path().join("parsers.conf"), packaging("parsers.conf")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["--dry-run", "-c", "agent.conf"]).current_dir(folder.path());
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env("NODE_NAME", "node-1");
    Program::start(&mut command).finish()
}

#[track_caller]
fn check_configuration(config: &str) {
    let run = dry_run(config);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

#[test]
fn the_packaged_configuration_is_sound_with_all_that_it_proposes() {
    let config = packaging("flb-agent.conf");
    check_configuration(&config);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().display().to_string();
    // What is commented out is a proposal if it looks like a section or a property.
    let proposed = |line: &str| {
        let outer = line.strip_prefix("# ");
        let outer = outer.filter(|text| text.starts_with('[') || text.starts_with("    "));
        let inner = line.strip_prefix("    # ").map(|text| format!("    {text}"));
        outer.map(str::to_owned).or(inner)
    };
    let lines = config.lines().map(|line| proposed(line).unwrap_or_else(|| line.to_owned()));
    let all: String = lines.map(|line| line + "\n").collect();
    assert!(all.matches("\n[").count() > config.matches("\n[").count(), "{all}");
    let filter = root().join("examples/filters/rust-enrich.wasm").display().to_string();
    check_configuration(
        &all.replace("/var/lib/flb-agent", &state)
            .replace("/etc/flb-agent/hide.aot", &filter)
            .replace("hide", "rust_filter"),
    );
}

#[test]
fn the_daemon_set_hangs_together() {
    let documents = documents(&packaging("kubernetes/daemonset.yaml"));
    let of_kind = |kind: &str| documents.iter().find(|one| one["kind"] == kind).unwrap();
    let config = of_kind("ConfigMap")["data"]["flb-agent.conf"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let filter = root().join("examples/filters/c-enrich.wasm").display().to_string();
    check_configuration(
        &config
            .replace("/var/lib/flb-agent", &folder.path().display().to_string())
            .replace("/filters/enrich.wasm", &filter),
    );

    let set = of_kind("DaemonSet");
    assert_eq!(
        set["spec"]["selector"]["matchLabels"],
        set["spec"]["template"]["metadata"]["labels"]
    );
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["tolerations"][0]["operator"], "Exists");
    let container = &pod["containers"][0];
    assert_eq!(container["image"], concat!("flb-agent:", env!("CARGO_PKG_VERSION")));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], "true");
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
    let mount = |path: &str| {
        let mounts = container["volumeMounts"].as_array().unwrap();
        mounts.iter().find(|mount| mount["mountPath"] == path).unwrap()
    };
    for path in ["/etc/flb-agent", "/filters", "/var/log"] {
        assert_eq!(mount(path)["readOnly"], "true", "{path}");
    }
    let server = include_str!("../src/api/mod.rs");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let ask = &container[probe]["httpGet"];
        assert_eq!(ask["port"], container["ports"][0]["name"], "{probe}");
        let path = ask["path"].as_str().unwrap();
        assert!(server.contains(&format!("\"{path}\"")), "{probe}: {path}");
    }
    assert!(container["resources"]["limits"]["memory"].is_string());
}

#[test]
fn the_values_for_helm_hang_together() {
    let values = documents(&packaging("kubernetes/values.yaml")).remove(0);
    let image = format!(
        "{}:{}",
        values["image"]["repository"].as_str().unwrap(),
        values["image"]["tag"].as_str().unwrap()
    );
    assert_eq!(image, concat!("flb-agent:", env!("CARGO_PKG_VERSION")));
    let parts = ["service", "inputs", "filters", "outputs"];
    let config: Vec<&str> =
        parts.iter().map(|part| values["config"][part].as_str().unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let filter = root().join("examples/filters/c-enrich.wasm").display().to_string();
    check_configuration(
        &config
            .join("\n")
            .replace("/fluent-bit/etc/parsers.conf", "parsers.conf")
            .replace("/var/lib/flb-agent", &folder.path().display().to_string())
            .replace("/filters/enrich.wasm", &filter),
    );
}

#[test]
fn the_api_of_kubernetes_takes_all_objects() {
    let Some(library) = brought("kubernetes", "kubernetes_validate") else { return };
    let file = |name: &str| root().join("packaging/kubernetes").join(name);
    let mut python = Command::new("python3");
    python.arg(root().join("tests/kubernetes/validate.py"));
    python.arg(file("daemonset.yaml")).arg(file("values.yaml"));
    let run = python.env("PYTHONPATH", library.parent().unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(said.matches("is what the API takes").count(), 4, "{said}");
}

/// What an on-call engineer is handed: alerts, with the dashboard and the page that goes with them.
const ALERTS: &str = "prometheus/flb-agent.rules.yaml";
const DASHBOARD: &str = "grafana/flb-agent.json";

fn alerts() -> Vec<Value> {
    let rules = documents(&packaging(ALERTS)).remove(0);
    rules["groups"][0]["rules"].as_array().unwrap().clone()
}

/// The expressions of the alerts and of the dashboard's panels.
fn expressions() -> Vec<String> {
    let alerts = alerts().into_iter().map(|alert| alert["expr"].as_str().unwrap().to_owned());
    let dashboard: Value = serde_json::from_str(&packaging(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().clone();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned()).flatten();
    alerts.chain(targets.map(|target| target["expr"].as_str().unwrap().to_owned())).collect()
}

/// The names of ours in an expression.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("fluentbit_") || word.starts_with("flb_"))
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_the_agent_has() {
    let folder = tempfile::tempdir().unwrap();
    let trap = "(module (memory (export \"memory\") 1) (func (export \"f\")
        (param i32 i32 i32 i32 i32 i32) (result i32) unreachable))";
    std::fs::write(folder.path().join("trap.wasm"), wat::parse_str(trap).unwrap()).unwrap();
    let config = "[SERVICE]\n Flush 0.1\n HTTP_Server on\n HTTP_Listen 127.0.0.1\n HTTP_Port 0\n\
        [INPUT]\n Name dummy\n Samples 1\n[FILTER]\n Name wasm\n Match *\n WASM_Path trap.wasm\n Function_Name f\n\
        [OUTPUT]\n Name null\n Match *\n";
    std::fs::write(folder.path().join("agent.conf"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder.path());
    let mut agent = Program::start(command.env_remove("HOME").env_remove("XDG_CACHE_HOME"));
    let line = agent.line_with("tcp_port=").unwrap();
    let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    let known = || flb_testkit::get(port, "/api/v2/metrics/prometheus", "").body;
    let delivered = "fluentbit_output_latency_seconds_count";
    while !known().contains(delivered) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let known = known();
    let is_known =
        |name: &str| known.lines().any(|line| line.split(['{', ' ']).next() == Some(name));
    let mut asked = 0;
    for expression in expressions() {
        for name in metrics_in(&expression) {
            asked += 1;
            assert!(
                is_known(name) || name == "fluentbit_routing_logs_drop_records_total",
                "the agent has no {name}"
            );
        }
    }
    assert!(asked > 30);
    agent.terminate().check(0, &[]);
}

#[test]
fn each_alert_has_its_section_in_the_runbook_and_no_section_lacks_its_alert() {
    let page = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    let names: Vec<_> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert_eq!(sections, names);
    for alert in &alerts {
        let section = alert["alert"].as_str().unwrap().to_lowercase();
        assert_eq!(alert["annotations"]["runbook"], format!("docs/runbook.md#{section}"));
    }
}

/// The rules, by Prometheus' own tool, with the series that they are to speak and to be silent at.
#[test]
fn alerts_speak_when_they_should() {
    let Some(packages) = Packages::with("prometheus", "usr/bin/promtool") else { return };
    let folder = root().join("packaging/prometheus");
    let output = packages
        .command("usr/bin/promtool")
        .args(["test", "rules", "flb-agent.test.yaml"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
