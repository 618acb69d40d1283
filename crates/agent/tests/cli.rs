//! The whole program from outside: arguments, files, exit codes, what it prints, signals.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use flb_testkit::{Program, Run};
use serde_json::{Value, json};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(arguments).env_remove("FLB_LOG_LEVEL").env("TZ", "UTC");
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    command
}

/// Runs the agent to its end.
fn run(arguments: &[&str]) -> Run {
    Program::start(&mut command(arguments)).finish()
}

/// A new folder with one file.
fn folder(name: &str, file: &str, text: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(file), text).unwrap();
    folder
}

/// Runs the agent with a configuration file, until its input ends.
fn run_config(name: &str, text: &str, arguments: &[&str]) -> Run {
    let folder = folder(name, "agent.conf", text);
    let path = folder.join("agent.conf");
    run(&[&["-c", path.to_str().unwrap()], arguments].concat())
}

#[test]
fn the_version_is_one_line() {
    for option in ["-V", "--version", "--vers"] {
        let run = run(&[option]);
        run.check(0, &[]);
        assert_eq!(run.stdout, concat!("flb-agent v", env!("CARGO_PKG_VERSION"), "\n"));
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn the_help_text_has_options_plugins_and_exit_codes() {
    for (option, words) in [
        (
            "--help",
            &["\n  inputs   cpu, dummy, ", "\n  filters  ", ", wasm; ", "\n  outputs  "][..],
        ),
        (
            "--help-all",
            &["\nInputs:\n", "\n  dummy ", "\nFilters", "\n  wasm ", "\nOutputs:\n", "\n  stdout "],
        ),
    ] {
        let run = run(&[option]);
        run.check(0, &[]);
        let always =
            ["Usage: flb-agent [OPTION]", "-c, --config <FILE>", "\n  config  ", "\n  255 "];
        for words in words.iter().chain(&always) {
            assert!(run.stdout.contains(words), "no {words:?} in\n{}", run.stdout);
        }
        let refused = run.stdout.contains("\nNot supported yet:\n");
        assert_eq!(refused, option == "--help-all", "{}", run.stdout);
        assert!(!run.stdout.contains('\u{1b}'), "no terminal, no colours: {}", run.stdout);
    }
}

#[test]
fn the_help_text_of_a_plugin_comes_from_its_table() {
    let run = run(&["-i", "dummy", "-F", "wasm", "-h"]);
    run.check(0, &[]);
    for words in ["wasm filter plugin", "DESCRIPTION", "\nwasm_path ", "type: string", "\nmatch "] {
        assert!(run.stdout.contains(words), "no {words:?} in\n{}", run.stdout);
    }
}

#[test]
fn a_wrong_command_line_ends_with_1() {
    run(&["--confg", "x"])
        .check(1, &["error: unrecognized option '--confg'", "did you mean --config?"]);
    run(&["-c"]).check(1, &["option -c (--config) needs FILE"]);
    run(&["-p", "a=b"]).check(1, &["-p a=b is for no plugin", "help:"]);
    run(&["--sp-task", "1"]).check(1, &["option -T (--sp-task) is not supported yet"]);
    run(&["--daemon"]).check(1, &["the agent stays in the foreground", "service manager"]);
}

#[test]
fn a_configuration_that_cannot_be_read_ends_with_1() {
    run(&["-c", "/nowhere/agent.conf"])
        .check(1, &["/nowhere/agent.conf", "[error] could not open configuration file, aborting."]);
    run_config("grammar", "[INPUT\n Name dummy\n", &[]).check(
        1,
        &["bad header definition", "[error] configuration file contains errors, aborting."],
    );
}

#[test]
fn a_wrong_configuration_ends_with_1() {
    for (text, words) in [
        (
            "[INPUT]\n Name dumy\n",
            "[config] section 'dumy' tried to instance a plugin name that doesn't exist",
        ),
        ("[OUTPUT]\n Match *\n", "[config] section 'output' is missing the 'name' property"),
        (
            "[INPUT]\n Name dummy\n Log_Level loud\n",
            "[config] could not configure property 'log_level' on input plugin with section name 'dummy'",
        ),
        ("[SERVICE]\n Flush 0\n", "invalid flush value, aborting."),
        (
            "[SERVICE]\n Log_Level loud\n",
            "[config] could not configure service property 'log_level'",
        ),
        ("[SERVICE]\n Parsers_File nowhere.conf\n", "nowhere.conf"),
    ] {
        let run = run_config("wrong", text, &[]);
        run.check(1, &[words, "[error] configuration file contains errors, aborting."]);
    }
}

#[test]
fn whoever_asks_for_a_plugin_that_is_not_here_is_told_what_to_do() {
    for (section, name, help) in [
        ("FILTER", "Lookup", "is not built here; write it as a WebAssembly filter"),
        #[cfg(not(feature = "kafka"))]
        ("OUTPUT", "kafka", "take an agent from a package, or build one with --features kafka"),
        ("OUTPUT", "nats", "is not built here; send with the output forward"),
        ("INPUT", "kmsg", "dmesg --follow"),
    ] {
        let conf = format!("[{section}]\n Name {name}\n Match *\n Script x.lua\n");
        let first = format!("section '{name}' tried to instance a plugin name that doesn't exist");
        run_config("absent", &conf, &[]).check(1, &[&first, help]);
    }
}

#[test]
fn a_plugin_that_cannot_start_ends_with_255() {
    let conf = "[INPUT]\n Name dummy\n[FILTER]\n Name wasm\n Match *\n Tag dummy.*\n[OUTPUT]\n Name null\n";
    run_config("tag", conf, &[]).check(
        255,
        &[
            "[config] wasm: unknown configuration property 'tag'. The following properties are allowed: ",
            "agent.conf:6:2",
            "did you mean 'Match'?",
            "[error] Failed initialize filter wasm.0",
            "try the command: flb-agent -F wasm -h",
            "[error] [engine] filter initialization failed",
        ],
    );
    let conf = "[INPUT]\n Name dummy\n[FILTER]\n Name wasm\n[OUTPUT]\n Name null\n";
    run_config("matchless", conf, &[]).check(
        255,
        &[
            "[filter] NO match rule for wasm.0 filter instance, unloading.",
            "[error] Failed initialize filter wasm.0",
            "try the command: flb-agent -F wasm -h",
            "[error] [engine] filter initialization failed",
        ],
    );
    run(&["-i", "dummy", "-p", "rate=fast", "-o", "null"])
        .check(255, &["'rate'", "command line:1:", "[error] [engine] input initialization failed"]);
    run(&["-i", "syslog", "-p", "format=octets", "-o", "null"])
        .check(255, &["'format'", "[error] [engine] input initialization failed"]);
    run(&["-i", "dummy", "-F", "wasm", "-m", "*", "-p", "wasm_path=/nowhere.wasm", "-o", "null"])
        .check(255, &["/nowhere.wasm", "[error] Failed initialize filter wasm.0"]);
}

#[test]
fn a_dry_run_builds_everything_and_runs_nothing() {
    let conf = "[INPUT]\n Name dummy\n[OUTPUT]\n Name stdout\n";
    let run = run_config("dry", conf, &["--dry-run"]);
    run.check(0, &["configuration test is successful"]);
    assert_eq!(run.stdout, "");
    let conf = "[INPUT]\n Name dummy\n Rate fast\n[OUTPUT]\n Name stdout\n";
    run_config("dry_wrong", conf, &["-D"]).check(1, &["'rate'", "configuration test has failed"]);
}

/// A module whose start function traps, and that asks for a folder: nothing of it may run.
const TRAP_AT_START: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $start unreachable)
    (start $start)
    (func (export "NAME") unreachable)
    (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))"#;

