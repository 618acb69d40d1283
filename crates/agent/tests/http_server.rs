//! The agent's HTTP server, asked by real clients while a pipeline runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flb_testkit::servers::free_port;
use flb_testkit::{Answer, Program, get};
use serde_json::{Value, json};

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the agent with this service section and a pipeline of three records; the port that it listens on.
fn start(service: &str) -> (Program, u16, tempfile::TempDir) {
    start_with(service, "Name grep\n    Match *\n    Exclude message nothing\n")
}

/// As [`start`], with this filter.
fn start_with(service: &str, filter: &str) -> (Program, u16, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.conf");
    let input = "Name dummy\n    Samples 3\n    Rate 100\n";
    let (program, port) = run(&path, &config(service, input, filter));
    (program, port, dir)
}

fn config(service: &str, input: &str, filter: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    HTTP_Server on\n    HTTP_Listen 127.0.0.1\n    HTTP_Port 0\n{service}\
         [INPUT]\n    Alias in\n    {input}\
         [FILTER]\n    {filter}\
         [OUTPUT]\n    Name null\n    Match *\n    Alias \"out\"\n"
    )
}

/// Starts the agent with this configuration; the port that it listens on.
fn run(config: &Path, text: &str) -> (Program, u16) {
    std::fs::write(config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.arg("-c").arg(config).env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let mut program = Program::start(&mut command);
    let line = program.line_with("tcp_port=").unwrap();
    let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    (program, port)
}

fn get_json(port: u16, path: &str) -> Value {
    let Answer { status, head, body } = get(port, path, "");
    assert_eq!(status, 200, "{path}: {body}");
    assert!(head.contains("content-type: application/json"), "{path}: {head}");
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
    let health = get(port, "/api/v1/health", "");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    assert_eq!(
        get_json(port, "/api/v2/health"),
        json!({"status": "ok", "errors": 0, "retries_failed": 0, "error_limit": 5, "retry_failure_limit": 5, "period_limit": 60})
    );
    assert_eq!(get_json(port, "/api/v1/pipeline")["outputs"][0]["records"], 3);
    assert_eq!(get(port, "/nothing", "").status, 404);
    assert_eq!(program.terminate().code, Some(0));
}

const PAGE: &str = include_str!("../../../docs/http-server.md");

/// The blocks of the documentation in this language, each with what stands before it.
fn blocks(language: &str) -> Vec<(&'static str, &'static str)> {
    let mut rest = PAGE;
    let mut blocks = Vec::new();
    while let Some((before, behind)) = rest.split_once("\n```") {
        let (mark, behind) = behind.split_once('\n').unwrap();
        let (block, behind) = behind.split_once("\n```").unwrap();
        if mark == language {
            blocks.push((before, block));
        }
        rest = behind;
    }
    blocks
}

/// A value's shape: keys, and what kind of value stands under each. Lists are as their first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(list) => list.first().map_or(json!([]), |first| json!([shape(first)])),
        Value::Null => json!("nothing"),
        Value::Bool(_) => json!("switch"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
    }
}

