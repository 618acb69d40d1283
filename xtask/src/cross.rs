//! `cargo xtask cross [aarch64|riscv64|s390x|armv7|all]`: what is packaged for other machines, at work on them.
//!
//! The .deb for the machine is made and unpacked; this machine's flb-wamrc compiles the filters for the machine; qemu runs the
//! packaged agent with them. Every byte that is printed must be as here, and so must be what the packaged flb-wamrc compiles.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;

use crate::dist;
use crate::machines::{Able, MACHINES, Machine};
use crate::run::{command, line, root, run as run_command, target_dir};

/// The filters of the examples, all of them, and the function to call.
const EXAMPLES: &[(&str, &str)] = &[
    ("c-enrich", "c_filter"),
    ("c-plain", "c_filter"),
    ("c-sha256", "c_sha256"),
    ("rust-enrich", "rust_filter"),
    ("rust-redact", "rust_redact"),
    ("rust-sha256", "rust_sha256"),
    ("zig-enrich", "zig_filter"),
];

/// How the examples are run. The records say their time, because all machines must print the same.
const CONF: &str = "\
[SERVICE]
    Parsers_File parsers.conf

[INPUT]
    Name stdin
    Tag dummy.cross
    Parser json

[FILTER]
    Name wasm
    Match *
    WASM_Path {module}.wasm
    Function_Name {function}

[OUTPUT]
    Name stdout
    Match *
    Format json_lines
";

/// What the examples are given, a record a line; one of many bytes follows.
const RECORDS: &str = r#"
{"time":"2026-11-22T13:49:40.917655454+0000","message":"dummy"}
{"time":"1970-01-01T00:00:00.000000001+0000","message":"with \"quotes\", a \\ and a \u0000"}
{"time":"2106-02-07T06:28:15.999999999+0000","list":[1,2.5,null,true,[],{}],"":{"a":{"b":"c"}}}
{"time":"2026-11-22T13:49:41.5+0000","int":[0,-1,127,128,255,256,-128,-129,65535,65536,-32769]}
{"time":"2026-11-22T13:49:41.5+0000","int":[4294967295,4294967296,-2147483649,9007199254740993]}
{"time":"2026-11-22T13:49:41.5+0000","int":[9223372036854775807,18446744073709551615,-9223372036854775808]}
{"time":"2026-11-22T13:49:41.5+0000","float":[0.1,-0.0,1e300,5e-324,3.141592653589793,1e21,123456789.125]}
{"time":"2026-11-22T13:49:42.0+0000","text":"größe 日本語 🦀","no words":"0123456789abcdef0123456789abcdef"}
{"time":"2026-11-22T13:49:43.25+0000"}
"#;

/// How many bytes that is: more than 16 bits can say, and few enough for an interpreter under an
/// emulator to be through with them before the deadline.
const LONG: usize = 100_000;

/// What the agent says when a case's input has no more records; it would wait for ever.
const EMITTED: &str = "samples are emitted";

/// No run needs as long.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The machine
    #[arg(default_value = ALL, value_parser = PossibleValuesParser::new(names()))]
    machine: String,
    /// Skip a machine rather than fail for want of its tools
    #[arg(long)]
    if_possible: bool,
    /// Run no package, but an agent as small machines have it, without compiler and WASI
    #[arg(long)]
    small: bool,
}

/// The word for every machine.
const ALL: &str = "all";

fn names() -> impl Iterator<Item = &'static str> {
    MACHINES.iter().map(|machine| machine.name).chain([ALL])
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let here = Here::build()?;
    let mut trials = examples(&here.dir)?;
    trials.extend(cases()?);
    if !args.small {
        trials.extend(configurations()?);
    }
    let expected = here.expected(&trials, args.small)?;

    let mut failed = Vec::new();
    for machine in chosen(&args.machine) {
        if args.if_possible
            && let Err(why) = machine.set_up().and_then(|()| machine.library())
        {
            println!("== {machine}: SKIPPED, it cannot be set up here: {why:#}");
            continue;
        }
        let start = Instant::now();
        let checked = agent(machine, &here, args.small)
            .and_then(|agent| check(machine, &here, &agent, &trials, &expected));
        let took = start.elapsed().as_secs_f64();
        match checked {
            Ok(count) => println!("== {machine}: {count} trials print the same, {took:.0} s"),
            Err(error) => {
                println!("== {machine}: FAILED in {took:.0} s: {error:#}");
                failed.push(machine.name);
            }
        }
    }
    ensure!(failed.is_empty(), "not as on this machine, or not known: {}", failed.join(", "));
    Ok(())
}