#[test]
fn a_dry_run_leaves_no_trace() {
    let conf = "[SERVICE]\n Log_File agent.log\n storage.path chunks\n storage.keep.rejected on\n HTTP_Server on\n \
                HTTP_Listen 127.0.0.1\n HTTP_Port PORT\n wasm.cache cache\n\
                [INPUT]\n Name tail\n Path log\n DB tail.db\n storage.type filesystem\n\
                [INPUT]\n Name forward\n Unix_Path socket\n\
                [INPUT]\n Name tcp\n Listen 127.0.0.1\n Port PORT\n\
                [INPUT]\n Name exec\n Command touch ran\n Oneshot on\n\
                [INPUT]\n Name exec_wasi\n WASI_Path p.wasm\n Accessible_Paths granted\n\
                [FILTER]\n Name wasm\n Match *\n WASM_Path f.wasm\n Function_Name f\n Watch on\n \
                Accessible_Paths granted\n On_Error quarantine\n Quarantine_Path q/r\n\
                [OUTPUT]\n Name file\n Match *\n Path out/put\n Mkdir on\n Rotate on\n";
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = folder("traceless", "agent.conf", &conf.replace("PORT", &port));
    std::fs::create_dir(folder.join("granted")).unwrap();
    for (file, name) in [("f.wasm", "_initialize"), ("p.wasm", "_start")] {
        let module = wat::parse_str(TRAP_AT_START.replace("NAME", name)).unwrap();
        std::fs::write(folder.join(file), module).unwrap();
    }
    let there = || -> Vec<_> {
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = there();
    let mut command = command(&["-D", "-c", "agent.conf"]);
    command.current_dir(&folder).env("XDG_CACHE_HOME", folder.join("home-cache"));
    Program::start(&mut command).finish().check(0, &["configuration test is successful"]);
    assert_eq!(there(), before);
    assert_eq!(std::fs::read_dir(folder.join("granted")).unwrap().count(), 0);
    // What would be in the way is told.
    std::fs::write(folder.join("q"), "a file").unwrap();
    let conf = std::fs::read_to_string(folder.join("agent.conf")).unwrap();
    let conf = conf.replace("DB tail.db", "DB no/tail.db").replace("agent.log", "no/agent.log");
    std::fs::write(folder.join("agent.conf"), conf).unwrap();
    let mut command = self::command(&["-D", "-c", "agent.conf"]);
    command.current_dir(&folder);
    let run = Program::start(&mut command).finish();
    run.check(1, &["configuration test has failed"]);
    for words in ["the log file 'no/agent.log'", "db no/tail.db", "the quarantine folder q/r"] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
}

#[test]
fn a_dry_run_is_in_no_agent_s_way() {
    let conf = "[SERVICE]\n Flush 0.1\n storage.path chunks\n[INPUT]\n Name tail\n Path log\n DB tail.db\n \
                storage.type filesystem\n[OUTPUT]\n Name null\n";
    let folder = folder("beside", "agent.conf", conf);
    let run = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.current_dir(&folder);
        Program::start(&mut command)
    };
    let mut agent = run(&["-c", "agent.conf"]);
    assert!(agent.wait_for("[flb-agent] version="));
    run(&["-D", "-c", "agent.conf"]).finish().check(0, &["configuration test is successful"]);
    agent.signal("TERM");
    agent.finish().check(0, &[]);
}

