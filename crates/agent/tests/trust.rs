//! Whose code the agent runs, and where it keeps what it compiled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use flb_artifact::{Artifact, Levels, SecretKey, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_testkit::{Program, Run};

const WASM: &[u8] = include_bytes!("../../../examples/filters/c-enrich.wasm");

/// Runs the agent on one line of a file with the filter `module`; `service` is more of its service section.
fn run(folder: &Path, service: &str, module: &[u8]) -> Run {
    fs::write(folder.join("line"), "{\"a\":1}\n").unwrap();
    fs::write(folder.join("filter"), module).unwrap();
    let conf = format!(
        "[SERVICE]\n    Flush 0.05\n{service}[INPUT]\n    Name tail\n    Tag t\n    Path line\n    Parser json\n    \
         Read_From_Head on\n    Exit_On_Eof on\n[FILTER]\n    Name wasm\n    Match *\n    Wasm_Path filter\n    \
         Function_Name c_filter\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
    );
    fs::write(folder.join("x.conf"), conf).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "x.conf"]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command).finish()
}

fn compile() -> Artifact {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: true,
        jobs: 1,
        producer: "test".to_owned(),
    });
    Artifact::parse(compiler.compile(WASM).unwrap()).unwrap()
}

fn check(run: &Run, code: i32, words: &str) {
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    assert!(run.stderr.contains(words), "no '{words}' in\n{}", run.stderr);
    assert_eq!(run.stdout.contains("\"lang\":\"C\""), code == 0, "{}", run.stdout);
}

#[test]
fn a_required_signature_keeps_everybody_elses_code_out() {
    let folder = tempfile::tempdir().unwrap();
    let [mine, other] = [1, 2].map(|byte| SecretKey::from_random([byte; 32]));
    fs::write(folder.path().join("mine.pub"), mine.public().to_string()).unwrap();
    let service = "    wasm.require_signature on\n    wasm.trusted_keys mine.pub\n";
    let mut artifact = compile();
    check(&run(folder.path(), service, artifact.bytes()), 255, "a signature is required");
    check(&run(folder.path(), service, WASM), 255, "a signature is required");
    artifact.sign(&other);
    check(&run(folder.path(), service, artifact.bytes()), 255, "which is not trusted");
    artifact.sign(&mine);
    check(&run(folder.path(), service, artifact.bytes()), 0, "1 replaced");
    fs::write(folder.path().join("mine.pub"), "no key").unwrap();
    check(&run(folder.path(), service, artifact.bytes()), 255, "trusted key mine.pub: not a key");
}

#[test]
fn what_was_compiled_at_start_is_kept_in_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let service = "    wasm.cache cache\n";
    check(&run(folder.path(), service, WASM), 0, "1 replaced");
    let kept: Vec<_> = fs::read_dir(folder.path().join("cache")).unwrap().collect();
    assert_eq!(kept.len(), 1);
    check(&run(folder.path(), service, WASM), 0, "1 replaced");
}

#[test]
fn a_cache_that_others_could_exchange_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("open");
    fs::create_dir(&parent).unwrap();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o777)).unwrap();
    let run = run(folder.path(), "    wasm.cache open/cache\n", WASM);
    check(&run, 0, "the cache folder open/cache is not used: others may write to ");
    assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
}
