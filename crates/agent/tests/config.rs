//! Configurations through the whole program: YAML as well as classic, processors, and what the command line says about them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flb_testkit::{Program, Run};
use tempfile::TempDir;

const WASM: &[u8] = include_bytes!("../../../examples/filters/c-enrich.wasm");

/// A folder with these files, a line to read and a filter.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("line"), "{\"a\":1}\n{\"a\":2}\n").unwrap();
    fs::write(folder.path().join("filter.wasm"), WASM).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn agent(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(arguments).current_dir(folder).env("PASSWORD", "hush");
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command).finish()
}

fn run(text: &str) -> Run {
    agent(folder(&[("agent.yaml", text)]).path(), &["-c", "agent.yaml"])
}

#[track_caller]
fn check(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    for word in words {
        assert!(run.stderr.contains(word), "no '{word}' in\n{}", run.stderr);
    }
}

/// What the agent printed, without the date and what stands behind the time.
fn records(run: &Run) -> Vec<String> {
    let lines = run.stdout.lines().map(|line| line.split_once(",\"").unwrap().1);
    lines.map(|rest| format!("\"{}", rest.split(",\"time\"").next().unwrap())).collect()
}

#[test]
fn yaml_says_what_classic_says() {
    let yaml = "
service: {flush: 0.05}
pipeline:
  inputs:
    - {name: tail, path: line, parser: json, read_from_head: on, exit_on_eof: true}
  filters:
    - {name: wasm, match: '*', wasmPath: filter.wasm, functionName: c_filter}
  outputs:
    - {name: stdout, match: '*', format: json_lines}
";
    let classic = "
[SERVICE]
    Flush 0.05
[INPUT]
    Name tail
    Path line
    Parser json
    Read_From_Head on
    Exit_On_Eof true
[FILTER]
    Name wasm
    Match *
    Wasm_Path filter.wasm
    Function_Name c_filter
[OUTPUT]
    Name stdout
    Match *
    Format json_lines
";
    let folder = folder(&[("agent.yml", yaml), ("agent.conf", classic)]);
    let [yaml, classic] = ["agent.yml", "agent.conf"].map(|file| {
        let run = agent(folder.path(), &["-c", file]);
        check(&run, 0, &["[filter:wasm:wasm.0] 2 records"]);
        records(&run)
    });
    assert_eq!(yaml.len(), 2);
    assert!(yaml[0].contains("\"lang\":\"C\""), "{yaml:?}");
    assert_eq!(yaml, classic);
}

#[test]
fn wasm_works_as_a_processor_of_an_input() {
    let run = run("
service: {flush: 0.05}
pipeline:
  inputs:
    - name: tail
      path: line
      parser: json
      read_from_head: on
      exit_on_eof: on
      threaded: on
      processors:
        logs:
          - name: wasm
            wasm_path: filter.wasm
            function_name: c_filter
            condition: {rules: [{field: $a, op: eq, value: 2}]}
  outputs:
    - {name: stdout, match: '*', format: json_lines}
");
    check(&run, 0, &["[processor:wasm:tail.0/wasm.0] 1 records: 1 replaced"]);
    let records = records(&run);
    assert_eq!(records[0], "\"a\":1}");
    assert!(records[1].contains("\"a\":2") && records[1].contains("\"lang\":\"C\""), "{records:?}");
}

#[test]
fn wasm_works_as_a_processor_of_an_output_with_workers() {
    let run = run("
service: {flush: 0.05}
pipeline:
  inputs:
    - {name: tail, path: line, parser: json, read_from_head: on, exit_on_eof: on}
  outputs:
    - name: stdout
      match: '*'
      format: json_lines
      workers: 2
      processors:
        logs:
          - {name: wasm, wasm_path: filter.wasm, function_name: c_filter}
");
    check(&run, 0, &["[processor:wasm:stdout.0/wasm.0] 2 records: 2 replaced"]);
    assert!(records(&run).iter().all(|record| record.contains("\"lang\":\"C\"")), "{run:?}");
}

#[test]
fn a_wrong_yaml_file_ends_with_1_and_shows_all_of_its_mistakes() {
    let wrong = run("
pipeline:
  inputs:
    - {name: dumy}
  output: []
  filters: {name: wasm}
");
    let words = [
        "unknown key 'output' in 'pipeline'",
        "agent.yaml:5:3",
        "did you mean 'outputs'?",
        "'filters' must be a list of maps",
        "[error] configuration file contains errors, aborting.",
    ];
    check(&wrong, 1, &words);
    check(&run("pipeline: [\n"), 1, &["[config] invalid YAML in file agent.yaml at line "]);
    let missing = agent(folder(&[]).path(), &["-c", "agent.yaml"]);
    check(&missing, 1, &["[error] could not open configuration file, aborting."]);
}

#[test]
fn a_dry_run_loads_the_modules_of_processors() {
    let yaml = "
pipeline:
  inputs:
    - {name: dummy, processors: {logs: [{name: wasm, wasm_path: filter.wasm, function_name: none}]}}
  outputs: [{name: 'null', match: '*'}]
";
    let run = agent(folder(&[("agent.yaml", yaml)]).path(), &["-c", "agent.yaml", "--dry-run"]);
    check(&run, 1, &["processor:wasm:dummy.0/wasm.0", "'none'", "configuration test has failed"]);
}