#[test]
fn options_without_meaning_here_are_accepted() {
    run(&["-D", "-s", "24576"]).check(0, &["configuration test is successful"]);
}

#[test]
fn a_banner_comes_first() {
    let run = run(&["-i", "stdin", "-o", "null"]);
    assert!(run.stderr.starts_with("flb-agent v"), "{}", run.stderr);
}

#[test]
fn the_end_of_stdin_stops_the_agent_when_all_is_delivered() {
    let mut agent = Program::start_fed(&mut command(&["-i", "stdin", "-t", "in", "-o", "stdout"]));
    agent.write("{\"a\":1}\n{\"b\":\"two\"}\n");
    let run = agent.finish();
    run.check(
        0,
        &[
            "end of file",
            "[engine] service has stopped (0 pending tasks)",
            "[input:stdin:stdin.0] 2 records",
            "[output:stdout:stdout.0] 2 records: 2 delivered, 0 dropped",
        ],
    );
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("[0] in: [[") && lines[0].contains("\"a\"=>1"), "{}", run.stdout);
    assert!(lines[1].starts_with("[1] in: [[") && lines[1].contains("\"two\""), "{}", run.stdout);
}

#[test]
fn an_output_can_end_the_agent() {
    let conf = "[INPUT]\n    Name dummy\n    Rate 100\n[OUTPUT]\n    Name stdout\n    Match *\n\
                [OUTPUT]\n    Name exit\n    Match *\n    Record_Count 10\n";
    let run = run_config("exit", conf, &["-f", "0.1"]);
    run.check(0, &["[engine] a plugin asks the agent to end"]);
    assert!(run.stdout.lines().count() >= 10, "{}", run.stdout);
}

