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

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

/// What stands before, in and behind the block that `mark` announces.
fn block<'p>(page: &'p str, mark: &str) -> (&'p str, &'p str, &'p str) {
    let start = page.find(&format!("<!-- {mark} -->\n```yaml\n")).unwrap();
    let start = start + page[start..].find("```yaml\n").unwrap() + "```yaml\n".len();
    let end = start + page[start..].find("```\n").unwrap();
    (&page[..start], &page[start..end], &page[end..])
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test asks the environment whether to rewrite")]
fn the_documentation_shows_what_the_agent_prints() {
    let page = fs::read_to_string(PAGE).unwrap();
    let parsers = "parsers: [{name: mine, format: json, time_key: t}]";
    let yaml = block(&page, "agent.yaml").1;
    let folder = folder(&[("agent.yaml", yaml), ("parsers.yaml", parsers)]);
    check(&agent(folder.path(), &["-D", "-c", "agent.yaml"]), 0, &["test is successful"]);
    let printed = agent(folder.path(), &["config", "agent.yaml"]);
    check(&printed, 0, &[]);
    let (before, shown, behind) = block(&page, "flb-agent config agent.yaml");
    if std::env::var("BLESS").is_ok() {
        fs::write(PAGE, format!("{before}{}{behind}", printed.stdout)).unwrap();
    } else {
        // A plugin's new option need not change this page.
        let given = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.ends_with("# default"));
            lines.map(str::to_owned).collect()
        };
        let help = "run BLESS=1 cargo test --workspace --test config";
        assert_eq!(given(shown), given(&printed.stdout), "{help}");
    }
}

