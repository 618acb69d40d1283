//! What makes, tests and measures filters: `new`, `test`, `bench`, `dev`, `run` on many records, `replay` by groups.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::stage::{Run, Stage, filter};

/// Answers its record, but traps where the key begins with an `x`, drops where it begins with a `d`.
const NO_X: &str = r#"(module (memory 1) (func $decide (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
    (if (i32.eq (i32.load8_u offset=2 (local.get 4)) (i32.const 120)) (then unreachable))
    (if (i32.eq (i32.load8_u offset=2 (local.get 4)) (i32.const 100)) (then (return (i32.const 0))))
    (local.get 4)))"#;

fn stage() -> Stage {
    let stage = Stage::new();
    stage.module("no_x.wasm", NO_X);
    std::fs::remove_file(stage.path("ok.wasm")).unwrap();
    stage
}

const GOOD: &str = "- about: some go, some stay\n  records: [{a: 1}, {d: 1}]\n  becomes: [{a: 1}]\n\
    - about: an x is too much\n  records: [{a: 1}, {x: 1}]\n  becomes: [{a: 1}]\n  fails: [{record: 1, class: trap, why: in decide}]\n";

#[test]
fn cases_pass_or_show_how_answers_differ() {
    let stage = stage();
    stage.write("cases.yaml", GOOD.as_bytes());
    let passed = "ok    some go, some stay\nok    an x is too much\n2 passed, 0 failed\n";
    stage.run("test").check(0, &[passed], &[]);
    stage.run("test no_x.wasm cases.yaml").check(0, &[passed], &[]);
    let bad = "{\"about\":\"b\",\"records\":[{\"a\":1},{\"x\":2}],\"becomes\":[{\"a\":2}]}\n";
    stage.write("bad.jsonl", bad.as_bytes());
    stage.run("test bad.jsonl").check(
        1,
        &[
            "FAIL  b  (bad.jsonl:1)\n  - {\"a\":2}\n  + {\"a\":1}\n  + record 1 fails: trap: Exception: unreachable (in decide)\n",
            "    on {\"x\":2}\n0 passed, 1 failed\n",
        ],
        &[],
    );
    stage.write("same.jsonl", b"{\"records\":[\"81a161d101f4\"],\"becomes\":[{\"a\":500}]}\n");
    let exactly = "  - {\"a\":500} msgpack 81a161cd01f4\n  + {\"a\":500} msgpack 81a161d101f4\n";
    stage.run("test same.jsonl --event-format msgpack").check(1, &[exactly], &[]);
}

#[test]
fn programs_read_what_came_of_cases() {
    let stage = stage();
    stage.write("cases.yaml", b"- about: a<b, c:d\n  records: [{a: 1}]\n- records: [{d: 1}]\n");
    stage.run("test --format=junit").check(
        1,
        &[
            "<testsuites tests=\"2\" failures=\"1\">\n<testsuite name=\"no_x.wasm\" tests=\"2\" failures=\"1\">\n",
            "<testcase classname=\"cases.yaml\" name=\"a&lt;b, c:d\" file=\"cases.yaml\" line=\"1\"><failure",
            "  + {&quot;a&quot;:1}</failure></testcase>\n",
            "name=\"line 3\" file=\"cases.yaml\" line=\"3\"/>\n</testsuite>\n</testsuites>\n",
        ],
        &[],
    );
    let line =
        "::error file=cases.yaml,line=1,title=a<b%2C c%3Ad::  + {\"a\":1}\n1 passed, 1 failed\n";
    stage.run("test --format github").check(1, &[line], &[]);
    let run = stage.run("test --format=json");
    let objects: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((run.code, objects.len()), (1, 2));
    assert_eq!(objects[0]["found"], serde_json::json!(["{\"a\":1}"]));
    assert_eq!((&objects[0]["passed"], &objects[1]["passed"]), (&false.into(), &true.into()));
    stage.run("test --format=xml").check(
        1,
        &[],
        &["'xml' is no format of a report; help: write --format=text, junit"],
    );
}

