//! The commands beside compiling, each with real files.

use flb_artifact::{Artifact, ArtifactBuilder, Levels, SliceCode, Target};
use flb_compiler::{CompileOptions, Compiler};

use crate::stage::{Stage, answer, filter};

const RUST_ENRICH: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/filters/rust-enrich.wasm");

#[test]
fn inspect_shows_what_an_artifact_is_made_of() {
    let stage = Stage::new();
    let line = format!("--target=x86_64:x86-64-v2,aarch64 -o x.aot {RUST_ENRICH}");
    stage.run(&line).check(0, &[], &[]);
    stage.run("inspect x.aot").check(
        0,
        &[
            "kind:          artifact\n",
            "target:        x86_64-unknown-linux-gnu\n",
            "  cpu:         x86-64-v2\n",
            "  features:    cmpxchg16b popcnt sse3 sse41 sse42 ssse3\n",
            "  engine:      wasmtime 48.",
            "  rust_filter: (i32, i32, i32, i32, i32, i32) -> i32\n",
            "signer:        none\n",
            " rust_filter\n",
            " .text\n",
        ],
        &[],
    );
    let run = stage.run("inspect --json x.aot");
    let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(object["slices"][0]["cpu"], "x86-64-v2");
    assert_eq!(object["slices"][0]["compressed"], true);
    assert_eq!(object["source"]["size"], std::fs::metadata(RUST_ENRICH).unwrap().len());
    let functions = object["slices"][1]["functions"].as_array().unwrap();
    assert!(functions.iter().any(|one| one[0] == "rust_filter" && one[1].as_u64() > Some(0)));
}

#[test]
fn inspect_shows_what_a_module_is_made_of() {
    let stage = Stage::new();
    stage.run("inspect ok.wasm").check(
        0,
        &["kind:          module\n", "memory:        initial pages 1", " code\n", "  f: (i32,"],
        &[],
    );
    stage.run("inspect").check(1, &[], &["no file was given"]);
    stage.run("inspect ok.wasm ok.wasm").check(1, &[], &["a second file 'ok.wasm'"]);
    stage.run("inspect --jsn ok.wasm").check(1, &[], &["did you mean '--json'?"]);
    stage.run("inspect --help").check(0, &["Usage: flb-wamrc inspect [options] FILE"], &[]);
}

#[test]
fn verify_finds_every_kind_of_damage() {
    let stage = Stage::new();
    stage.run("--target=x86_64,aarch64,armv7 -o x.aot ok.wasm").check(0, &[], &[]);
    stage.run("verify x.aot --rebuild").check(
        0,
        &[
            "x.aot: whole, its code is what this compiler makes of its module\n",
            "aarch64-unknown-linux-gnu: the same",
            "the whole file is the same\nnot shown:  who made it (--key FILE.pub)\n",
        ],
        &[],
    );
    let whole = std::fs::read(stage.path("x.aot")).unwrap();
    for at in [0, 9, 40, 170, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        stage.write("damaged.aot", &damaged);
        stage.run("verify damaged.aot").check(1, &[], &["error: damaged.aot: "]);
    }
    stage.write("cut.aot", &whole[..whole.len() - 1]);
    stage.run("verify cut.aot").check(1, &[], &["bytes where the header says"]);
}

/// An artifact of one module with the code of another.
fn forge(stage: &Stage, wasm: &[u8], text: &str, change: impl Fn(&mut Vec<u8>)) {
    let target = Target::parse("x86_64", None, None).unwrap();
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target.clone()],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: false,
        producer: "flb-wamrc 0.1.0".to_owned(),
        jobs: 1,
    });
    let made = compiler.compile(&wat::parse_str(text).unwrap()).unwrap();
    let made = Artifact::parse(made).unwrap();
    let slice = &made.metadata().slices[0];
    let mut code = made.code(slice).unwrap().into_owned();
    change(&mut code);
    let forged = ArtifactBuilder::new("flb-wamrc 0.1.0", wasm, made.metadata().interface.clone())
        .slice(SliceCode {
            target,
            options: slice.options,
            engine: slice.engine.clone(),
            no_signals: slice.no_signals.clone(),
            code,
            compress: true,
        })
        .build(Some(wasm))
        .unwrap();
    stage.write("forged.aot", &forged);
}