#[test]
fn the_effective_configuration_can_be_used_again() {
    let classic = "
@SET plugin=dummy
@INCLUDE more.conf
[INPUT]
    Name ${plugin}
    Samples 1
    Dummy {\"a\": \"${nothing:-x\\y}\"}
[OUTPUT]
    Name stdout
    Match *
";
    let more = "[SERVICE]\n    Flush 5\n    Flush 0.1\n    Parsers_File parsers.conf\n";
    let parsers = "[PARSER]\n    Name mine\n    Format regex\n    Regex ^(?<a>\"[^ ]*\\d)\\t$\n\
                   [MULTILINE_PARSER]\n    Name lines\n    Type regex\n    Rule \"start_state\" \"/^\\d/\" \"cont\"\n    \
                   Rule \"cont\" \"/^ /\" \"cont\"\n";
    let files = [("agent.conf", classic), ("more.conf", more), ("parsers.conf", parsers)];
    let folder = folder(&files);
    let first = agent(folder.path(), &["config", "-f", "9", "agent.conf"]);
    check(&first, 0, &[]);
    fs::write(folder.path().join("again.yaml"), &first.stdout).unwrap();
    let second = agent(folder.path(), &["config", "again.yaml"]);
    check(&second, 0, &[]);
    let unmarked = |run: &Run| run.stdout.replace(" # default", "");
    assert_eq!(unmarked(&first), unmarked(&second));
    for words in [
        "  flush: 0.1\n",
        "- name: dummy\n",
        "tag: dummy.0 # default\n",
        "x\\\\y",
        "  http_port: 2020 # default\n",
        "  http_tap: off # default\n",
        "mem_buf_limit: 64M # default\n",
    ] {
        assert!(first.stdout.contains(words), "no {words:?} in\n{}", first.stdout);
    }
    check(&agent(folder.path(), &["-D", "-c", "again.yaml"]), 0, &["test is successful"]);
}

#[test]
fn what_plugins_would_refuse_is_told_beside_the_configuration() {
    let folder = folder(&[]);
    let run = agent(folder.path(), &["config", "-i", "tail", "-p", "pth=x"]);
    check(&run, 0, &["tail: unknown configuration property 'pth'", "did you mean 'path'?"]);
    assert!(run.stdout.contains("name: tail"), "{}", run.stdout);
    let run = agent(folder.path(), &["config", "-i", "tial"]);
    check(&run, 0, &["section 'tial' tried to instance", "did you mean 'tail'?"]);
}

#[test]
fn a_plugin_that_there_is_not_is_told_once_when_its_help_is_wanted() {
    let run = agent(folder(&[]).path(), &["-i", "tial", "-h"]);
    check(&run, 1, &["section 'tial' tried to instance", "did you mean 'tail'?"]);
    assert!(!run.stderr.contains("invalid input plugin"), "{}", run.stderr);
}

#[test]
fn secrets_are_hidden() {
    let yaml = "
env: {TOKEN: 'file:///proc/self/cmdline'}
pipeline:
  inputs:
    - {name: dummy, alias: '${PASSWORD}', tag: '${TOKEN}', shared_key: hush, dummy: plain}
";
    let run = agent(folder(&[("agent.yaml", yaml)]).path(), &["config", "agent.yaml"]);
    check(&run, 0, &[]);
    assert!(!run.stdout.contains("hush") && !run.stdout.contains("agent.yaml"), "{}", run.stdout);
    assert_eq!(run.stdout.matches("\"********\"").count(), 3, "{}", run.stdout);
}

/// Each property with what of it must not be seen.
const SECRETS: &str = "
pipeline:
  inputs:
    - {name: exec, command: 'curl -u me:hush http://hush/?key=hush'}
    - {name: exec_wasi, wasi_path: x.wasm, env: [DB_PASS=hush, ENCRYPTION_KEY=hush, RUST_LOG=debug], args: --pin hush}
    - {name: http, success_header: Set-Cookie a=hush}
    - {name: forward, shared_key: hush, security.users: me hush, tls.key_passwd: hush}
  filters:
    - {name: wasm, match: '*', wasm_path: x.wasm, function_name: f, config.signing_key: hush, config.level: warn, env: A=hush}
  outputs:
    - {name: http, match: '*', header: [X-API-Key hush, DD-API-KEY hush, Cookie hush, Authorization Bearer hush, Accept text/plain], http_passwd: hush, uri: /x?key=hush, proxy: 'http://me:hush@proxy:3128'}
    - {name: azure_blob, match: '*', key: hush, cloud_auth: 'u:hush', sas_token: hush}
    - {name: opentelemetry, match: '*', header: X-Token hush, logs_uri: /v1?key=hush}
    - {name: forward, match: '*', shared_key: hush, password: hush, add_option: key hush, shared_kye: hush}
";

#[test]
fn every_kind_of_secret_is_hidden() {
    let folder = folder(&[("agent.yaml", SECRETS)]);
    let run = agent(folder.path(), &["config", "agent.yaml"]);
    check(&run, 0, &[]);
    assert!(!run.stdout.contains("hush") && !run.stderr.contains("hush"), "{}", run.stdout);
    for shown in [
        "RUST_LOG=debug",
        "Accept text/plain",
        "config.level: warn",
        "curl -u",
        "X-API-Key *",
        "DB_PASS=*",
    ] {
        assert!(run.stdout.contains(shown), "no {shown} in\n{}", run.stdout);
    }
}

#[test]
fn what_a_key_holds_that_nobody_knows_is_hidden() {
    let text = "[SERVICE]\n    Shared hush\n[INPUT]\n    Name dummy\n    Tag seen\n    Dumy hush\n    mem_buf_limit 7M\n\
                [FILTER]\n    Name modify\n    Tag seen.*\n    Ad hush\n[OUTPUT]\n    Name null\n    Match *\n    tls.Debug 3\n    Pass hush\n";
    let folder = folder(&[("agent.conf", text)]);
    let run = agent(folder.path(), &["config", "agent.conf"]);
    check(&run, 0, &["unknown service property 'shared' is ignored"]);
    assert!(!run.stdout.contains("hush") && !run.stderr.contains("hush"), "{run:?}");
    for shown in ["tag: seen\n", "mem_buf_limit: 7M", "tag: \"seen.*\"", "tls.debug: 3"] {
        assert!(run.stdout.contains(shown), "no {shown} in\n{}", run.stdout);
    }
    let run = agent(folder.path(), &["-D", "-c", "agent.conf"]);
    assert!(!run.stderr.contains("hush"), "{}", run.stderr);
}

#[test]
fn mistakes_beside_secrets_are_told_without_them() {
    // Each mistake stands on a line with a secret, or is one.
    for (text, words) in [
        (
            "[OUTPUT]\n    Name http\n    Htp_Pass hush\n",
            "unknown configuration property 'htp_pass'",
        ),
        ("[OUTPUT]\n    Name http\n    Header hush\n", "it is not a header"),
        ("[OUTPUT]\n    Name http\n    Header Authorization:hush\n", "header Authorization"),
        ("[OUTPUT]\n    Name http\n    Http_Passwd\thush\n", "a tab does not separate"),
        ("[OUTPUT]\n    Name http\n    Http_Passwd hush\n    Http_Passwd hush\n", "is set 2 times"),
        ("[OUTPUT]\n    Name http\n    Http_Passwd hush${LOST}\n", "variable ${LOST} is not set"),
        ("[OUTPUT]\n    Name http\n     Http_Passwd hush\n   Http_Passwd hush\n", "indent"),
        ("@SET TOKEN =hush\n[OUTPUT]\n    Name http\n    Nothing x\n", "belong to the variable"),
        ("[INPUT]\n    Name forward\n    Security.Users hush\n", "has no password"),
        (
            "[INPUT]\n    Name exec_wasi\n    WASI_Path filter.wasm\n    Env hush\n    Env =hush\n",
            "'env'",
        ),
        ("[OUTPUT]\n    Name http\n    Host me:hush@[\n", "are no address"),
    ] {
        let run = agent(folder(&[("agent.conf", text)]).path(), &["-D", "-c", "agent.conf"]);
        assert_ne!(run.code, Some(0), "{text}\n{}", run.stderr);
        assert!(run.stderr.contains(words), "{text}\n{}", run.stderr);
        assert!(!run.stderr.contains("hush"), "{text}\n{}", run.stderr);
    }
    let yaml = "pipeline:\n  outputs:\n    - {name: http, http_passwd: hush, http_paswd: hush}\n";
    let run = agent(folder(&[("agent.yaml", yaml)]).path(), &["-D", "-c", "agent.yaml"]);
    check(&run, 1, &["http_paswd"]);
    assert!(!run.stderr.contains("hush"), "{}", run.stderr);
}

#[test]
fn a_secret_that_is_empty_is_an_error_in_a_dry_run_too() {
    let both = |end: &str, plugin: &str, property: &str| {
        let text = format!("[{end}]\n    Name {plugin}\n    {property}\n");
        let folder = folder(&[("agent.conf", &text), ("empty", "\n")]);
        for arguments in [&["-D", "-c", "agent.conf"][..], &["-c", "agent.conf"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
            command.args(arguments).current_dir(folder.path());
            let file = format!("file://{}/empty", folder.path().display());
            command.env("FILE", file).env_remove("UNSET").env_remove("HOME");
            let run = Program::start(command.env_remove("XDG_CACHE_HOME")).finish();
            let code = if arguments[0] == "-D" { 1 } else { 255 };
            assert_eq!(run.code, Some(code), "{property}\n{}", run.stderr);
            assert!(run.stderr.contains("is a secret, and"), "{property}\n{}", run.stderr);
        }
    };
    for value in ["${UNSET}", "${FILE}", "${UNSET:-}"] {
        both("INPUT", "forward", &format!("Shared_Key {value}"));
        both("OUTPUT", "forward", &format!("Password {value}"));
        both("OUTPUT", "http", &format!("HTTP_Passwd {value}"));
        both("OUTPUT", "http", &format!("Header X-Api-Key {value}"));
    }
    both("INPUT", "forward", "Security.Users me ${UNSET}");
    both("OUTPUT", "http", "Header Authorization Bearer ${UNSET}");
    both("OUTPUT", "http", "Header Authorization Bearer ${FILE}");
}

#[test]
fn help_as_json_is_of_all_plugins_or_of_one() {
    let folder = folder(&[]);
    let json = |arguments: &[&str]| -> serde_json::Value {
        let run = agent(folder.path(), arguments);
        check(&run, 0, &[]);
        serde_json::from_str(&run.stdout).unwrap()
    };
    let all = json(&["-J"]);
    let names = |kind: &str| -> Vec<String> {
        let plugins = all[kind].as_array().unwrap().iter();
        plugins.map(|plugin| plugin["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names("inputs").contains(&"dummy".to_owned()));
    assert!(names("outputs").contains(&"stdout".to_owned()));
    assert_eq!(names("processors"), names("filters"));
    let one = json(&["-i", "dummy", "-F", "wasm", "--help-json"]);
    assert_eq!(one["name"], "wasm");
    assert_eq!(one["type"], "filter");
    let options = one["properties"]["options"].as_array().unwrap();
    assert!(options.iter().any(|option| option["name"] == "wasm_path"), "{one}");
    assert_eq!(json(&["-r", "wasm", "-J"])["type"], "processor");
}

#[test]
fn completions_and_the_manual_page_have_every_option_and_plugin() {
    let folder = folder(&[]);
    for words in
        [&["man"][..], &["completions", "bash"], &["completions", "zsh"], &["completions", "fish"]]
    {
        let run = agent(folder.path(), words);
        check(&run, 0, &[]);
        for part in ["config", "dry", "help", "wasm", "dummy", "stdout"] {
            assert!(run.stdout.contains(part), "no {part} in {words:?}\n{}", run.stdout);
        }
        assert!(!run.stdout.contains("supervisor"), "{words:?} offers what is not supported");
    }
    check(
        &agent(folder.path(), &["completions", "tcsh"]),
        1,
        &["unknown shell 'tcsh'", "bash, zsh or fish"],
    );
    check(&agent(folder.path(), &["completions"]), 1, &["no shell was given"]);
}

#[test]
fn bash_takes_its_completions() {
    let folder = folder(&[]);
    let script = agent(folder.path(), &["completions", "bash"]).stdout;
    let ask = |words: &str, at: usize| {
        format!(
            "COMP_WORDS=({words}); COMP_CWORD={at}; _flb_agent 2>/dev/null; echo \"${{COMPREPLY[*]}}\""
        )
    };
    let ask = [
        ask("flb-agent -i du", 2),
        ask("flb-agent --output = std", 3),
        ask("flb-agent -i tail -p refr", 4),
        ask("flb-agent comp", 1),
        ask("flb-agent completions f", 2),
    ]
    .join("\n");
    let Ok(output) = Command::new("bash").args(["-c", &format!("{script}\n{ask}")]).output() else {
        eprintln!("skipped: there is no bash");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "dummy\nstdout\nrefresh_interval=\ncompletions\nfish\n",
        "{output:?}"
    );
}

#[test]
fn fish_takes_its_completions() {
    let folder = folder(&[]);
    let script = agent(folder.path(), &["completions", "fish"]).stdout;
    let lines =
        ["-i du", "--output=std", "-vi tail -p refr", "comp", "completions f", "config -i du"];
    let ask = lines.map(|line| format!("complete -C 'flb-agent {line}'")).join("\n");
    let Ok(output) = Command::new("fish").args(["-c", &format!("{script}\n{ask}")]).output() else {
        eprintln!("skipped: there is no fish");
        return;
    };
    let offered = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
    let expected =
        ["dummy", "--output=stdout", "refresh_interval=", "completions", "fish", "dummy"];
    assert_eq!(words, expected, "{output:?}");
}

#[test]
fn words_of_the_command_line_do_not_steer_the_terminal() {
    let run = agent(folder(&[]).path(), &["--\u{9b}31m", "\u{1b}[0m"]);
    check(&run, 1, &["\\u{9b}31m"]);
    assert!(!run.stderr.contains(['\u{9b}', '\u{1b}']), "{:?}", run.stderr);
}

#[test]
fn what_stands_beside_the_target_of_a_link_is_found() {
    let output = "[OUTPUT]\n    Name null\n    Match *\n";
    let input = "[INPUT]\n    Name tail\n    Path line\n    Parser mine\n";
    let folder = folder(&[
        ("parsers.conf", "[PARSER]\n    Name mine\n    Format json\n"),
        ("input.conf", input),
        ("output-1.conf", output),
        (
            "agent.conf",
            "[SERVICE]\n    Parsers_File parsers.conf\n@INCLUDE input.conf\n@INCLUDE output-*.conf\n",
        ),
        (
            "agent.yaml",
            "includes: [part.yaml, output-*.yaml]\nservice: {parsers_file: parsers.conf}\n",
        ),
        ("part.yaml", "pipeline: {inputs: [{name: tail, path: line, parser: mine}]}\n"),
        ("output-1.yaml", "pipeline: {outputs: [{name: 'null', match: '*'}]}\n"),
    ]);
    let links = tempfile::tempdir().unwrap();
    for name in ["agent.conf", "agent.yaml"] {
        let link = links.path().join(name);
        std::os::unix::fs::symlink(folder.path().join(name), &link).unwrap();
        let run = agent(Path::new("/"), &["-D", "-c", link.to_str().unwrap()]);
        check(&run, 0, &["configuration test is successful"]);
    }
}