#[test]
fn what_cannot_be_tested_says_why() {
    let stage = stage();
    stage.run("test").check(1, &[], &["there are no cases; help: write some into cases.yaml"]);
    stage.write("cases.yaml", b"- records: [{a: 1}]\n  becoms: []\n");
    stage.run("test").check(
        1,
        &[],
        &["cases.yaml:1: 'becoms' is no key of a case; help: did you mean 'becomes'?"],
    );
    stage.write("cases.yaml", b"- filter: g\n  records: [{a: 1}]\n");
    stage.run("test").check(1, &[], &["cases.yaml:1: ", "'g' is not exported"]);
    stage.module("two.wasm", NO_X);
    stage.run("test").check(1, &[], &["several modules in this folder: no_x.wasm and two.wasm"]);
    for file in ["no_x.wasm", "two.wasm"] {
        std::fs::remove_file(stage.path(file)).unwrap();
    }
    stage.run("test").check(1, &[], &["there is no module in this folder; help: build it"]);
}

/// After a build that failed, the module is still the one before.
#[test]
fn a_module_that_is_older_than_its_sources_is_not_tested() {
    let stage = stage();
    stage.write("cases.yaml", GOOD.as_bytes());
    stage.write("filter.c", b"int x;");
    let module = std::fs::File::options().append(true).open(stage.path("no_x.wasm")).unwrap();
    let written = std::fs::metadata(stage.path("filter.c")).unwrap().modified().unwrap();
    let an_hour = std::time::Duration::from_secs(3600);
    module.set_modified(written - an_hour).unwrap();
    let older =
        "no_x.wasm is older than filter.c; help: build it again (make), and see that this passes";
    stage.run("test").check(1, &[], &[older]);
    stage.run("bench").check(1, &[], &[older]);
    // What is named is meant.
    stage.run("test no_x.wasm").check(0, &["2 passed"], &[]);
    module.set_modified(written + an_hour).unwrap();
    stage.run("test").check(0, &["2 passed"], &[]);
}

#[test]
fn a_wanted_failure_without_a_reason_is_shown_without() {
    let stage = stage();
    let case = "- about: b\n  records: [{a: 1}]\n  fails: [{record: 0, class: refused}]\n\
        - about: c\n  records: [{a: 1}]\n  fails: [{class: start}]\n";
    stage.write("cases.yaml", case.as_bytes());
    let shown = ["  - record 0 fails: refused\n", "  - one fails: start\n"];
    stage.run("test").check(1, &shown, &[]);
}