#[test]
fn a_record_that_is_not_as_expected_can_be_the_agents_exit_code() {
    let mut agent = vec!["-i", "dummy", "-F", "expect", "-m", "*", "-p", "key_exists=level"];
    agent.extend(["-p", "action=exit", "-o", "null", "-f", "0.1"]);
    run(&agent).check(255, &["not as expected, 'key_exists level'"]);
}

#[test]
fn a_command_s_exit_code_can_be_the_agents() {
    let exec = "command=echo last words; exit 7";
    let mut agent = vec!["-i", "exec", "-p", exec, "-p", "exit_after_oneshot=on"];
    agent.extend(["-p", "propagate_exit_code=on", "-o", "stdout"]);
    let run = run(&agent);
    run.check(7, &["the command exited with 7", "1 delivered, 0 dropped"]);
    assert!(run.stdout.contains("last words"), "{}", run.stdout);
}

#[test]
fn json_escapes_unicode_unless_told_otherwise() {
    let output = "[INPUT]\n Name stdin\n[OUTPUT]\n Name stdout\n Format json_lines\n";
    for (service, expected) in
        [("", "\"\\u00e4\""), ("[SERVICE]\n json.escape_unicode off\n", "\"ä\"")]
    {
        let folder = folder("unicode", "agent.conf", &format!("{service}{output}"));
        let mut command = command(&["-c", "agent.conf"]);
        command.current_dir(folder);
        let mut agent = Program::start_fed(&mut command);
        agent.write("{\"a\":\"ä\"}");
        let run = agent.finish();
        run.check(0, &[]);
        assert!(run.stdout.contains(expected), "{expected}: {}", run.stdout);
    }
}

#[test]
fn joined_lines_stay_within_the_limit() {
    let conf = "[INPUT]\n Name stdin\n[FILTER]\n Name multiline\n Match *\n Multiline.Key_Content log\n \
                Multiline.Parser java\n[OUTPUT]\n Name stdout\n Format json_lines\n";
    for (service, records) in [("", 1), ("[SERVICE]\n Multiline_Buffer_Limit 60\n", 2)] {
        let folder = folder("joined", "agent.conf", &format!("{service}{conf}"));
        let mut command = command(&["-c", "agent.conf"]);
        command.current_dir(folder);
        let mut agent = Program::start_fed(&mut command);
        agent.write("{\"log\":\"java.lang.Error: x\\n\"}\n");
        for line in ["at a", "at b", "at c"] {
            agent.write(&format!("{{\"log\":\"  {line} of some length\\n\"}}\n"));
        }
        let run = agent.finish();
        run.check(0, &[]);
        assert_eq!(run.stdout.lines().count(), records, "{}", run.stdout);
        assert!(run.stdout.contains("at c of some length"), "{}", run.stdout);
    }
}