fn chosen(word: &str) -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter().filter(move |machine| word == ALL || word == machine.name)
}

/// The machine's agent: out of its package, whose compiler is tried as well, or the one for small machines.
fn agent(machine: &Machine, here: &Here, small: bool) -> Result<Agent> {
    println!("\n== {machine}: set up");
    machine.set_up()?;
    let start = Instant::now();
    let program = match small {
        true => build_small(machine, &here.dir)?,
        false => {
            let system = dist::unpacked(machine, &here.dir.join("packages").join(machine.name))?;
            compile_there(machine, here, &system.join("usr/bin/flb-wamrc"))?;
            system.join("usr/bin/flb-agent")
        }
    };
    let took = start.elapsed().as_secs_f64();
    println!("the agent: {} bytes, there in {took:.0} s", size(&program)?);
    Ok(Agent { runner: machine.runner(), program })
}

/// The agent as it is for small machines: it loads .aot files and nothing else.
fn build_small(machine: &Machine, dir: &Path) -> Result<PathBuf> {
    // Optimising fully takes more time than it saves.
    let mut cargo = machine.cargo(
        "build --release -p flb-agent --no-default-features --config profile.release.opt-level=1",
    )?;
    run_command(cargo.arg("--target-dir").arg(dir))?;
    Ok(dir.join(machine.triple).join("release/flb-agent"))
}

/// An error unless the machine's flb-wamrc makes what this one makes.
fn compile_there(machine: &Machine, here: &Here, wamrc: &Path) -> Result<()> {
    let module = root().join("examples/filters/c-enrich.wasm");
    let compile = |compiler: &str, place: &str| {
        let aot = here.dir.join(format!("{place}.aot"));
        let mut command = command(compiler);
        command.arg("-v=0").arg(format!("--target={machine}")).arg("-o").arg(&aot).arg(&module);
        crate::run::output(&mut command)?;
        fs::read(&aot).with_context(|| format!("cannot read {}", aot.display()))
    };
    let ours = compile(&here.wamrc.to_string_lossy(), "here")?;
    let theirs = compile(&format!("{} {}", machine.runner(), wamrc.display()), machine.name)?;
    ensure!(ours == theirs, "its flb-wamrc makes other code than this machine's");
    println!("its flb-wamrc makes the same {} bytes", ours.len());
    Ok(())
}

/// Runs all trials on the machine; returns how many there were.
fn check(
    machine: &Machine,
    here: &Here,
    agent: &Agent,
    trials: &[Trial],
    expected: &BTreeMap<String, Answer>,
) -> Result<usize> {
    println!("== {machine}: compile and run the filters");
    let mut differ = Vec::new();
    let mut count = 0;
    for trial in trials {
        let Some(expected) = expected.get(&trial.name) else { continue };
        if trial.able && machine.able.is_none() {
            continue;
        }
        let found = trial.run(here, Some(machine), agent)?;
        if found.code.is_none() && machine.refused.contains(&trial.name.as_str()) {
            println!("{}: SKIPPED: {}", trial.name, found.said);
            continue;
        }
        count += 1;
        match found.difference(expected) {
            None if trial.is_shown() => println!("{}: {found}, the same", trial.name),
            None => {}
            Some(difference) => {
                println!("{}: DIFFERENT: {difference}\n{}", trial.name, found.said);
                differ.push(trial.name.as_str());
            }
        }
    }
    ensure!(differ.is_empty(), "{} of {count} differ: {}", differ.len(), differ.join(", "));
    Ok(count)
}

/// This machine's programs, and where the chore puts what it makes.
struct Here {
    wamrc: PathBuf,
    agent: Agent,
    dir: PathBuf,
}

/// An agent, and the command before it that runs it.
struct Agent {
    runner: String,
    program: PathBuf,
}

impl Here {
    /// The programs as the tests have them, so that they are most likely there already. The tests
    /// of filters through the whole agent leave all that each of them needs in a folder.
    fn build() -> Result<Self> {
        println!("== this machine: build, and run the cases");
        // Everything, as the tests need it: other features would build most of it a second time.
        run_command(&mut command("cargo build --workspace --all-targets"))?;
        run_command(&mut command("cargo test --quiet --workspace --test filter -- --quiet"))?;
        let target = target_dir()?;
        let bin = target.join("debug");
        let dir = target.join("cross");
        let agent = Agent { runner: String::new(), program: bin.join("flb-agent") };
        Ok(Self { wamrc: bin.join("flb-wamrc"), agent, dir })
    }