#[test]
fn verify_finds_code_that_the_module_does_not_give() {
    let stage = Stage::new();
    let good = std::fs::read(stage.path("ok.wasm")).unwrap();
    forge(&stage, &good, &answer("evil"), |_| {});
    let not_shown = "not shown:  who made it (--key FILE.pub), nor that its code comes from its module (--rebuild)";
    stage.run("verify forged.aot").check(0, &["forged.aot: whole\n", not_shown], &[]);
    stage.run("verify forged.aot --rebuild").check(
        1,
        &[],
        &["is not what this compiler makes of the module; help: don't run it"],
    );
}

#[test]
fn forged_images_crash_nothing() {
    let stage = Stage::new();
    let text = answer("evil");
    let wasm = wat::parse_str(&text).unwrap();
    for step in 0..120 {
        forge(&stage, &wasm, &text, |code| {
            let at = code.len() - 1 - step * 7;
            code[at] ^= 0xff;
        });
        for command in ["inspect", "disasm"] {
            let run = stage.run(&format!("{command} forged.aot"));
            assert!(run.code <= 1, "{command}, {step}: {run:?}");
            assert!(!run.stderr.contains("panicked"), "{command}, {step}: {run:?}");
        }
    }
}

#[test]
fn keys_sign_and_verify() {
    let stage = Stage::new();
    stage.run("-o x.aot ok.wasm").check(0, &[], &[]);
    stage.run("verify x.aot").check(0, &["signature:  none"], &[]);
    let made = stage.run("keygen mine");
    made.check(0, &["flb-public-key:"], &[]);
    assert_eq!(std::fs::read_to_string(stage.path("mine.pub")).unwrap(), made.stdout);
    stage.run("keygen other").check(0, &[], &[]);
    stage.run("verify x.aot --key mine.pub").check(1, &[], &["not signed; help: sign it"]);
    let key = made.stdout.trim();
    stage.run("sign --key mine x.aot").check(0, &["x.aot: signed by ", key], &[]);
    stage.run("verify --key=other.pub --key mine.pub x.aot --rebuild").check(
        0,
        &[
            "x.aot: whole, signed by one of the given keys, its code is what",
            key,
            "the whole file is the same",
        ],
        &[],
    );
    stage.run("verify --key other.pub x.aot").check(1, &[], &["which is none of the given keys"]);
    stage.run("inspect x.aot").check(0, &["signer:        flb-public-key:"], &[]);
    stage.run("keygen mine").check(
        1,
        &[],
        &["mine.pub is there already; help: choose another name"],
    );
    stage.run("sign x.aot").check(1, &[], &["one --key is needed"]);
    stage.run("sign --key mine.pub x.aot").check(
        1,
        &[],
        &["not a key: expected 'flb-secret-key:'"],
    );
    stage.run("sign --key mine ok.wasm").check(1, &[], &["it is a WebAssembly module"]);
}

#[test]
fn a_signature_says_which_filter_it_is_if_told_to() {
    let stage = Stage::new();
    stage.run("--size-level=0 -o x.aot ok.wasm").check(0, &[], &[]);
    let unsigned = std::fs::read(stage.path("x.aot")).unwrap();
    stage.run("keygen k").check(0, &[], &[]);
    stage.run("sign --key k --name redact --version 1.4.0 x.aot").check(
        0,
        &["x.aot: signed as redact 1.4.0 by flb-public-key:"],
        &[],
    );
    stage.run("verify x.aot --key k.pub --rebuild").check(
        0,
        &["release:    redact 1.4.0, by the signer's word\n", "the whole file is the same"],
        &[],
    );
    stage.run("inspect x.aot").check(0, &["release:       redact 1.4.0\n"], &[]);
    stage.run("run x.aot --record {}").check(0, &["{\"a\":1}"], &[]);
    // A name for which nobody stands.
    let mut bytes = std::fs::read(stage.path("x.aot")).unwrap();
    bytes[64..160].fill(0);
    stage.write("bare.aot", &bytes);
    stage.run("verify bare.aot").check(0, &["redact 1.4.0, by nobody's word", "none\n"], &[]);
    stage.run("sign --key k x.aot").check(0, &["x.aot: signed by "], &[]);
    let mut again = std::fs::read(stage.path("x.aot")).unwrap();
    again[64..160].fill(0);
    assert!(again == unsigned, "without a name it is as it was");
    for (options, words) in [
        ("--name redact", "a name and a version belong together; help: write --name"),
        ("--name a/b --version 1", "'a/b' is no name of a filter; help: use up to 64 letters"),
        ("--name a --version 1.x", "'1.x' is no version; help: use up to four numbers"),
    ] {
        stage.run(&format!("sign --key k {options} x.aot")).check(1, &[], &[words]);
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_a_new_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new();
    stage.run("keygen k").check(0, &[], &[]);
    let mode =
        |name: &str| std::fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("k"), 0o600);
    std::fs::remove_file(stage.path("k.pub")).unwrap();
    let secret = std::fs::read(stage.path("k")).unwrap();
    stage.run("keygen k").check(1, &[], &["k is there already"]);
    assert_eq!(std::fs::read(stage.path("k")).unwrap(), secret);
}