#[test]
fn a_signal_stops_the_agent_gracefully() {
    for name in ["INT", "TERM", "QUIT"] {
        let arguments = ["-f", "3600", "-i", "dummy", "-p", "rate=100", "-o", "stdout"];
        let mut agent = Program::start(&mut command(&arguments));
        assert!(agent.wait_for("[flb-agent] version="));
        std::thread::sleep(Duration::from_millis(300));
        agent.signal(name);
        let run = agent.finish();
        run.check(
            0,
            &[
                &format!("[engine] caught signal (SIG{name})"),
                "[ warn] [engine] service will shutdown in max 5 seconds",
                "[engine] service has stopped (0 pending tasks)",
            ],
        );
        assert!(run.stdout.contains("[0] dummy.0: "), "{}", run.stdout);
    }
}

#[test]
fn a_hang_up_does_not_end_the_agent() {
    let mut agent = Program::start_fed(&mut command(&["-i", "dummy", "-o", "null"]));
    assert!(agent.wait_for("[flb-agent] version="));
    agent.signal("HUP");
    assert!(agent.wait_for("[reload] hot reloading is not enabled"));
    agent.signal("TERM");
    agent.finish().check(0, &[]);
}

/// An agent that cannot deliver what it has read, and was asked to end.
fn ending_slowly(name: &str) -> Program {
    let conf = "[SERVICE]\n Grace 600\n Flush 0.05\n[INPUT]\n Name stdin\n[OUTPUT]\n Name stdout\n";
    let folder = folder(name, "agent.conf", conf);
    let mut agent = Program::start_unread(command(&["-c", "agent.conf"]).current_dir(folder));
    // More than a pipe holds.
    agent.write(&format!("{{\"a\":\"{}\"}}\n", "x".repeat(300_000)));
    assert!(agent.wait_for("[flb-agent] version="));
    std::thread::sleep(Duration::from_millis(500));
    agent.signal("TERM");
    assert!(agent.wait_for("service will shutdown in max 600 seconds"));
    agent
}

#[test]
fn a_second_signal_does_not_wait() {
    let agent = ending_slowly("second");
    agent.signal("INT");
    agent.finish().check(1, &["cut off by a second signal: 1 records are lost"]);
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    // As `timeout` sends it: to the process, and to its group.
    for _ in 0..5 {
        let mut agent = Program::start(&mut command(&["-i", "dummy", "-o", "null"]));
        assert!(agent.wait_for("[flb-agent] version="));
        let id = agent.id().to_string();
        let twice = format!("kill -s TERM {id}; kill -s TERM {id} 2>/dev/null; true");
        assert!(Command::new("sh").args(["-c", &twice]).status().unwrap().success());
        agent.finish().check(0, &["[engine] service has stopped (0 pending tasks)"]);
    }
}

#[test]
fn the_same_signal_later_does_not_wait() {
    let agent = ending_slowly("later");
    std::thread::sleep(Duration::from_millis(600));
    agent.signal("TERM");
    agent.finish().check(1, &["cut off by a second signal"]);
}

#[test]
fn a_tag_in_a_filter_is_taken_as_its_match() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let conf = format!("{root}/examples/conf/seed-as-published.conf");
    let mut agent = Program::start(&mut command(&["-f", "0.1", "-c", &conf]));
    agent.wait_for_output("\"lang\"=>\"Rust\"");
    agent.signal("TERM");
    let run = agent.finish();
    run.check(
        0,
        &["a filter has no 'Tag'", "seed-as-published.conf:", "write Match dummy.*", "stopped"],
    );
    assert_eq!(run.stderr.matches("write Match").count(), 1, "{}", run.stderr);
    let wasm = format!("{root}/examples/filters/rust-enrich.wasm");
    let yaml = format!(
        "service: {{flush: 0.1}}\npipeline:\n  inputs: [{{name: dummy, tag: dummy.local}}]\n  filters:\n    \
         - {{name: wasm, tag: 'dummy.*', wasm_path: {wasm}, function_name: rust_filter}}\n    \
         - {{name: grep, tag: 'other.*', regex: message nothing}}\n  \
         outputs: [{{name: stdout, match: '*'}}]\n"
    );
    let folder = folder("tag_as_match", "agent.yaml", &yaml);
    let mut command = command(&["-c", "agent.yaml"]);
    command.current_dir(folder);
    let mut agent = Program::start(&mut command);
    agent.wait_for_output("\"lang\"=>\"Rust\"");
    agent.signal("TERM");
    agent.finish().check(0, &["write Match dummy.*", "write Match other.*"]);
}

