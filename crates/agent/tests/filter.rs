//! Every `tests/filter/*.case` goes through the whole agent, with its modules as `.wasm`, as `.aot` and as portable code, which is interpreted. What the agent prints and its
//! exit code must be as in the case; what it says must hold the lines of the section `stderr`, and no other error.
//!
//! One input makes the records, one filter calls the module's function, one output prints; a case says what is special:
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `module` | no filter | `x.wat` in `tests/filter/modules`, or `x.wasm` in `examples/filters` or `examples/sdk`; `enrich-go.wasm` is where `cargo xtask filters go` puts it, and without it the case is skipped |
//! | `function` | `filter` | the exported function |
//! | `record`, several times | `{"message":"hello"}` | a record of the input |
//! | `copies` | 1 | how often the records come |
//! | `output` | `json_lines` | the output's format |
//! | `filter`, `service`, several times | | another property of that section: `On_Error drop` |
//! | `exit` | 0 | the agent's exit code |
//!
//! A section `filters` replaces the filter by its own text, in which `{x.wat}` is the module's file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use flb_artifact::{Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_testkit::{Case, Program, Run};
use libtest_mimic::{Arguments, Failed, Trial};

const SETTINGS: &[&str] =
    &["module", "function", "record", "copies", "output", "filter", "service", "exit"];
const SECTIONS: &[&str] = &["filters", "stdout", "stderr"];

/// Cases of what portable code cannot do: exceptions, atomics, and keeping a guest from what lies right behind its memory.
const NATIVE: &[&str] = &["feat_eh", "feat_threads", "behind"];

/// The module that is too large to be kept.
const GO: &str = "enrich-go.wasm";

fn main() {
    let mut trials = Vec::new();
    for path in files("tests/filter").filter(|path| path.extension() == Some("case".as_ref())) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = Case::parse(&fs::read_to_string(&path).unwrap(), SETTINGS, SECTIONS);
        if case.setting("module") == Some(GO) && !go().exists() {
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
            continue;
        }
        if modules(&configuration(&case)).is_empty() {
            trials.push(Trial::test(name.clone(), move || check(&name, &case, Kind::Wasm)));
            continue;
        }
        let kinds = [Kind::Wasm, Kind::Aot, Kind::Portable].into_iter();
        for kind in kinds.filter(|kind| *kind != Kind::Portable || !NATIVE.contains(&&*name)) {
            let (name, case) = (name.clone(), case.clone());
            trials.push(Trial::test(format!("{name}.{kind}"), move || check(&name, &case, kind)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// What the agent is given: the module itself, or the artifact made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wasm,
    Aot,
    Portable,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wasm => "wasm",
            Self::Aot => "aot",
            Self::Portable => "portable",
        })
    }
}

fn check(name: &str, case: &Case, kind: Kind) -> Result<(), Failed> {
    let folder = folder(name, kind)?;
    let mut configuration = configuration(case);
    for module in modules(&configuration) {
        let file = module.with_extension(kind.to_string());
        let file = file.file_name().unwrap().to_str().unwrap();
        let wasm = wat::parse_bytes(&fs::read(&module)?)?.into_owned();
        let bytes = match kind {
            Kind::Wasm => wasm,
            Kind::Aot | Kind::Portable => match compile(&wasm, kind) {
                Ok(artifact) => artifact,
                Err(refusal) => return check_refusal(case, &refusal),
            },
        };
        fs::write(folder.join(file), bytes)?;
        configuration = configuration.replace(&placeholder(&module), file);
    }
    fs::write(folder.join("agent.conf"), configuration)?;
    compare(case, &run(&folder))
}

