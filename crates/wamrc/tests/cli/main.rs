//! The whole program from outside: words, files, exit codes, what it prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
#[cfg(unix)]
mod examples;
mod foreign_text;
mod limits;
mod options;
mod outputs;
mod stage;
mod trial;
mod workshop;

use stage::Stage;

#[test]
fn the_known_command_prints_the_known_lines() {
    let stage = Stage::new();
    let line = "--size-level=3 --target=aarch64v8 --cpu=cortex-a57 -o x.aot ok.wasm";
    let run = stage.run(line);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(
        run.stdout,
        "Create AoT compiler with:\n  \
         target:        aarch64v8\n  \
         target cpu:    cortex-a57\n  \
         target triple: aarch64-unknown-linux-gnu\n  \
         cpu features:  \n  \
         opt level:     3\n  \
         size level:    3\n  \
         output format: AoT file\n\
         Compile success, file x.aot was generated.\n"
    );
}

#[test]
fn several_targets_print_a_block_each_and_share_a_file() {
    let stage = Stage::new();
    let run = stage.run("--target=x86_64:x86-64-v3,aarch64,armv7 -o x.aot ok.wasm");
    run.check(
        0,
        &["target:        x86_64\n  target cpu:    x86-64-v3", "+avx2", "aarch64", "armv7"],
        &["portable"],
    );
    let inspect = stage.run("inspect x.aot");
    inspect.check(0, &["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "portable"], &[]);
}

#[test]
fn the_json_object_says_what_was_made() {
    let stage = Stage::new();
    let run = stage.run("--json --target=x86_64,aarch64 -o x.aot ok.wasm");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let size = std::fs::metadata(stage.path("x.aot")).unwrap().len();
    assert_eq!(object["output"], "x.aot");
    assert_eq!(object["size"], size);
    assert_eq!(object["targets"][1]["target"], "aarch64-unknown-linux-gnu");
    assert_eq!(object["digest"].as_str().unwrap().len(), 64);
    assert_eq!(object["source"]["embedded"], true);
}

#[test]
fn the_output_depends_on_nothing_but_input_and_options() {
    let stage = Stage::new();
    let targets = "--target=x86_64,aarch64:cortex-a76,riscv64,s390x,armv7";
    let module = stage.path("ok.wasm");
    std::fs::create_dir(stage.path("elsewhere")).unwrap();
    let outputs = ["-j1 ", "-j 2 ", "-j8 ", ""].map(|jobs| {
        let run = stage.run(&format!("-v=0 {jobs}{targets} -o x.aot ok.wasm"));
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
        std::fs::read(stage.path("x.aot")).unwrap()
    });
    let line = format!("-v=0 {targets} -o other.aot {}", module.display());
    stage.run_in("elsewhere", &line).check(0, &[], &[]);
    let elsewhere = std::fs::read(stage.path("elsewhere/other.aot")).unwrap();
    assert!(outputs.iter().all(|output| *output == elsewhere));
}

#[test]
fn inputs_that_are_no_module_are_named_for_what_they_are() {
    let stage = Stage::new();
    stage.write("empty", b"");
    stage.write("text", b"hello");
    stage.write("wamr.aot", b"\0aot\x05\0\0\0");
    stage.write("magic.wasm", b"\0asm\x01\0\0\0");
    stage.write("component.wasm", b"\0asm\x0d\0\x01\0");
    let whole = std::fs::read(stage.path("ok.wasm")).unwrap();
    stage.write("cut.wasm", &whole[..whole.len() - 3]);
    stage.run("-o a.aot ok.wasm").check(0, &[], &[]);
    std::fs::create_dir(stage.path("folder")).unwrap();
    for (input, words) in [
        ("missing.wasm", "Read file to buffer failed: open file missing.wasm failed"),
        ("folder", "it is a directory; help: give a file"),
        ("empty", "Invalid wasm file: magic header not detected; it is empty"),
        ("text", "Invalid wasm file: magic header not detected"),
        ("wamr.aot", "it is an artifact of WAMR's compiler, which only WAMR can load"),
        ("a.aot", "Invalid wasm file: magic header not detected"),
        ("magic.wasm", "it exports no function; help: export the filter function"),
        ("cut.wasm", "WASM module load failed: unexpected end"),
        (
            "component.wasm",
            "it is a WebAssembly component; help: build the filter as a core module",
        ),
    ] {
        let run = stage.run(&format!("-v=0 -o x.aot {input}"));
        run.check(1, &[], &["error: ", words]);
        assert!(!stage.path("x.aot").exists(), "{input}");
        if input != "missing.wasm" {
            continue;
        }
        for command in ["inspect", "verify", "disasm", "check", "run --record {}", "sign --key k"] {
            stage.write("k", format!("flb-secret-key:{}\n", "07".repeat(32)).as_bytes());
            stage.run(&format!("{command} {input}")).check(
                1,
                &[],
                &["open file missing.wasm failed", "help: build it first (make), or look at"],
            );
        }
    }
    stage.run("check no.aot").check(
        1,
        &[],
        &["help: compile it first: flb-wamrc -o no.aot no.wasm"],
    );
    for command in ["check", "run --record {}", "bench --records text", "test text.wasm"] {
        stage.write("text.wasm", b"hello");
        let file = if command.starts_with("test") { "" } else { "text.wasm" };
        stage.write("cases.jsonl", b"{\"records\":[{}]}");
        stage.write("text", b"{}");
        stage.run(&format!("{command} {file}")).check(
            1,
            &[],
            &[
                "text.wasm: neither a WebAssembly module nor an .aot artifact: its first bytes",
                "help: give the .wasm that your toolchain wrote, or the .aot that flb-wamrc made",
            ],
        );
    }
    for command in ["inspect", "verify", "disasm", "check", "run --record {}"] {
        stage.run(&format!("{command} wamr.aot")).check(1, &[], &["only WAMR can load"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let stage = Stage::new();
    stage.run("-o x.aot ok.wasm").check(0, &[], &[]);
    let line = format!("'{}' disasm x.aot 2>err | true; cat err", env!("CARGO_BIN_EXE_flb-wamrc"));
    let mut shell = std::process::Command::new("sh");
    let output = shell.arg("-c").arg(line).current_dir(stage.path("")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