#[test]
fn a_language_that_is_not_there_is_named_with_where_to_get_it() {
    let stage = Stage::new();
    for (language, setting, words) in [
        ("rust", "CARGO=no-such", "it needs Rust with the target"),
        ("c", "CLANG=no-such", "it needs clang and lld"),
        ("go", "GO=no-such", "To get it: https://go.dev/dl; a filter in C needs"),
        ("zig", "ZIG=no-such", "To get it: https://ziglang.org/download"),
    ] {
        stage.run(&format!("new {language} --lang {language}")).check(0, &[], &[]);
        let output = shell(&stage.path(language), &format!("make {setting}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains("cannot run 'no-such'") && said.contains(words), "{said}");
    }
}

#[test]
fn nobody_watches_a_file_of_cases_that_is_not_there() {
    let run = stage().run("dev nope.yaml");
    run.check(1, &[], &["nope.yaml: No such file", "help: look at the path"]);
}

/// The suite that all SDKs must pass is in the format that `test` reads.
#[test]
fn the_suite_of_the_sdks_passes() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/conformance");
    let stage = Stage::new();
    for language in ["rust", "c"] {
        let (module, cases) =
            (suite.join(language).with_extension("wasm"), suite.join("cases.jsonl"));
        let run =
            stage.run(&format!("test {} {} --deadline 60", module.display(), cases.display()));
        run.check(0, &[" passed, 0 failed\n"], &[]);
    }
}

#[test]
fn a_bench_has_a_budget() {
    let stage = stage();
    stage.write("records.jsonl", b"{\"a\":1}\n\n{\"d\":1}\n");
    let words = [
        "a record: p50 ",
        " ns, p99 ",
        " records/s on a core\n",
        " % guest, ",
        "memory:   64 KiB\n",
    ];
    stage.run("bench --for 1ms").check(0, &words, &[]);
    stage.run("bench no_x.wasm --for 1ms --batch 1 --budget 1s").check(0, &words, &[]);
    stage.run("bench --for 0.001 --deadline 500ms --budget 1").check(0, &words, &[]);
    stage.run("bench --for 1ms --budget 1ns").check(3, &words, &["and 1 ns is the budget"]);
    let run = stage.run("bench --for=1ms --json --records records.jsonl");
    let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(object["p99_ns"].as_f64() >= object["p50_ns"].as_f64(), "{object}");
    stage.write("records.jsonl", b"{\"a\":1}\n{\"x\":1}\n");
    stage.run("bench --for 1ms --budget 1ns").check(
        1,
        &["failed:   ", "unreachable (in decide)"],
        &[],
    );
    stage.write("records.jsonl", b"{\"a\":1}\n5\n");
    stage.run("bench").check(1, &[], &["records.jsonl:2: the record is no JSON object"]);
    stage.write("records.jsonl", b"\n");
    stage.run("bench").check(1, &[], &["records.jsonl holds no record"]);
    stage.run("bench --budget 5m").check(
        1,
        &[],
        &["'5m' is no time; help: write seconds, such as"],
    );
    for batch in ["0", "4097", "x"] {
        let line = format!("bench --batch {batch}");
        stage.run(&line).check(
            1,
            &[],
            &["is no number of records for a call; help: give 1 to 4096"],
        );
    }
    stage.run("bench --help").check(0, &["up to 4096"], &[]);
    stage.run("bench no_x.wasm records.jsonl").check(1, &[], &["name records with --records FILE"]);
}

#[test]
fn many_records_come_from_a_file_or_from_stdin() {
    let stage = stage();
    let records = b"{\"a\":1}\n{\"d\":2}\n\n{\"b\":3.0}\n";
    stage.write("r.jsonl", records);
    let (out, note) = ("{\"a\":1}\n{\"b\":3.0}\n", "note: 3 records: 2 pass, 1 dropped, 0 fail\n");
    let run = stage.run("run no_x.wasm --records r.jsonl");
    run.check(0, &[], &[note]);
    assert_eq!(run.stdout, out);
    let run = stage.run_fed("run no_x.wasm --records -", records);
    assert_eq!((run.code, &*run.stdout), (0, out));
    stage.write("r.jsonl", b"{\"x\":1}\n{\"a\":1}\n");
    stage.run("run no_x.wasm --records r.jsonl").check(
        1,
        &["{\"a\":1}\n"],
        &[
            "line 1 fails: trap: Exception: unreachable (in decide), on {\"x\":1}\n",
            "1 pass, 0 dropped, 1 fail",
        ],
    );
    stage.run("run no_x.wasm --records no").check(1, &[], &["no: No such file", "help: look at"]);
}

#[test]
fn a_quarantine_is_grouped_by_what_failed_where() {
    let stage = stage();
    let line = |record: &str| {
        let path = stage.path("no_x.wasm").display().to_string();
        format!(
            "{{\"time\":\"1.5\",\"tag\":\"t\",\"class\":\"trap\",\"message\":\"\",\"backtrace\":[],\"filter\":\"wasm.0\",\
             \"path\":\"{path}\",\"module\":\"\",\"function\":\"f\",\"format\":\"json\",\"record\":{record}}}\n"
        )
    };
    let lines: Vec<_> = ["{\"a\":1}", "{\"x\":1}", "{\"d\":1}", "{\"x\":2}"].map(line).into();
    stage.write("q.jsonl", lines.concat().as_bytes());
    let run = stage.run("replay --group q.jsonl");
    run.check(1, &["2 records: trap: Exception: unreachable (in decide)\n    on lines 2, 4\n4 records: 1 pass, 1 dropped, 2 fail\n"], &[]);
    let run = stage.run("replay --group --json q.jsonl");
    let group: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&group["records"], &group["lines"]), (&2.into(), &serde_json::json!([2, 4])));
}