    /// What this machine answers to each trial. One that cannot be compared is not in the map.
    fn expected(&self, trials: &[Trial], small: bool) -> Result<BTreeMap<String, Answer>> {
        let mut expected = BTreeMap::new();
        for trial in trials {
            if let Some(why) = trial.skip(small)? {
                println!("{}: SKIPPED: {why}", trial.name);
                continue;
            }
            expected.insert(trial.name.clone(), trial.run(self, None, &self.agent)?);
        }
        Ok(expected)
    }
}

/// A run of the agent: its configuration, modules and input.
struct Trial {
    name: String,
    conf: String,
    modules: Vec<PathBuf>,
    /// Other files beside the configuration.
    files: Vec<PathBuf>,
    input: Option<PathBuf>,
    /// Whether the code is for the machine's able CPU, which the agent must find there.
    able: bool,
    /// Whether the agent itself is to compile the modules.
    raw: bool,
}

/// The filters of the examples.
fn examples(dir: &Path) -> Result<Vec<Trial>> {
    let folder = root().join("examples/filters");
    let all = with_extension(&files(&folder)?, "wasm").len();
    ensure!(all == EXAMPLES.len(), "{} knows not all of examples/filters/*.wasm", file!());

    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let input = dir.join("records.jsonl");
    let long = format!(r#"{{"time":"2026-11-22T13:49:44.125+0000","x":"{}"}}"#, "y".repeat(LONG));
    fs::write(&input, format!("{}{long}\n", RECORDS.trim_start()))
        .context("cannot write records")?;
    let trial = |(name, function): &(&str, &str), kind: &str, able| Trial {
        name: format!("{kind}/{name}"),
        conf: CONF.replace("{module}", name).replace("{function}", function),
        modules: vec![folder.join(format!("{name}.wasm"))],
        files: vec![root().join("examples/conf/parsers.conf")],
        input: Some(input.clone()),
        able,
        raw: false,
    };
    let plain = EXAMPLES.iter().map(|example| trial(example, "examples", false));
    let able = EXAMPLES.iter().map(|example| trial(example, "able", true));
    Ok(plain.chain(able).collect())
}

/// What a configuration with made-up records is told, so that they are the same everywhere and the agent says when there are no more.
const MADE_UP: [(&str, &str); 2] = [
    ("[INPUT]", "[SERVICE]\n    Log_Level debug\n\n[INPUT]"),
    (
        "Name             dummy\n",
        "Name dummy\n    Samples 1\n    Start_Time_Sec 1795355380\n    Start_Time_Nsec 0\n    Fixed_Timestamp on\n",
    ),
];

/// The configurations of the examples, with their modules as they are.
fn configurations() -> Result<Vec<Trial>> {
    let examples = root().join("examples");
    let trial = |name: &str, module: &str| {
        let path = examples.join("conf").join(format!("{name}.conf"));
        let conf = fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
        let mut conf = conf.replace("../filters/", "").replace("../logs/", "");
        if conf.contains(MADE_UP[1].0) {
            conf = MADE_UP.iter().fold(conf, |conf, (from, to)| conf.replacen(from, to, 1));
        }
        Ok(Trial {
            name: format!("conf/{name}"),
            conf,
            modules: vec![examples.join("filters").join(format!("{module}.wasm"))],
            files: vec![examples.join("conf/parsers.conf"), examples.join("logs/access.log")],
            input: None,
            able: false,
            raw: true,
        })
    };
    [("seed", "rust-enrich"), ("seed-as-published", "rust-enrich"), ("tail", "c-enrich")]
        .into_iter()
        .map(|(name, module)| trial(name, module))
        .collect()
}

/// The cases in `tests/filter`, as the agent's tests have just run them.
fn cases() -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    let folders = target_dir()?.join("tmp/filter");
    for case in with_extension(&files(&root().join("tests/filter"))?, "case") {
        let name = case.file_stem().unwrap_or_default().to_string_lossy();
        let folder = folders.join(format!("{name}.wasm"));
        if is_without_module(&case)? && !folder.exists() {
            println!("== tests/filter/{name}: SKIPPED, cargo xtask filters go makes its module");
            continue;
        }
        let conf = folder.join("agent.conf");
        let conf = fs::read_to_string(&conf)
            .with_context(|| format!("the test of {name} left no {}", conf.display()))?;
        let modules = with_extension(&files(&folder)?, "wasm");
        let name = format!("tests/filter/{name}");
        let (files, input) = (Vec::new(), None);
        trials.push(Trial { name, conf, modules, files, input, able: false, raw: false });
    }
    Ok(trials)
}