#[test]
fn an_agent_without_an_input_or_an_output_says_so() {
    for (arguments, lacks) in [(["-i", "dummy"], "no output"), (["-o", "null"], "no input")] {
        let mut agent = Program::start(&mut command(&arguments));
        assert!(agent.wait_for(&format!("[engine] there is {lacks}, so")));
        agent.signal("TERM");
        agent.finish().check(0, &[]);
    }
}

#[test]
fn an_output_that_matches_nothing_is_told_of() {
    let conf = "[SERVICE]\n Flush 0.01\n[INPUT]\n Name dummy\n Flush_On_Startup on\n[OUTPUT]\n Name null\n \
                Match *\n[OUTPUT]\n Name file\n Match dumy.*\n";
    let folder = folder("idle", "agent.conf", conf);
    let mut command = command(&["-c", "agent.conf"]);
    command.current_dir(folder);
    let mut agent = Program::start(&mut command);
    assert!(agent.wait_for("[router] [output:file:file.1] has received nothing so far"));
    agent.signal("TERM");
    let run = agent.finish();
    run.check(0, &[]);
    assert!(!run.stderr.contains("null.0] has received nothing"), "{}", run.stderr);
}

#[test]
fn a_wrong_service_key_hides_no_other_mistake() {
    let conf = "[SERVICE]\n Flush never\n Grace soon\n[INPUT]\n Name tail\n[FILTER]\n Name wasm\n Match *\n \
                WASM_Path no.wasm\n Function_Name f\n[FILTER]\n Name grep\n Match *\n Regexp a b\n\
                [OUTPUT]\n Name fille\n";
    for arguments in [&[][..], &["-D"]] {
        let run = run_config("all_mistakes", conf, arguments);
        run.check(1, &[]);
        for words in [
            "'flush'",
            "'grace'",
            "no input 'path' was given",
            "no.wasm",
            "'regexp'",
            "did you mean 'file'?",
        ] {
            assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        }
    }
}

#[test]
fn the_file_beats_the_command_line_and_comes_after_it() {
    let conf = "[SERVICE]\n Flush 0.1\n[INPUT]\n Name dummy\n[OUTPUT]\n Name stdout\n Match *\n";
    let folder = folder("order", "agent.conf", conf);
    let path = folder.join("agent.conf");
    let arguments = ["-f", "3600", "-i", "dummy", "-c", path.to_str().unwrap()];
    let mut agent = Program::start(&mut command(&arguments));
    agent.wait_for_output("[0] dummy.0: ");
    agent.wait_for_output("[0] dummy.1: ");
    agent.signal("TERM");
    agent.finish().check(0, &["[input:dummy:dummy.0]", "[input:dummy:dummy.1]"]);
}

#[test]
fn files_are_found_from_the_working_directory() {
    let conf = "@INCLUDE more.conf\n[OUTPUT]\n Name null\n Match *\n";
    let folder = folder("workdir", "agent.conf", conf);
    std::fs::write(folder.join("more.conf"), "[INPUT]\n Name dummy\n Tag ${TAG:-none}\n").unwrap();
    let arguments = ["-w", folder.to_str().unwrap(), "-c", "agent.conf", "-D"];
    run(&arguments).check(0, &["configuration test is successful"]);
    run(&["-w", "/nowhere"]).check(255, &["cannot change to the directory '/nowhere'"]);
}