#[test]
fn every_answer_has_the_documented_shape() {
    let (_, config) = blocks("")[0];
    let dir = tempfile::tempdir().unwrap();
    let (program, port) = run(&dir.path().join("agent.conf"), &config.replace("2020", "0"));
    for (before, documented) in blocks("json") {
        let (_, path) = before.rsplit_once("### `").unwrap();
        let path = path.split_once('`').unwrap().0;
        let documented: Value = serde_json::from_str(documented).unwrap();
        let expected = shape(&documented);
        let deadline = Instant::now() + PATIENCE;
        // Lists are empty until records have come and a second is over.
        while shape(&get_json(port, path)) != expected {
            let told = || shape(&get_json(port, path));
            assert!(Instant::now() < deadline, "{path}:\n{:#}\n{expected:#}", told());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let metric = |line: &str| Some(line.strip_prefix("# TYPE ")?.split_once(' ')?.0.to_owned());
    for path in ["/api/v1/metrics/prometheus", "/api/v2/metrics", "/api/v2/metrics/prometheus"] {
        let Answer { status, head, body } = get(port, path, "");
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{path}: {head}");
        for name in body.lines().filter_map(metric) {
            assert!(PAGE.contains(&format!("`{name}`")), "{path}: {name} is not documented");
        }
    }
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn a_processor_says_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\
service: {http_server: on, http_listen: 127.0.0.1, http_port: 0}
pipeline:
  inputs:
    - {name: dummy, alias: app, processors: {logs: [{name: grep, exclude: message nothing}]}}
  outputs:
    - {name: 'null', alias: app, match: '*', processors: {logs: [{name: grep, exclude: message nothing}]}}
";
    let (program, port) = run(&dir.path().join("agent.yaml"), text);
    let filters = get_json(port, "/api/v1/pipeline")["filters"].take();
    let owners: Vec<&Value> =
        filters.as_array().unwrap().iter().map(|filter| &filter["processor_of"]).collect();
    assert_eq!(owners[0], &json!({"kind": "inputs", "name": "app"}));
    assert_eq!(owners[1], &json!({"kind": "outputs", "name": "app"}));
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn every_path_is_documented() {
    let router = include_str!("../src/api/mod.rs");
    for route in router.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        assert!(PAGE.contains(&format!("`{path}`")), "{path} is not documented");
    }
}

#[test]
fn metrics_are_told_to_prometheus_by_the_known_names() {
    let (program, port, _dir) = start("");
    delivered(port);
    let v1 = get(port, "/api/v1/metrics/prometheus", "").body;
    let v2 = get(port, "/api/v2/metrics", "").body;
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
    let known = [
        "fluentbit_storage_chunks 0",
        "fluentbit_storage_mem_chunks 0",
        "fluentbit_storage_fs_chunks 0",
        "fluentbit_storage_fs_chunks_up 0",
        "fluentbit_storage_fs_chunks_down 0",
        "fluentbit_routing_logs_records_total{input=\"in\",output=\"\\\"out\\\"\"} 3",
        "fluentbit_routing_logs_drop_records_total{input=\"in\",output=\"\\\"out\\\"\"} 0",
        "fluentbit_output_chunk_available_capacity_percent{name=\"\\\"out\\\"\"} 100",
        "fluentbit_logger_logs_total{message_type=\"error\"} 0",
        "fluentbit_uptime{hostname=\"",
        "fluentbit_process_start_time_seconds{hostname=\"",
        "fluentbit_hot_reloaded_times{hostname=\"",
        "fluentbit_build_info{hostname=\"",
    ];
    for known in known {
        assert!(v2.contains(&format!("\n{known}")), "{known}: {v2}");
    }
    assert!(!v2.contains("fluentbit_logger_logs_total{message_type=\"info\"} 0\n"), "{v2}");
    assert_eq!(get(port, "/api/v1/health", "").status, 404);
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn a_filter_that_drops_counts_what_came_to_it() {
    let filter = "Name grep\n    Alias none\n    Match *\n    Exclude $message .\n";
    let (program, port, _dir) = start_with("", filter);
    let filtered = loop {
        let metrics = get_json(port, "/api/v1/metrics");
        if metrics["filter"]["none"]["drop_records"] == 3 {
            break metrics;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(filtered["filter"]["none"]["records"], 3);
    let text = get(port, "/api/v2/metrics", "").body;
    assert!(text.contains("fluentbit_filter_records_total{name=\"none\"} 3\n"), "{text}");
    assert!(text.contains("fluentbit_filter_drop_records_total{name=\"none\"} 3\n"), "{text}");
    assert!(text.contains("fluentbit_input_long_line_skipped_total{name=\"in\"} 0\n"), "{text}");
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
    // Its input goes on: with its lane, guests and what they have would be gone.
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("three.log");
    std::fs::write(&log, "one\ntwo\nthree\n").unwrap();
    let input = format!("Name tail\n    Path {}\n    Read_From_Head on\n", log.display());
    let (program, port) = run(&dir.path().join("agent.conf"), &config("", &input, &filter));
    delivered(port);
    let text = get(port, "/api/v2/metrics", "").body;
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
fn a_browser_is_given_a_page_that_needs_nothing_from_elsewhere() {
    let (program, port, _dir) = start("");
    let Answer { status, body: page, .. } = get(port, "/", "Accept: text/html,*/*\r\n");
    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>"));
    // Its policy lets no script and no style stand in the page.
    for inline in ["<style", " style=", "<script>", " onclick="] {
        assert!(!page.contains(inline), "{inline}");
    }
    let files = [
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ];
    for (path, kind) in files {
        assert!(page.contains(&format!("=\"{path}\"")), "{path}");
        let Answer { status, head, body } = get(port, path, "");
        assert_eq!(status, 200, "{path}");
        assert!(head.contains(&format!("content-type: {kind}\r\n")), "{path}: {head}");
        let urls = body.replace("http://www.w3.org/2000/svg", "");
        assert!(!urls.contains("http:") && !urls.contains("https:"), "{path}");
    }
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn every_answer_tells_browsers_to_be_careful() {
    let (program, port, _dir) = start("");
    for path in ["/", "/page.js", "/api/v1/metrics", "/api/v2/metrics", "/nothing"] {
        let Answer { head, .. } = get(port, path, "Accept: text/html\r\n");
        for line in [
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "frame-ancestors 'none'",
        ] {
            assert!(head.contains(line), "{path}: no {line} in\n{head}");
        }
        assert!(!head.contains("access-control-allow-origin"), "{head}");
    }
    assert_eq!(program.terminate().code, Some(0));
}

/// Asks until an answer is as it is wanted.
fn until(port: u16, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get_json(port, path);
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path}: {answer:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An output that is not there, and one more input, whose records match nothing.
const TROUBLE: &str = "\
[SERVICE]
    Flush 0.05
    HTTP_Server on
    HTTP_Listen 127.0.0.1
    HTTP_Port 0
    Scheduler.Base 600
[INPUT]
    Name dummy
    Alias app
    Tag app
    Rate 100
    Samples 50
[INPUT]
    Name dummy
    Alias lost
    Tag nowhere
    Rate 100
    Samples 5
[FILTER]
    Name grep
    Alias few
    Match app
    Exclude message nothing
[OUTPUT]
    Name http
    Match app
    Alias siem
    Host 127.0.0.1
    Port 1
    HTTP_User me
    HTTP_Passwd hush
    Retry_Limit no_limits
    Log_Level off
";

#[test]
fn the_pipeline_says_what_is_wrong_now_the_worst_first() {
    let dir = tempfile::tempdir().unwrap();
    let (program, port) = run(&dir.path().join("agent.conf"), TROUBLE);
    let told = until(port, "/api/v1/pipeline", |told| {
        told["problems"].as_array().unwrap().len() == 2 && told["outputs"][0]["pending"] == 50
    });
    let [down, unmatched] = [&told["problems"][0], &told["problems"][1]];
    assert_eq!(
        (&down["kind"], &down["name"], &down["state"]),
        (&json!("outputs"), &json!("siem"), &json!("down"))
    );
    assert!(down["message"].as_str().unwrap().ends_with(": 1 try has failed"), "{down}");
    assert!(down["reason"].as_str().unwrap().starts_with("127.0.0.1:1, "), "{down}");
    assert!(down["next_try_ms"].as_u64().unwrap() > 500_000, "{down}");
    assert_eq!((&unmatched["name"], &unmatched["state"]), (&json!("lost"), &json!("failing")));
    let message = unmatched["message"].as_str().unwrap();
    assert!(
        message.starts_with("5 records matched no output and are lost in the last "),
        "{message}"
    );
    assert_eq!(told["outputs"][0]["state"], "down");
    assert_eq!(told["filters"][0]["state"], "ok");
    assert_eq!(told["inputs"][1]["last_minute"]["dropped"], 5);
    let edge = |from: [&str; 2], to: [&str; 2]| json!({"from": {"kind": from[0], "name": from[1]}, "to": {"kind": to[0], "name": to[1]}});
    let edges = json!([
        edge(["filters", "few"], ["outputs", "siem"]),
        edge(["inputs", "app"], ["filters", "few"]),
    ]);
    assert_eq!(told["edges"], edges, "nothing leads from the input whose tag nothing matches");
    program.signal("TERM");
    program.signal("TERM");
    program.finish();
}

#[test]
fn a_node_tells_its_last_errors_and_its_options_but_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (program, port) = run(&dir.path().join("agent.conf"), TROUBLE);
    let path = "/api/v1/nodes/outputs/siem";
    let node = until(port, path, |node| node["errors"] != json!([]));
    // The log says nothing of this output, and its lines are kept all the same.
    let errors = node["errors"].as_array().unwrap();
    assert!(errors.iter().all(|error| error["level"] == "warn"), "{node:#}");
    let messages: Vec<&str> = errors.iter().filter_map(|error| error["message"].as_str()).collect();
    assert!(messages.iter().any(|message| message.contains("127.0.0.1:1")), "{messages:?}");
    let option = |key: &str| {
        node["options"].as_array().unwrap().iter().find(|option| option["key"] == key).unwrap()
    };
    assert_eq!(
        option("http_passwd"),
        &json!({"key": "http_passwd", "value": "********", "is_default": false})
    );
    assert_eq!(option("tls"), &json!({"key": "tls", "value": "off", "is_default": true}));
    assert_eq!(option("http_user")["value"], "me");
    assert_eq!(get(port, "/api/v1/nodes/outputs/other", "").status, 404);
    assert_eq!(get(port, "/api/v1/nodes/things/siem", "").status, 404);
    program.signal("TERM");
    program.signal("TERM");
    let run = program.finish();
    assert!(!run.stderr.contains("output:http:siem] 127.0.0.1:1"), "{}", run.stderr);
}

#[test]
fn records_are_shown_with_the_operator_s_leave_alone() {
    let (program, port, _dir) = start("");
    let refused = get(port, "/api/v1/tap/filters/grep.0", "");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("HTTP_Tap on"), "{}", refused.body);
    assert_eq!(program.terminate().code, Some(0));

    let dir = tempfile::tempdir().unwrap();
    let text = r#"
service: {flush: 0.05, http_server: on, http_listen: 127.0.0.1, http_port: 0, http_tap: on}
pipeline:
  inputs:
    - {name: dummy, alias: app, tag: app, rate: 100, dummy: '{"user":"jane","Api-Key":"hush","log":"password=hush"}',
       processors: {logs: [{name: record_modifier, alias: a/b, record: host web-1}]}}
    - {name: dummy, alias: ended, samples: 1, rate: 100}
  outputs:
    - {name: 'null', alias: archive, match: app}
"#;
    let (program, port) = run(&dir.path().join("agent.yaml"), text);
    let body = |record: &Value| record["body"].to_string();
    let hidden = r#"{"Api-Key":"********","log":"password=********","user":"jane"}"#;
    let filter = get_json(port, "/api/v1/tap/filters/a%2Fb");
    assert_eq!((&filter["fate"], &filter["before"]["tag"]), (&json!("changed"), &json!("app")));
    assert_eq!(body(&filter["before"]), hidden);
    let added = r#"{"Api-Key":"********","host":"web-1","log":"password=********","user":"jane"}"#;
    assert_eq!(body(&filter["after"][0]), added);
    let node = get_json(port, "/api/v1/nodes/filters/a%2Fb");
    let record = json!({"key": "record", "value": "host web-1", "is_default": false});
    assert!(node["options"].as_array().unwrap().contains(&record), "{node:#}");
    let input = get_json(port, "/api/v1/tap/inputs/app");
    assert_eq!((&input["fate"], &input["before"]), (&json!("taken in"), &Value::Null));
    assert_eq!(body(&input["after"][0]), hidden);
    let output = get_json(port, "/api/v1/tap/outputs/archive");
    assert_eq!((&output["fate"], &output["after"]), (&json!("handed over"), &json!([])));
    assert_eq!(
        get_json(port, "/api/v1/tap/inputs/ended")["fate"],
        Value::Null,
        "after five seconds"
    );
    assert_eq!(get(port, "/api/v1/tap/inputs/other", "").status, 404);
    // A page that a browser takes for one of this server's, as its name leads here.
    let foreign =
        status_of(port, "GET /api/v1/tap/inputs/app HTTP/1.1\r\nHost: rebound.example:2020\r\n");
    assert_eq!(foreign, 403);
    assert_eq!(program.terminate().code, Some(0));
}

/// The status of the answer to a request of these lines.
fn status_of(port: u16, request: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{request}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Colours of the page as red, green and blue, by their names: those of light pages, and of dark ones.
fn colours() -> [std::collections::BTreeMap<&'static str, [f64; 3]>; 2] {
    let style = include_str!("../src/api/page/page.css");
    let mut sets = style.split(":root {").skip(1).map(|set| {
        let rows = set.split_once('}').unwrap().0.split(';');
        let pairs = rows.filter_map(|row| row.trim().strip_prefix("--")?.split_once(": #"));
        pairs
            .map(|(name, hex)| {
                let part =
                    |at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                (name, [part(0), part(2), part(4)])
            })
            .collect()
    });
    [sets.next().unwrap(), sets.next().unwrap()]
}

/// How much light a colour gives, as WCAG reckons.
fn luminance(colour: [f64; 3]) -> f64 {
    let linear =
        |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
    let [red, green, blue] = colour.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[test]
fn text_on_the_page_is_easy_to_read_in_light_and_dark() {
    for set in colours() {
        for text in ["text", "soft", "accent", "good", "warn", "bad"] {
            for ground in ["page", "card", "well", "bad-card", "warn-card"] {
                let [one, other] = [set[text], set[ground]].map(luminance);
                let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
            }
        }
    }
}

/// Posts for a reload, with these further header lines; the status.
fn post_reload(port: u16, headers: &str) -> u16 {
    status_of(port, &format!("POST /api/v2/reload HTTP/1.1\r\n{headers}"))
}

#[test]
fn no_web_page_can_have_the_configuration_read_again() {
    let (program, port, _dir) = start("    Hot_Reload on\n");
    for headers in [
        "Host: localhost:2020\r\nOrigin: http://elsewhere.example\r\n",
        "Host: localhost:2020\r\nOrigin: null\r\n",
        "Host: rebound.example:2020\r\nOrigin: http://rebound.example:2020\r\n",
        "Host: localhost:2020\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(post_reload(port, headers), 403, "{headers}");
    }
    assert_eq!(get_json(port, "/api/v2/reload")["hot_reload_count"], 0);
    assert_eq!(post_reload(port, "Host: agent.example:2020\r\nUser-Agent: curl/8.0\r\n"), 200);
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn a_request_that_does_not_come_is_given_up_after_ten_seconds() {
    let (program, port, _dir) = start("");
    let mut clients = ["", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX: "].map(|words| {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client.write_all(words.as_bytes()).unwrap();
        client
    });
    for client in &mut clients {
        let mut answer = Vec::new();
        let ended = client.read_to_end(&mut answer).map_err(|error| error.kind());
        assert_ne!(ended, Err(std::io::ErrorKind::WouldBlock), "it is still open");
    }
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

#[test]
fn the_agent_s_own_metrics_are_served_by_the_exporter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.yaml");
    let ports = [free_port(), free_port()];
    let [plain, processed] = ports.map(|port| {
        format!("name: prometheus_exporter, match: internal_metrics, host: 127.0.0.1, port: {port}, add_label: app fluent-bit")
    });
    let text = format!(
        "
service: {{flush: 0.05, http_server: on, http_listen: 127.0.0.1, http_port: 0}}
pipeline:
  inputs:
    - {{name: dummy, samples: 3, rate: 100, alias: in, tag: app}}
    - {{name: dummy, samples: 2, rate: 100, alias: lost, tag: nowhere}}
    - {{name: fluentbit_metrics, tag: internal_metrics, scrape_interval: 1, scrape_on_start: on}}
  outputs:
    - {{name: 'null', match: app}}
    - {{{plain}}}
    - {{{processed}, processors: {{logs: [{{name: grep, exclude: name nothing}}]}}}}
"
    );
    let (program, _) = run(&path, &text);
    let wanted = [
        "fluentbit_input_records_total{name=\"in\",app=\"fluent-bit\"} 3\n",
        "fluentbit_routing_logs_drop_records_total{input=\"lost\",output=\"unmatched\",app=\"fluent-bit\"} 2\n",
    ];
    for port in ports {
        let body = loop {
            let body = get(port, "/metrics", "").body;
            if wanted.iter().all(|wanted| body.contains(wanted)) {
                break body;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        for line in body.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.contains("app=\"fluent-bit\""), "{line}");
        }
        assert!(body.contains("fluentbit_input_metrics_scrapes_total{"), "{body}");
    }
    assert_eq!(program.terminate().code, Some(0));
}

#[test]
fn files_are_counted_as_they_are_opened_and_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log) = (dir.path().join("agent.conf"), dir.path().join("x.log"));
    std::fs::write(&log, "one\n").unwrap();
    let input = format!(
        "Name tail\n    Path {}*\n    Refresh_Interval 1\n    Rotate_Wait 1\n",
        log.display()
    );
    let filter = "Name grep\n    Match *\n    Exclude log nothing\n";
    let (program, port) = run(&path, &config("", &input, filter));
    let until = |family: &str, value: u32| {
        let wanted = format!("fluentbit_input_files_{family}_total{{name=\"in\"}} {value}\n");
        while !get(port, "/api/v2/metrics", "").body.contains(&wanted) {
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("opened", 1);
    until("closed", 0);
    let moved = dir.path().join("x.log.1");
    std::fs::rename(&log, &moved).unwrap();
    until("rotated", 1);
    std::fs::remove_file(&moved).unwrap();
    until("closed", 1);
    assert_eq!(program.terminate().code, Some(0));
}