#[test]
fn a_new_filter_has_a_name_and_a_folder_of_its_own() {
    let stage = Stage::new();
    for (language, source) in [
        ("rust", "src/lib.rs"),
        ("c", "filter.c"),
        ("go", "filter.go"),
        ("zig", "filter.zig"),
        ("assemblyscript", "filter.ts"),
    ] {
        let run = stage.run(&format!("new my-{language} --lang {language}"));
        run.check(0, &[&format!("cd my-{language} && make && flb-wamrc test")], &[]);
        let folder = stage.path(&format!("my-{language}"));
        for file in [
            source,
            "Makefile",
            "cases.yaml",
            "agent.conf",
            "README.md",
            ".github/workflows/filter.yml",
        ] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            assert!(!text.replace("${{ vars", "").contains("{{"), "{file}: {text}");
        }
    }
    stage.run("new my-c --lang c").check(
        1,
        &[],
        &["my-c is there already; help: choose another name"],
    );
    stage.run("new a/b --lang c").check(
        1,
        &[],
        &["'a/b' is no name of a filter; help: use up to 64"],
    );
    stage.run("new --lang c").check(1, &[], &["no name was given"]);
    stage.run("new x").check(1, &[], &["no language was given; help: write --lang rust, c, go"]);
    stage.run("new x --lang cobol").check(
        1,
        &[],
        &["'cobol' is no language of filters; help: write --lang"],
    );
    assert!(!stage.path("x").exists());
}

/// Runs a command in a shell, where `flb-wamrc` is on the path.
fn shell(folder: &Path, line: &str) -> std::process::Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_flb-wamrc")).parent().unwrap();
    let line = format!("PATH='{}':$PATH; {line}", programs.display());
    Command::new("sh").arg("-c").arg(line).current_dir(folder).output().unwrap()
}

/// What a language is built with here, as settings of `make`; nothing if it is not there. `cargo xtask filters` brings what lacks.
fn toolchain(language: &str) -> Option<String> {
    let works = |line: &str| shell(Path::new("."), line).status.success();
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../toolchains");
    let tools = tools.canonicalize().unwrap_or(tools).display().to_string();
    let (check, settings) = match language {
        "rust" => ("test -e \"$(rustc --print target-libdir --target wasm32-unknown-unknown)\"/libcore-*.rlib".to_owned(), String::new()),
        "c" => ("clang --version && wasm-ld --version".to_owned(), String::new()),
        "zig" => {
            let cache = format!("ZIG_GLOBAL_CACHE_DIR={tools}/zig-cache ZIG_LOCAL_CACHE_DIR={tools}/zig-local");
            (format!("{tools}/zig/ziglang/zig version"), format!("ZIG='{cache} {tools}/zig/ziglang/zig'"))
        }
        "go" => {
            let go = format!("GOTOOLCHAIN=local GOROOT={tools}/go/go GOCACHE={tools}/go-cache {tools}/go/go/bin/go");
            (format!("{go} version"), format!("GO='{go}'"))
        }
        _ => (format!("{tools}/as/node_modules/.bin/asc --version"), format!("ASC={tools}/as/node_modules/.bin/asc")),
    };
    works(&check).then_some(settings)
}