#[test]
fn disasm_shows_machine_code_for_every_native_target() {
    let stage = Stage::new();
    stage.run("--target=x86_64,aarch64,riscv64,s390x,armv7 -o x.aot ok.wasm").check(0, &[], &[]);
    for (target, instruction) in [
        ("x86_64", "push rbp"),
        ("aarch64", "stp x29, x30"),
        ("riscv64", "addi"),
        ("s390x", "stmg"),
    ] {
        let run = stage.run(&format!("disasm x.aot f --target {target}"));
        run.check(0, &[&format!("f ({target}"), instruction], &[]);
    }
    stage.run("disasm x.aot").check(0, &["f (s390x"], &["portable", "nothing to disassemble"]);
    stage.run("disasm x.aot g").check(1, &[], &["there is no function 'g'"]);
    stage.run("disasm x.aot --target portable").check(1, &[], &["WebAssembly for an interpreter"]);
    stage.run("disasm x.aot --target mips").check(1, &[], &["there is code for x86_64-"]);
    stage.run("disasm ok.wasm").check(1, &[], &["it is a WebAssembly module"]);
}

#[test]
fn run_prints_the_verdict() {
    let stage = Stage::new();
    stage.module("drop.wasm", &format!("(module (memory 1) {})", filter("i32.const 0")));
    stage.module("trap.wasm", &format!("(module (memory 1) {})", filter("unreachable")));
    stage.module("bad.wasm", &answer(r"oops\00"));
    stage.run("run ok.wasm --record {}").check(0, &["{\"a\":1}\n"], &[]);
    stage.run("run drop.wasm --record {}").check(0, &["dropped\n"], &[]);
    stage.run("run trap.wasm --record {}").check(
        1,
        &[],
        &["error: trap.wasm: Exception: unreachable"],
    );
    stage.run("run bad.wasm --record {}").check(1, &[], &["invalid JSON format", "buf: oops"]);
    stage.run("run ok.wasm --function g --record {}").check(1, &[], &["did you mean 'f'?"]);
    stage.run("run ok.wasm").check(1, &[], &["no record was given; help: add one: --record"]);
    stage.run("run ok.wasm --record [1]").check(1, &[], &["the record is no JSON object"]);
    stage.run("run ok.wasm --record {}{}").check(1, &[], &["'{}' follows the record"]);
    stage.run("run ok.wasm --record {} --time x").check(1, &[], &["'x' is not a time"]);
    stage.run("run ok.wasm --record {} --format xml").check(1, &[], &["give json or msgpack"]);
}

#[test]
fn deadlines_are_given_in_seconds() {
    let stage = Stage::new();
    stage.module(
        "ever.wasm",
        &format!("(module (memory 1) {})", filter("(loop (br 0)) unreachable")),
    );
    stage.run("run ever.wasm --record {} --deadline 0.02").check(
        1,
        &[],
        &["the first call took longer than its deadline of 20 ms"],
    );
    stage.run("run ever.wasm --record {} --deadline 3600 --start-deadline=0.03").check(
        1,
        &[],
        &["the first call took longer than its deadline of 30 ms", "raise Start_Deadline"],
    );
    for wrong in ["0", "x", "-1", "1e9", "nan", "3601"] {
        let run = stage.run(&format!("run ok.wasm --record {{}} --deadline {wrong}"));
        run.check(1, &[], &["give between 1ms and 3600s, such as 0.5"]);
    }
}

#[test]
fn a_file_that_is_not_granted_is_told() {
    let stage = Stage::new();
    let module = format!(
        r#"(module (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 64) "/etc/list") {})"#,
        filter(
            "(drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 9) (i32.const 0) (i64.const 2)
                (i64.const 0) (i32.const 0) (i32.const 8))) (i32.const 0)"
        )
    );
    stage.module("asks.wasm", &module);
    let words = "it asked for '/etc/list', which is not granted; help: give its folder with --dir";
    stage.run("run asks.wasm --record {}").check(0, &["dropped"], &[words]);
    stage.run("check asks.wasm").check(0, &[words], &[]);
}

