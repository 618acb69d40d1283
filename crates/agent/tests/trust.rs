//! Whose code the agent runs, and where it keeps what it compiled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use flb_artifact::{Artifact, Interruption, Levels, Release, SecretKey, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_testkit::{Program, Run};

const WASM: &[u8] = include_bytes!("../../../examples/filters/c-enrich.wasm");

/// Runs the agent on one line of a file with the filter `module`; `service` is more of its service section.
fn run(folder: &Path, service: &str, module: &[u8]) -> Run {
    run_with(folder, service, "", module)
}

/// The same, with more in the filter's section.
fn run_with(folder: &Path, service: &str, filter: &str, module: &[u8]) -> Run {
    fs::write(folder.join("line"), "{\"a\":1}\n").unwrap();
    fs::write(folder.join("filter"), module).unwrap();
    let conf = format!(
        "[SERVICE]\n    Flush 0.05\n{service}[INPUT]\n    Name tail\n    Tag t\n    Path line\n    Parser json\n    \
         Read_From_Head on\n    Exit_On_Eof on\n[FILTER]\n    Name wasm\n    Match *\n    Wasm_Path filter\n    \
         Function_Name c_filter\n{filter}[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
    );
    fs::write(folder.join("x.conf"), conf).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "x.conf"]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("FLB_LOG_LEVEL");
    Program::start(&mut command).finish()
}

fn compile() -> Artifact {
    compile_for(Interruption::default())
}

fn compile_for(interruption: Interruption) -> Artifact {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: true,
        jobs: 1,
        producer: "test".to_owned(),
    })
    .interrupted_by(interruption);
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
fn trusted_keys_alone_ask_for_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let mine = SecretKey::from_random([1; 32]);
    fs::write(folder.path().join("mine.pub"), mine.public().to_string()).unwrap();
    let keys = "    wasm.trusted_keys mine.pub\n";
    let mut artifact = compile();
    check(&run(folder.path(), keys, artifact.bytes()), 255, "a signature is required");
    check(&run(folder.path(), keys, WASM), 255, "a signature is required");
    let off = format!("{keys}    wasm.require_signature off\n");
    let run_off = run(folder.path(), &off, artifact.bytes());
    check(&run_off, 0, "anybody's code runs, although there are trusted keys");
    artifact.sign(&mine);
    check(&run(folder.path(), keys, artifact.bytes()), 0, "1 replaced");
}

#[test]
fn a_slip_in_what_may_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (service, words) in [
        ("wasm.require_signatures on", "unknown service property 'wasm.require_signatures'"),
        ("wasm.trusted_key mine.pub", "did you mean 'wasm.trusted_keys'?"),
        ("wasm.sandbox on", "there are wasm.require_signature, wasm.trusted_keys"),
        ("wasm_trusted_keys mine.pub", "did you mean 'wasm.trusted_keys'?"),
        ("WasmRequireSignature on", "unknown service property 'wasmrequiresignature'"),
        ("require_signature on", "unknown service property 'require_signature'"),
        ("wasm.require_signature on", "nobody is trusted to sign"),
        ("wasm.require_signature ${NO}", "service property 'wasm.require_signature' is empty"),
        ("wasm.trusted_keys ${NO_SUCH_VARIABLE}", "service property 'wasm.trusted_keys' is empty"),
        ("wasm.trusted_keys ,", "no file is named"),
    ] {
        check(&run(folder.path(), &format!("    {service}\n"), WASM), 1, words);
    }
}

#[test]
fn a_required_name_keeps_other_filters_and_older_releases_out() {
    let folder = tempfile::tempdir().unwrap();
    let mine = SecretKey::from_random([1; 32]);
    fs::write(folder.path().join("mine.pub"), mine.public().to_string()).unwrap();
    let keys = "    wasm.trusted_keys mine.pub\n";
    let service = format!("{keys}    wasm.required_name enrich 1.4\n");
    let released = |name: &str, version: &str| {
        let release = Release { name: name.parse().unwrap(), version: version.parse().unwrap() };
        let mut artifact = compile().released(Some(release)).unwrap();
        artifact.sign(&mine);
        artifact.bytes().to_vec()
    };
    let mut unnamed = compile();
    unnamed.sign(&mine);
    let check_service = |module: &[u8], code, words: &str| {
        check(&run(folder.path(), &service, module), code, words);
    };
    check_service(unnamed.bytes(), 255, "its signer gave it no name");
    check_service(&released("redact", "2"), 255, "it is redact 2, and enrich 1.4 or later is");
    check_service(&released("enrich", "1.3.9"), 255, "it is enrich 1.3.9, and enrich 1.4 or later");
    check_service(&released("enrich", "1.10"), 0, "1 replaced");
    // A section's own name counts before that of the service; one without signatures is worth nothing.
    let own = "    Required_Name redact\n";
    let redact = released("redact", "2");
    check(&run_with(folder.path(), &service, own, &redact), 0, "1 replaced");
    check(&run_with(folder.path(), keys, own, unnamed.bytes()), 255, "redact is required");
    check(&run_with(folder.path(), "", own, &redact), 255, "a required name needs signatures");
    check(&run_with(folder.path(), keys, "    Required_Name a/b\n", &redact), 255, "no name of a");
}

/// A module with one function of a filter's type, exported by this name.
fn exporting(name: &str) -> Vec<u8> {
    let section = |id: u8, bytes: &[u8]| [&[id, bytes.len() as u8], bytes].concat();
    let export = [&[1, name.len() as u8], name.as_bytes(), &[0, 0]].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 6, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f]),
        section(3, &[1, 0]),
        section(5, &[1, 0, 1]),
        section(7, &export),
        section(10, &[1, 4, 0, 0x41, 0, 0x0b]),
    ]
    .concat()
}

#[test]
fn names_in_a_module_forge_no_line_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let name = "f\n[2026/01/31 12:00:00.000] [ info] all is well\u{1b}[2K\u{9b}1A\u{202e}\u{2028}";
    for format in ["text", "json"] {
        let service = format!("    Log_Format {format}\n");
        let run = run(folder.path(), &service, &exporting(name));
        check(&run, 255, "all is well");
        let is_wild = |char| flb_text::is_wild(char) && !matches!(char, '\n' | '\t');
        assert!(!run.stderr.contains(is_wild), "{}", run.stderr);
        assert!(!run.stderr.contains("\n[2026/01/31"), "{}", run.stderr);
    }
}

#[test]
fn code_that_no_deadline_ends_can_be_forbidden() {
    let folder = tempfile::tempdir().unwrap();
    let endless = compile_for(Interruption::None);
    let service = "    wasm.require_interruption on\n";
    check(&run(folder.path(), "", endless.bytes()), 0, "no deadline ends its calls");
    check(&run(folder.path(), service, endless.bytes()), 255, "so no deadline ends its calls, and");
    check(&run(folder.path(), service, compile().bytes()), 0, "1 replaced");
    check(&run(folder.path(), service, WASM), 0, "1 replaced");
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