/// Whether the case's module is one of Go's, which are too large to be kept.
fn is_without_module(case: &Path) -> Result<bool> {
    let text =
        fs::read_to_string(case).with_context(|| format!("cannot read {}", case.display()))?;
    Ok(text.lines().any(|line| line.starts_with("module") && line.ends_with("-go.wasm")))
}

impl Trial {
    /// Whether it is one of a few, so that its figures are worth a line.
    fn is_shown(&self) -> bool {
        self.input.is_some() || self.raw
    }

    /// Why the trial cannot tell anything, if so.
    fn skip(&self, small: bool) -> Result<Option<String>> {
        if !small {
            return Ok(None);
        }
        for module in &self.modules {
            let bytes = fs::read(module).with_context(|| format!("cannot read {module:?}"))?;
            if String::from_utf8_lossy(&bytes).contains("wasi_snapshot_preview1") {
                return Ok(Some("it needs WASI, and this agent is built without".into()));
            }
        }
        Ok(None)
    }

    /// Compiles the modules for the machine and runs the agent there, or here if there is none.
    fn run(&self, here: &Here, machine: Option<&Machine>, agent: &Agent) -> Result<Answer> {
        let place = machine.map_or("here", |machine| machine.name);
        let dir = here.dir.join("trials").join(place).join(&self.name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut conf = self.conf.clone();
        let able = machine.and_then(|machine| machine.able.as_ref()).filter(|_| self.able);
        let mut sizes = 0;
        for module in &self.modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            if self.raw {
                copy(module, &dir)?;
                continue;
            }
            let aot = dir.join(&*name).with_extension("aot");
            let mut wamrc = Command::new(&here.wamrc);
            wamrc.arg("-v=0");
            wamrc.args(machine.map(|machine| format!("--target={machine}")));
            wamrc.args(able.map(|able| able.option));
            wamrc.arg("-o").arg(&aot).arg(module).stdin(Stdio::null());
            let refused = crate::run::output(&mut wamrc).err();
            if let Some(error) = refused {
                return Ok(Answer::refused(&format!("{error:#}")));
            }
            sizes += size(&aot)?;
            conf = conf.replace(&*name, &name.replace(".wasm", ".aot"));
        }
        for file in &self.files {
            copy(file, &dir)?;
        }
        fs::write(dir.join("agent.conf"), conf).context("cannot write a configuration")?;
        let mut answer = match able {
            Some(able) => agent.on(able).answer(&dir, self.input.as_deref())?,
            None => agent.answer(&dir, self.input.as_deref())?,
        };
        answer.sizes = sizes;
        Ok(answer)
    }
}

impl Agent {
    /// The same on another CPU.
    fn on(&self, able: &Able) -> Self {
        Self {
            runner: format!("{} -cpu {}", self.runner, able.qemu),
            program: self.program.clone(),
        }
    }

    /// Runs the agent in a folder, until all records are through or until it ends.
    fn answer(&self, dir: &Path, input: Option<&Path>) -> Result<Answer> {
        // env(1) becomes what follows it, which is the runner, if there is one, or the agent.
        let mut agent = command(&format!("env {}", self.runner));
        agent.arg(&self.program).args(["-c", "agent.conf"]).current_dir(dir);
        agent.env_remove("FLB_LOG_LEVEL").stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(input) = input {
            let file = File::open(input).with_context(|| format!("cannot read {input:?}"))?;
            agent.stdin(file);
        }
        let line = line(&agent);
        let start = Instant::now();
        let mut child = agent.spawn().with_context(|| format!("cannot run {line}"))?;
        let (ended, wait) = mpsc::channel::<()>();
        let id = child.id().to_string();
        let limit = thread::spawn(move || {
            let is_late = wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
            is_late && run_quietly(command("kill -KILL").arg(id)).is_ok()
        });
        let mut stdout = child.stdout.take().expect("it is piped");
        let stdout = thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).map(|_| bytes)
        });
        let mut said = String::new();
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        for bytes in stderr.split(b'\n') {
            let bytes = bytes.with_context(|| format!("listening to {line}"))?;
            let text = String::from_utf8_lossy(&bytes);
            if text.contains(EMITTED) {
                // What was emitted is filtered and printed before the agent ends.
                run_quietly(command("kill -TERM").arg(child.id().to_string()))?;
            }
            said += &text;
            said.push('\n');
        }
        let code = child.wait().with_context(|| format!("waiting for {line}"))?.code();
        let stdout = stdout.join().expect("a reader does not panic").context("reading answers")?;
        drop(ended);
        let is_late = limit.join().expect("a clock does not panic");
        ensure!(!is_late, "{line} had not ended after {LIMIT:?}; it said\n{said}");
        let seconds = start.elapsed().as_secs_f64();
        Ok(Answer { code, stdout, said, sizes: 0, seconds })
    }
}