#[test]
fn check_names_the_abi_version() {
    let stage = Stage::new();
    stage.module(
        "two.wasm",
        r#"(module (memory 1) (data (i32.const 16) "{}") (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i64)
            (i64.const 0x200000010)))"#,
    );
    stage.run("check ok.wasm").check(
        0,
        &["(i32, i32, i32, i32, i32, i32) -> i32, ABI version 1"],
        &[],
    );
    stage.run("check two.wasm").check(
        0,
        &["(i32, i32, i32, i32, i32, i32) -> i64, ABI version 2", "no problems"],
        &[],
    );
    stage.run("run two.wasm --record {}").check(0, &["{}"], &[]);
}

#[test]
fn run_hands_over_tag_time_and_record() {
    let stage = Stage::new();
    stage.run(&format!("-o x.aot {RUST_ENRICH}")).check(0, &[], &[]);
    for file in ["x.aot", RUST_ENRICH] {
        let words = ["run", file, "--record", "{\"log\": \"hé\"}", "--tag=a.b", "--time", "12.5"];
        stage.run_words("", &words).check(
            0,
            &["\"log\":\"hé\"", "\"tag\":\"a.b\"", "1970-01-01T00:00:12.500000000Z"],
            &[],
        );
    }
    let other = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };
    stage.run(&format!("--target={other} -o other.aot ok.wasm")).check(0, &[], &[]);
    stage.run("run other.aot --record {}").check(1, &[], &["this host is"]);
    stage.module("echo.wasm", &format!("(module (memory 1) {})", filter("local.get 4")));
    stage.run("run echo.wasm --format=msgpack --record {\"k\":[1,null]}").check(
        0,
        &["{\"k\":[1,null]}\n"],
        &[],
    );
}

/// The module of the agent's tests that looks around in its sandbox.
const SANDBOX: &str = include_str!("../../../../tests/filter/modules/sandbox.wat");