#[test]
fn variables_come_from_the_environment() {
    let arguments = ["-f", "0.1", "-i", "dummy", "-t", "from.${PLACE}", "-o", "stdout"];
    let mut command = command(&arguments);
    command.env("PLACE", "here");
    let mut agent = Program::start(&mut command);
    agent.wait_for_output("[0] from.here: ");
    agent.signal("TERM");
    agent.finish().check(0, &[]);
}

#[test]
fn quiet_means_nothing_on_stderr() {
    let run = run(&["-q", "-i", "stdin", "-o", "null"]);
    run.check(0, &[]);
    assert_eq!(run.stderr, "");
}

#[test]
fn verbose_means_more() {
    let debug = "[debug] [input:stdin:stdin.0]";
    assert!(!run(&["-i", "stdin", "-o", "null"]).stderr.contains(debug));
    run(&["-v", "-i", "stdin", "-o", "null"]).check(0, &[debug]);
    let alone = ["-i", "stdin", "-p", "log_level=debug", "-o", "null"];
    run(&alone).check(0, &[debug]);
}

#[test]
fn the_environment_has_the_last_word_on_the_log_level() {
    let conf = "[SERVICE]\n Log_Level debug\n[INPUT]\n Name stdin\n[OUTPUT]\n Name null\n";
    let folder = folder("level", "agent.conf", conf);
    let mut command = command(&["-c", "agent.conf"]);
    command.current_dir(folder).env("FLB_LOG_LEVEL", "error");
    let run = Program::start(&mut command).finish();
    run.check(0, &[]);
    assert!(!run.stderr.contains("[ info]") && !run.stderr.contains("[debug]"), "{}", run.stderr);
}

#[test]
fn a_log_file_takes_the_log() {
    let folder = folder("log_file", "agent.log", "before\n");
    let path = folder.join("agent.log");
    let run = run(&["-l", path.to_str().unwrap(), "-i", "stdin", "-o", "null"]);
    run.check(0, &[]);
    assert!(!run.stderr.contains("service has stopped"), "{}", run.stderr);
    let log = std::fs::read_to_string(path).unwrap();
    assert!(log.starts_with("before\n[20") && log.contains("service has stopped"), "{log}");
}

#[test]
fn a_log_line_has_time_and_level() {
    let run = run(&["-i", "stdin", "-o", "null"]);
    let line = run.stderr.lines().find(|line| line.contains("service has stopped")).unwrap();
    let shape: String =
        line.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    assert_eq!(
        shape,
        "[0000/00/00 00:00:00.000] [ info] [engine] service has stopped (0 pending tasks)"
    );
}

/// Every line of stderr, each a JSON object.
#[track_caller]
fn json_lines(run: &Run) -> Vec<Value> {
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("{error}: {line}\n{}", run.stderr);
        });
        let time: String =
            value["time"].as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(time, "0000-00-00T00:00:00.000+00:00", "{line}");
        value
    };
    run.stderr.lines().map(line).collect()
}

#[test]
fn the_log_can_be_json() {
    let conf = "[SERVICE]\n Log_Format json\n[INPUT]\n Name stdin\n Log_Level debug\n[OUTPUT]\n Name null\n";
    for run in [
        run(&["--log-format=json", "-i", "stdin", "-p", "log_level=debug", "-o", "null"]),
        run_config("log_format", conf, &[]),
    ] {
        run.check(0, &[]);
        let mut lines = json_lines(&run);
        assert!(lines.iter().any(|line| line["component"] == "input:stdin:stdin.0"), "{lines:?}");
        let mut last = lines.remove(lines.len() - 3);
        last["time"].take();
        assert_eq!(
            last,
            json!({"time": null, "level": "info", "component": "engine", "message": "service has stopped (0 pending tasks)"})
        );
    }
}