/// Puts a file into a folder.
fn copy(file: &Path, folder: &Path) -> Result<()> {
    fs::copy(file, folder.join(file.file_name().unwrap_or_default()))
        .with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

fn run_quietly(command: &mut Command) -> Result<()> {
    crate::run::output(command).map(drop)
}

/// What a run came to.
struct Answer {
    code: Option<i32>,
    stdout: Vec<u8>,
    /// What the agent logged; it need not be the same everywhere.
    said: String,
    /// Bytes in the .aot files.
    sizes: u64,
    seconds: f64,
}

impl Answer {
    /// The compiler took the module for none.
    fn refused(error: &str) -> Self {
        let said = error.to_owned();
        Self {
            code: None,
            stdout: b"refused by the compiler".to_vec(),
            said,
            sizes: 0,
            seconds: 0.0,
        }
    }

    /// How the answer differs from the one that was expected, if it does.
    fn difference(&self, expected: &Self) -> Option<String> {
        if self.code != expected.code {
            return Some(format!("exit code {:?}, expected {:?}", self.code, expected.code));
        }
        if self.stdout == expected.stdout {
            return None;
        }
        let (found, expected) = (lines(&self.stdout), lines(&expected.stdout));
        let same = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        let one = |lines: &[String]| lines.get(same).map_or("nothing".into(), |line| excerpt(line));
        let (found, expected) = (one(&found), one(&expected));
        Some(format!("line {}\n  expected {expected}\n  found    {found}", same + 1))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code: Some(code), stdout, sizes, seconds, .. } = self else {
            return f.write_str("refused by the compiler");
        };
        let lines = lines(stdout).len();
        write!(f, "{sizes} bytes of code, {lines} lines, exit code {code}, {seconds:.1} s")
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

/// As much of the line as one wants to read.
fn excerpt(line: &str) -> String {
    line.char_indices().nth(500).map_or(line.to_owned(), |(at, _)| format!("{}...", &line[..at]))
}

/// A folder's entries, in order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {folder:?}"))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("cannot read {folder:?}"))?;
    paths.sort();
    Ok(paths)
}

fn with_extension(paths: &[PathBuf], wanted: &str) -> Vec<PathBuf> {
    let fits = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == wanted);
    paths.iter().filter(fits).cloned().collect()
}

fn size(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stdout: &str) -> Answer {
        let stdout = stdout.as_bytes().to_vec();
        Answer { code: Some(0), stdout, said: String::new(), sizes: 1, seconds: 1.0 }
    }

    #[test]
    fn a_machine_is_chosen_by_its_name() {
        let names = |word| chosen(word).map(|machine| machine.name).collect::<Vec<_>>().join(" ");
        assert_eq!(names("all"), "aarch64 riscv64 s390x armv7");
        assert_eq!(names("s390x"), "s390x");
    }

    #[test]
    fn the_first_line_that_differs_is_shown() {
        let expected = answer("same\nright\n");
        assert!(answer("same\nright\n").difference(&expected).is_none());
        for (stdout, found) in [("same\nwrong\n", "found    wrong"), ("same\n", "found    nothing")]
        {
            let told = answer(stdout).difference(&expected).unwrap();
            assert!(told.contains("line 2\n  expected right") && told.contains(found), "{told}");
        }
        let failed = Answer { code: Some(1), ..answer("same\nright\n") };
        assert!(failed.difference(&expected).unwrap().contains("exit code"));
    }

    #[test]
    fn an_agent_is_interrupted_when_its_records_are_through() {
        let script = "trap 'echo bye; exit 3' TERM; echo samples are emitted >&2; \
                      while :; do sleep 0.05; done";
        let dir = std::env::temp_dir();
        let agent = Agent { runner: "sh -c".into(), program: script.into() };
        let answer = agent.answer(&dir, None).unwrap();
        assert_eq!((answer.code, answer.stdout.as_slice()), (Some(3), &b"bye\n"[..]));
    }

    #[test]
    fn an_agent_of_this_machine_needs_no_runner() {
        let agent = Agent { runner: String::new(), program: "false".into() };
        assert_eq!(agent.answer(&std::env::temp_dir(), None).unwrap().code, Some(1));
    }
}