#[test]
fn a_new_filter_is_built_tested_and_measured() {
    let stage = Stage::new();
    for language in ["rust", "c", "zig", "go", "assemblyscript"] {
        let Some(settings) = toolchain(language) else {
            eprintln!("skipped: nothing here builds {language} for WebAssembly");
            continue;
        };
        stage.run(&format!("new {language} --lang {language}")).check(0, &[], &[]);
        let line = format!("make {settings} && flb-wamrc test && flb-wamrc bench --for 10ms");
        let output = shell(&stage.path(language), &line);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{language}: {output:?}");
        assert!(text.contains("2 passed, 0 failed\n") && text.contains("records/s"), "{text}");
    }
}

/// A text in which numbers of this machine and moment don't count.
fn timeless(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' | ',' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            _ => plain.push(letter),
        }
    }
    plain
}

/// The session that the README shows is what happens.
#[test]
fn the_readme_shows_what_happens() {
    const PAGE: &str = include_str!("../../../../README.md");
    if toolchain("rust").is_none() {
        eprintln!("skipped: nothing here builds Rust for WebAssembly");
        return;
    }
    let (_, rest) = PAGE.split_once("```\n$ flb-wamrc new").unwrap();
    let session = format!("$ flb-wamrc new{}", rest.split("```").next().unwrap());
    let (commands, shown): (Vec<&str>, Vec<&str>) =
        session.lines().partition(|line| line.starts_with("$ "));
    let commands: Vec<&str> = commands.iter().map(|line| &line[2..]).collect();
    let stage = Stage::new();
    let output = shell(&stage.path(""), &format!("set -e; {}", commands.join("; ")));
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(timeless(&printed), timeless(&(shown.join("\n") + "\n")));
    assert!(stage.path("hide/hide.aot").exists());
}

/// `dev`, running.
struct Dev {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Dev {
    fn start(stage: &Stage, words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flb-wamrc"));
        command.arg("dev").args(words).current_dir(stage.path("")).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// What it says until a round is over.
    fn round(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for line in self.lines.by_ref().map(Result::unwrap) {
            let is_over = line.ends_with(" failed");
            said.push(line);
            if is_over {
                break;
            }
        }
        said
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(unix)]
#[test]
fn whoever_saves_a_file_sees_which_answers_change() {
    let stage = Stage::new();
    std::fs::remove_file(stage.path("ok.wasm")).unwrap();
    let wasm = |answer: &str| {
        let text = format!(
            "(module (memory 1) (data (i32.const 16) \"{answer}\") {})",
            filter("i32.const 16")
        );
        wat::parse_str(text).unwrap()
    };
    stage.write("one", &wasm(r#"{\"a\":1}\00"#));
    stage.write("two", &wasm(r#"{\"a\":2}\00"#));
    stage.write("source", b"one");
    stage.write("cases.yaml", b"- about: a\n  records: [{}]\n  becomes: [{a: 1}]\n");
    let mut dev = Dev::start(&stage, &["--build", "cp $(cat source) f.wasm"]);
    assert_eq!(dev.round(), ["ok    a", "1 passed, 0 failed"]);
    stage.write("source", b"two   ");
    assert_eq!(
        dev.round(),
        [
            "changed: a",
            "  - {\"a\":1}",
            "  + {\"a\":2}",
            "FAIL  a  (cases.yaml:1)",
            "0 passed, 1 failed"
        ]
    );
    stage.write("cases.yaml", b"- about: a\n  records: [{}]\n  becomes: [{a: 2}]\n- about: b\n  records: [{}, {}]\n  becomes: [{a: 2}, {a: 2}]\n");
    assert_eq!(dev.round(), ["ok    b", "2 passed, 0 failed"]);
}

/// The command line of `new` is checked before anything is written.
#[test]
fn a_language_is_named() {
    let stage = Stage::new();
    let run: Run = stage.run("new x --help");
    run.check(0, &["rust|c|go|zig|assemblyscript", "What the filter is written in"], &[]);
}