#[test]
fn what_is_wrong_is_said_in_json_too() {
    let conf = "[SERVICE]\n Flsh 1\n[INPUT]\n Name stdin\n[OUTPUT]\n Nme null\n";
    let run = run_config("log_format_wrong", conf, &["--log-format", "json", "word"]);
    run.check(1, &[]);
    let found: Vec<Value> = json_lines(&run)
        .into_iter()
        .map(|line| {
            let place = line["place"].as_str().and_then(|place| place.rsplit('/').next());
            json!([line["level"], line["component"], place, line["help"]])
        })
        .collect();
    assert_eq!(
        found,
        [
            json!(["warn", "config", null, null]),
            json!(["warn", "config", "agent.conf:2:2", "did you mean 'flush'?"]),
            json!(["error", "config", "agent.conf:5:2", "add the plugin's name: Name ..."]),
            json!(["error", null, null, null]),
        ]
    );
}

#[test]
fn a_wrong_log_format_ends_with_1() {
    run(&["--log-format", "xml", "-i", "stdin", "-o", "null"])
        .check(1, &["could not configure service property 'log_format'", "text, json"]);
}

#[test]
fn of_lines_that_begin_alike_one_is_logged_and_the_others_are_counted() {
    let conf =
        "[INPUT]\n Name stdin\n Parser timed\n Log_Suppress_Interval 1h\n[OUTPUT]\n Name null\n";
    let folder = folder("suppress", "agent.conf", conf);
    let parser = "[PARSER]\n Name timed\n Format json\n Time_Key t\n Time_Format %s\n";
    std::fs::write(folder.join("p.conf"), parser).unwrap();
    let mut command = command(&["-R", "p.conf", "-c", "agent.conf"]);
    command.current_dir(folder);
    let mut agent = Program::start_fed(&mut command);
    agent.write(&"{\"t\": \"never\"}\n".repeat(8));
    let run = agent.finish();
    run.check(0, &["invalid time format", "[input:stdin:stdin.0] 3 similar lines were not logged"]);
    assert_eq!(run.stderr.matches("invalid time format").count(), 1, "{}", run.stderr);
}

#[test]
fn a_parsers_file_is_looked_for_beside_the_configuration() {
    let conf = "[INPUT]\n Name stdin\n Parser mine\n[OUTPUT]\n Name null\n";
    let folder = folder("parsers", "agent.conf", conf);
    std::fs::write(folder.join("p.conf"), "[PARSER]\n Name mine\n Format json\n").unwrap();
    let path = folder.join("agent.conf");
    let path = path.to_str().unwrap();
    run(&["-R", "p.conf", "-c", path]).check(0, &[]);
    run(&["-R", "nowhere.conf", "-c", path]).check(1, &["command line:1:", "nowhere.conf"]);
}

/// The line of the README that runs a filter on a log, as it stands there.
#[test]
fn the_readmes_line_reads_what_is_there_and_what_comes() {
    const PAGE: &str = include_str!("../../../README.md");
    let line = PAGE.lines().find(|line| line.starts_with("flb-agent -i tail")).unwrap();
    let folder = folder("readme", "app.log", "{\"user\":\"jane\"}\n");
    let answers = r#"(module (memory (export "memory") 1)
        (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 4)))"#;
    std::fs::write(folder.join("hide.aot"), wat::parse_str(answers).unwrap()).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_flb-agent"));
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("PATH={}:$PATH; exec {line}", program.parent().unwrap().display())]);
    bash.current_dir(&folder).env_remove("HOME").env_remove("FLB_LOG_LEVEL");
    let mut agent = Program::start(&mut bash);
    agent.wait_for_output(r#"{"user"=>"jane"}"#);
    let log = std::fs::File::options().append(true).open(folder.join("app.log"));
    std::io::Write::write_all(&mut log.unwrap(), b"{\"user\":\"joe\"}\n").unwrap();
    agent.wait_for_output(r#"{"user"=>"joe"}"#);
    agent.terminate().check(0, &[]);
}
