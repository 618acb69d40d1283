//! The agent's HTTP server, asked by real clients while a pipeline runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use flb_testkit::Program;
use serde_json::{Value, json};

/// Starts the agent with this service section and a pipeline of three records; the port that it listens on.
fn start(service: &str) -> (Program, u16, tempfile::TempDir) {
    start_with(service, "Name grep\n    Match *\n    Exclude message nothing\n")
}

/// As [`start`], with this filter.
fn start_with(service: &str, filter: &str) -> (Program, u16, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("agent.conf");
    let text = format!(
        "[SERVICE]\n    Flush 0.05\n    HTTP_Server on\n    HTTP_Listen 127.0.0.1\n    HTTP_Port 0\n{service}\
         [INPUT]\n    Name dummy\n    Alias in\n    Samples 3\n    Rate 100\n\
         [FILTER]\n    {filter}\
         [OUTPUT]\n    Name null\n    Match *\n    Alias \"out\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.arg("-c").arg(&config).env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let mut program = Program::start(&mut command);
    let line = program.line_with("tcp_port=").unwrap();
    let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    (program, port, dir)
}

/// The status and the body of a GET.
fn get(port: u16, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn get_json(port: u16, path: &str) -> Value {
    let (status, body) = get(port, path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Asks until all three records are delivered.
fn delivered(port: u16) -> Value {
    loop {
        let metrics = get_json(port, "/api/v1/metrics");
        if metrics["output"]["\"out\""]["proc_records"] == 3 {
            return metrics;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_path_answers_in_the_known_shape() {
    let (program, port, _dir) = start("    Health_Check on\n");
    let metrics = delivered(port);
    assert_eq!(metrics["input"]["in"]["records"], 3);
    assert_eq!(
        metrics["filter"]["grep.0"],
        json!({"drop_records": 0, "add_records": 0, "records": 3, "bytes": metrics["input"]["in"]["bytes"], "drop_bytes": 0})
    );
    let output = &metrics["output"]["\"out\""];
    for key in ["errors", "retries", "retries_failed", "dropped_records", "retried_records"] {
        assert_eq!(output[key], 0, "{key}");
    }
    assert!(get_json(port, "/")["fluent-bit"]["version"].is_string());
    assert!(get_json(port, "/api/v1/uptime")["uptime_hr"].is_string());
    let storage = get_json(port, "/api/v1/storage");
    assert_eq!(storage["storage_layer"]["chunks"]["fs_chunks"], 0);
    assert_eq!(storage["input_chunks"]["in"]["status"]["overlimit"], false);
    let plugins = get_json(port, "/api/v1/plugins");
    assert!(plugins["plugins"]["filters"].as_array().unwrap().contains(&json!("wasm")));
    assert_eq!(get(port, "/api/v1/health", ""), (200, "ok\n".to_owned()));
    assert_eq!(
        get_json(port, "/api/v2/health"),
        json!({"status": "ok", "errors": 0, "retries_failed": 0, "error_limit": 5, "retry_failure_limit": 5, "period_limit": 60})
    );
    assert_eq!(get_json(port, "/api/v1/pipeline")["outputs"][0]["records"], 3);
    assert_eq!(get(port, "/nothing", "").0, 404);
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn metrics_are_told_to_prometheus_by_the_known_names() {
    let (program, port, _dir) = start("");
    delivered(port);
    let (_, v1) = get(port, "/api/v1/metrics/prometheus", "");
    let (_, v2) = get(port, "/api/v2/metrics", "");
    for text in [&v1, &v2] {
        assert!(text.contains("fluentbit_input_records_total{name=\"in\"} 3\n"), "{text}");
        assert!(
            text.contains("fluentbit_output_proc_records_total{name=\"\\\"out\\\"\"} 3\n"),
            "{text}"
        );
        assert!(
            text.contains("flb_filter_verdicts_total{name=\"grep.0\",verdict=\"kept\"} 3\n"),
            "{text}"
        );
        assert!(text.contains("# TYPE fluentbit_filter_drop_records_total counter\n"), "{text}");
    }
    assert!(v2.contains("fluentbit_input_ingestion_paused{name=\"in\"} 0\n"), "{v2}");
    assert_eq!(get(port, "/api/v1/health", "").0, 404);
    assert_eq!(program.terminate().code, Some(0));
}

/// The value of a metric with these labels.
fn value(text: &str, metric: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {metric} in\n{text}")).parse().unwrap()
}

#[test]
fn a_wasm_filter_tells_how_long_records_take_and_what_its_guests_have() {
    // Each call but the first is a fresh guest's.
    let module = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
    let wat = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/filter/modules/echo.wat");
    std::fs::write(module.path(), wat::parse_file(wat).unwrap()).unwrap();
    let filter = format!(
        "Name wasm\n    Alias w\n    Match *\n    Wasm_Path {}\n    Function_Name filter\n    Recycle 1\n",
        module.path().display()
    );
    let (program, port, _dir) = start_with("", &filter);
    delivered(port);
    let (_, text) = get(port, "/api/v2/metrics", "");
    for (metric, expected) in [
        ("flb_filter_latency_seconds_count{name=\"w\"}", 3.0),
        ("flb_filter_latency_seconds_bucket{name=\"w\",le=\"+Inf\"}", 3.0),
        ("flb_filter_guest_memory_bytes{name=\"w\"}", 65536.0),
        ("flb_filter_recycles_total{name=\"w\"}", 2.0),
        ("flb_filter_verdicts_total{name=\"w\",verdict=\"replaced\"}", 3.0),
        ("flb_filter_failures_total{name=\"w\",class=\"trap\"}", 0.0),
        ("flb_filter_emitted_extra_total{name=\"w\"}", 0.0),
    ] {
        assert_eq!(value(&text, metric), expected, "{metric} in\n{text}");
    }
    for sum in [
        "flb_filter_latency_seconds_sum{name=\"w\"}",
        "flb_input_latency_seconds_sum{name=\"in\"}",
        "fluentbit_output_latency_seconds_sum{input=\"in\",output=\"\\\"out\\\"\"}",
    ] {
        assert!(value(&text, sum) > 0.0, "{sum} in\n{text}");
    }
    assert!(text.contains("# TYPE flb_filter_latency_seconds histogram\n"), "{text}");
    let nodes = get_json(port, "/api/v1/pipeline");
    assert_eq!(nodes["filters"][0]["guest_memory"], 65536);
    for node in ["inputs", "filters", "outputs"] {
        assert!(nodes[node][0]["latency"]["seconds"].as_f64().unwrap() > 0.0, "{nodes}");
    }
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn a_browser_is_given_a_page_that_needs_nothing_else() {
    let (program, port, _dir) = start("");
    let (status, page) = get(port, "/", "Accept: text/html,*/*\r\n");
    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>"));
    let urls: Vec<&str> = page.match_indices("http").map(|(at, _)| &page[at..at + 26]).collect();
    assert_eq!(urls, ["http://www.w3.org/2000/svg"], "it loads nothing from elsewhere");
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn a_port_in_use_is_said_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_flb-agent"))
        .args(["-i", "dummy", "-o", "null", "-H", "-L", "127.0.0.1", "-P", &port])
        .env_remove("HOME")
        .env_remove("XDG_CACHE_HOME")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{stderr}");
    assert!(
        stderr.contains(&format!(
            "cannot listen on 127.0.0.1:{port}; help: choose another HTTP_Port"
        )),
        "{stderr}"
    );
}