/// A new folder for one run. It stays, so that a failed run can be looked at, and `cargo xtask cross` can run it again.
fn folder(name: &str, kind: Kind) -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("filter/{name}.{kind}"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The configuration, with placeholders for modules.
fn configuration(case: &Case) -> String {
    let records: Vec<&str> = case.settings("record").collect();
    let records =
        if records.is_empty() { r#"{"message":"hello"}"#.to_owned() } else { records.join(" ") };
    format!(
        "[SERVICE]\n    Flush 0.2\n    Grace 30\n    Log_Level debug\n{}\
         [INPUT]\n    Name dummy\n    Tag dummy.local\n    Samples 1\n    Flush_on_startup On\n    Copies {}\n    \
         Start_time_sec 1700000000\n    Start_time_nsec 123456789\n    Fixed_timestamp On\n    Dummy {records}\n\
         {}\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format {}\n",
        properties(case.settings("service")),
        case.setting("copies").unwrap_or("1"),
        case.section("filters").map_or_else(|| filter(case), str::to_owned),
        case.setting("output").unwrap_or("json_lines"),
    )
}

/// The filter's section. The case's own properties replace those that every case has.
fn filter(case: &Case) -> String {
    let own: Vec<&str> = case.settings("filter").collect();
    let module = case.setting("module");
    if module.is_none() && own.is_empty() {
        return String::new();
    }
    let is_set = |usual: &&String| {
        let key = |property: &str| property.split(' ').next().map(str::to_ascii_lowercase);
        own.iter().any(|property| key(property) == key(usual))
    };
    let usual = [
        Some("Match dummy.*".to_owned()),
        module.map(|module| format!("WASM_Path {{{module}}}")),
        Some(format!("Function_Name {}", case.setting("function").unwrap_or("filter"))),
    ];
    let usual: Vec<String> =
        usual.into_iter().flatten().filter(|property| !is_set(&property)).collect();
    let all = usual.iter().map(String::as_str).chain(own.iter().copied());
    format!("[FILTER]\n    Name wasm\n{}", properties(all))
}

fn properties<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.map(|property| format!("    {property}\n")).collect()
}

/// The modules that the configuration has placeholders for.
fn modules(configuration: &str) -> Vec<PathBuf> {
    files("tests/filter/modules")
        .chain(files("examples/filters"))
        .chain(files("examples/sdk"))
        .chain([go()])
        .filter(|path| configuration.contains(&placeholder(path)))
        .collect()
}

/// Where a chore puts it.
fn go() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../filters/examples-sdk").join(GO)
}

fn placeholder(module: &Path) -> String {
    format!("{{{}}}", module.file_name().unwrap().to_str().unwrap())
}

/// A folder's files, in order of their names.
fn files(folder: &str) -> impl Iterator<Item = PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter()
}

/// Compiles for this machine, or for any, as for a release, small.
fn compile(wasm: &[u8], kind: Kind) -> Result<Vec<u8>, String> {
    let portable = || Target::parse("portable", None, None).unwrap();
    let target = if kind == Kind::Portable { portable() } else { Target::host().unwrap() };
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: false,
        producer: "flb-agent's tests".to_owned(),
        jobs: 1,
    });
    compiler.compile(wasm).map_err(|error| error.to_string())
}

/// A module that the compiler refuses: the agent does so, too, and the first line that it says is the compiler's.
fn check_refusal(case: &Case, refusal: &str) -> Result<(), Failed> {
    let expected = case.section("stderr").and_then(|stderr| stderr.lines().next());
    match expected {
        Some(line) if refusal.contains(line) && case.setting("exit") == Some("255") => Ok(()),
        _ => Err(format!("the compiler refuses the module: {refusal}").into()),
    }
}

/// Runs the agent in a folder until all records are through, or until it ends.
fn run(folder: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder).env_remove("FLB_LOG_LEVEL");
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let mut agent = Program::start(&mut command);
    if agent.wait_for("samples are emitted") {
        // What was emitted is filtered and printed before the agent ends.
        agent.signal("INT");
    }
    agent.finish()
}

fn compare(case: &Case, run: &Run) -> Result<(), Failed> {
    let expected: Vec<&str> = case.section("stderr").unwrap_or_default().lines().collect();
    let mut found = Vec::new();
    let stdout = case.section("stdout").unwrap_or_default();
    if run.stdout != stdout {
        found.push(format!("expected on stdout:\n{stdout}but it is:\n{}", run.stdout));
    }
    let exit = case.setting("exit").unwrap_or("0").parse().unwrap();
    if run.code != Some(exit) {
        found.push(format!("expected exit code {exit}, but it is {:?}", run.code));
    }
    for line in &expected {
        if !run.stderr.contains(line) {
            found.push(format!("expected on stderr: {line}"));
        }
    }
    for line in run.stderr.lines().filter(|line| line.contains("[error]")) {
        if !expected.iter().any(|expected| line.contains(expected)) {
            found.push(format!("not expected on stderr: {line}"));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nall of stderr:\n{}", found.join("\n"), run.stderr).into())
}