#[test]
fn run_grants_directories_variables_and_arguments() {
    let stage = Stage::new();
    stage.module("s.wasm", SANDBOX);
    let run = |line: &str, answer: &str| {
        let line = format!("run s.wasm --record {{}} --function {line}");
        stage.run(&line).check(0, &[answer], &[]);
    };
    run("environment", r#"{"list":""}"#);
    run("environment --env A=1 --env B=", r#"{"list":"A=1;B=;"}"#);
    run("arguments --arg=-v --arg x", r#"{"list":"s.wasm;-v;x;"}"#);
    run("create --dir .:ro", r#"{"errno":63}"#);
    run("create --dir .", r#"{"errno":0}"#);
    assert!(stage.path("new.txt").exists());
    stage.run("run s.wasm --record {} --function flood").check(
        0,
        &[],
        &["stdout: one\nstdout: two\nstdout: \\u{1b}[0mthree\n"],
    );
    let wrong = "run s.wasm --record {} --function environment --env";
    stage.run(&format!("{wrong} A")).check(1, &[], &["'A': a variable is KEY=VALUE"]);
}

#[test]
fn completions_and_the_manual_page_have_every_working_option() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = stage.run(&format!("completions {shell}"));
        let target = if shell == "fish" { "-l target " } else { "--target=" };
        run.check(0, &[target, "size-level", "keygen", "rebuild"], &[]);
        assert!(!run.stdout.contains("mllvm"));
    }
    stage.run("completions tcsh").check(1, &[], &["unknown shell 'tcsh'"]);
    stage.run("completions").check(1, &[], &["write flb-wamrc completions bash, zsh or fish"]);
    let page = [
        "\\fB\\-\\-size\\-level\\fR=\\fI<0..3>",
        ".SS \"flb-wamrc verify",
        "\\-\\-mllvm\\fR=\\fI<OPTION>",
        ".TH FLB",
    ];
    stage.run("man").check(0, &page, &[]);
}

#[cfg(target_os = "linux")]
#[test]
fn bash_takes_its_completions() {
    let stage = Stage::new();
    let mut script = stage.run("completions bash").stdout;
    script.push_str("COMP_WORDS=(flb-wamrc --tar)\nCOMP_CWORD=1\n_flb_wamrc 2>/dev/null\n");
    script.push_str("echo \"${COMPREPLY[*]}\"\n");
    script.push_str("COMP_WORDS=(flb-wamrc --interruption = s)\nCOMP_CWORD=3\n_flb_wamrc\n");
    script.push_str("echo \"${COMPREPLY[*]}\"\n");
    script.push_str("COMP_WORDS=(flb-wamrc verify --re)\nCOMP_CWORD=2\n_flb_wamrc\n");
    script.push_str("echo \"${COMPREPLY[*]}\"\n");
    stage.write("test.bash", script.as_bytes());
    let Ok(output) = std::process::Command::new("bash").arg(stage.path("test.bash")).output()
    else {
        eprintln!("skipped: there is no bash");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "--target= --target-abi=\nsignal\n--rebuild\n"
    );
}

/// Answers its record, but traps where the key begins with an `x`, drops where it begins with a `d`.
const NO_X: &str = r#"(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
    (if (i32.eq (i32.load8_u offset=2 (local.get 4)) (i32.const 120)) (then unreachable))
    (if (i32.eq (i32.load8_u offset=2 (local.get 4)) (i32.const 100)) (then (return (i32.const 0))))
    (local.get 4)))"#;

#[test]
fn records_of_a_quarantine_run_again() {
    let stage = Stage::new();
    stage.module("no_x.wasm", NO_X);
    stage.module("two.wasm", &answer(r#"[{\"a\":1},{}]\00"#));
    let line = |record: &str| {
        let path = stage.path("no_x.wasm").display().to_string();
        format!(
            "{{\"time\":\"1.5\",\"tag\":\"t\",\"class\":\"trap\",\"message\":\"\",\"backtrace\":[],\"filter\":\"wasm.0\",\
             \"path\":\"{path}\",\"module\":\"\",\"function\":\"f\",\"format\":\"json\",\"record\":{record}}}\n"
        )
    };
    let lines = [line("{\"a\":1.50}"), line("{\"d\":1}"), "half a li\n".into(), line("{\"x\":1}")];
    stage.write("q.jsonl", lines.concat().as_bytes());
    stage.run("replay q.jsonl").check(
        1,
        &[
            "1: was trap, passes: {\"a\":1.5}\n2: was trap, dropped\n",
            "4: was trap, fails: Exception: unreachable (in function 0)\n",
            "3 records: 1 pass, 1 dropped, 1 fail; lines that are not of a quarantine: 1, the first is \
             line 3: it is no JSON object",
        ],
        &["no_x.wasm is another module than the one that failed"],
    );
    let json = stage.run("replay --json q.jsonl");
    json.check(1, &[r#"{"line":1,"now":"passes","was":"trap","records":[{"a":1.5}]}"#], &[]);
    assert!(
        json.stdout.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    stage.write("q.jsonl", (line("{}") + &line("{\"x\":1}")).as_bytes());
    stage.run("replay --module two.wasm q.jsonl").check(
        0,
        &[
            "1: was trap, passes: {\"a\":1} {}\n2: was trap",
            "2 records: 2 pass, 0 dropped, 0 fail\n",
        ],
        &[],
    );
    let msgpack = line("{}").replace("\"format\":\"json\"", "\"format\":\"msgpack\"");
    stage.write("msgpack.jsonl", msgpack.as_bytes());
    stage.run("replay --module two.wasm msgpack.jsonl").check(1, &["was trap, fails: "], &[]);
    let json = stage.run("replay --module two.wasm --format json msgpack.jsonl");
    json.check(0, &["was trap, passes: "], &[]);
    let missing = stage.run("replay --module no.wasm q.jsonl");
    missing.check(1, &[], &["help: give its module with --module FILE"]);
}

/// A filter of the batch ABI that puts its configuration in the place of records, and refuses those that have metadata.
const CONFIGURED: &str = r#"(module (memory (export "memory") 1) (data (i32.const 16) "metadata")
    (func (export "flb_batch_1"))
    (func $say (param i32 i32 i32 i32)
        (i32.store offset=20 (local.get 0) (local.get 1)) (i32.store offset=24 (local.get 0) (local.get 2))
        (i32.store offset=28 (local.get 0) (local.get 3)))
    (func (export "f") (param $batch i32) (result i32) (local $rec i32) (local $start i32)
        (local.set $rec (i32.load offset=16 (local.get $batch)))
        (local.set $start (i32.load offset=60 (local.get $batch)))
        (i32.store offset=12 (local.get $batch) (i32.const 1))
        (if (i32.ne (i32.load8_u (i32.load offset=8 (local.get $rec))) (i32.const 0x80))
            (then (call $say (local.get $rec) (i32.const 5) (i32.const 16) (i32.const 8)) (return (i32.const 0))))
        (call $say (local.get $rec) (i32.const 3) (i32.load offset=8 (local.get $start)) (i32.load offset=12 (local.get $start)))
        (i32.const 0)))"#;

#[test]
fn a_filter_of_the_batch_abi_runs_as_any_other() {
    let stage = Stage::new();
    stage.module("f.wasm", CONFIGURED);
    let configured = ["{\"limit\":\"7\",\"a.b\":\"\"}\n"];
    stage.run("run f.wasm --record {} --config Limit=7 --config a.b=").check(0, &configured, &[]);
    stage.run("run f.wasm --record {} --config limit").check(
        1,
        &[],
        &["a variable is KEY=VALUE", "--config limit=7"],
    );
    stage.run("-o f.aot f.wasm").check(0, &[], &[]);
    stage.run("inspect f.aot").check(0, &["batch abi:     1\n", "by pages"], &[]);
    stage.run("check f.aot").check(0, &["f: (i32) -> i32, the batch ABI"], &[]);
    let line = |metadata: &str| {
        let path = stage.path("f.aot").display().to_string();
        format!(
            "{{\"time\":\"1.5\",\"tag\":\"t\",\"class\":\"refused\",\"message\":\"\",\"backtrace\":[],\"filter\":\"wasm.0\",\
             \"path\":\"{path}\",\"module\":\"\",\"function\":\"f\",\"format\":\"batch\"{metadata},\"record\":{{}}}}\n"
        )
    };
    stage.write("q.jsonl", (line("") + &line(",\"metadata\":{\"m\":1}")).as_bytes());
    stage.run("replay --config limit=8 q.jsonl").check(
        1,
        &[
            "1: was refused, passes: {\"limit\":\"8\"}\n",
            "2: was refused, fails: the filter refuses the record: metadata\n",
        ],
        &[],
    );
}

#[test]
fn another_file_than_a_quarantine_is_told_once() {
    let stage = Stage::new();
    stage.write("app.log", "a line of a log\n".repeat(1000).as_bytes());
    for (file, why) in
        [("app.log", "line 1: it is no JSON object"), ("ok.wasm", "is not a quarant")]
    {
        let run = stage.run(&format!("replay {file}"));
        run.check(1, &[], &[why, "help: give a file that a filter with On_Error quarantine"]);
        assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1));
        let run = stage.run(&format!("replay --json {file}"));
        assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (1, ""));
    }
}

#[test]
fn a_record_comes_from_a_file_or_from_stdin() {
    let stage = Stage::new();
    stage.module("echo.wasm", &format!("(module (memory 1) {})", filter("local.get 4")));
    stage.write("record.json", b"{\"from\": \"file\"}\n");
    stage.run("run echo.wasm --record @record.json").check(0, &["{\"from\":\"file\"}\n"], &[]);
    stage.run_fed("run echo.wasm --record -", b"{\"from\":\"stdin\"}\n").check(
        0,
        &["{\"from\":\"stdin\"}\n"],
        &[],
    );
    stage.run_fed("check echo.wasm --record=-", b"{}").check(0, &["10000 answered"], &[]);
    stage.run("run echo.wasm --record @no.json").check(
        1,
        &[],
        &["no.json: No such file", "help: look at the path"],
    );
    stage.write("two.json", b"{}\n{}\n");
    stage.run("check echo.wasm --record @two.json").check(1, &[], &["'{}' follows the record"]);
    stage.run_fed("run echo.wasm --record -", b"").check(1, &[], &["the record is no JSON object"]);
}

#[test]
fn failures_are_json_for_programs() {
    let stage = Stage::new();
    for (line, error, help) in [
        ("--json -o x.aot no.wasm", "Read file to buffer failed: open file no.wasm failed", true),
        ("--json -o no/x.aot ok.wasm", "open or create aot file failed: no/x.aot", true),
        ("--json", "no output file was given", true),
        ("inspect --json no.wasm", "open file no.wasm failed", true),
        ("check --json no.wasm", "open file no.wasm failed", true),
        ("check --json --record x ok.wasm", "the record is no JSON object", true),
        ("replay no.jsonl --json", "no.jsonl: No such file", true),
        ("inspect --json --frob", "unknown option '--frob'", true),
    ] {
        let run = stage.run(line);
        assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{run:?}");
        let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(object["error"].as_str().unwrap().contains(error), "{run:?}");
        assert_eq!(object["help"].is_string(), help, "{run:?}");
    }
}
