//! `cargo xtask demo`: the compiler and the agent at work on the examples, from source to output.
//!
//! Each filter is run as .wasm and as .aot and must answer the same; the example configurations run
//! as they are. Nothing is asked of the network.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::run::{command, line, root, run as run_command, target_dir};

/// A filter of the examples.
struct Filter {
    name: &'static str,
    function: &'static str,
    lang: &'static str,
}

const FILTERS: &[Filter] = &[
    Filter { name: "rust-enrich", function: "rust_filter", lang: "Rust" },
    Filter { name: "c-enrich", function: "c_filter", lang: "C" },
];

/// What the filters are given, a record a line.
const RECORDS: &str = r#"{"message":"dummy"}
{"message":"with \"quotes\" and a \\","nested":{"list":[1,2.5,null,true]}}
{}
"#;

/// No agent of the demo needs as long.
const LIMIT: Duration = Duration::from_secs(30);

/// The two programs, and where the demo puts what it makes.
struct Stage {
    wamrc: PathBuf,
    agent: PathBuf,
    dir: PathBuf,
}

pub(crate) fn run() -> Result<()> {
    let stage = build()?;
    for filter in FILTERS {
        show(&stage, filter)?;
    }
    cross_compile(&stage)?;
    seed(&stage)?;
    seed_as_published(&stage)?;
    tail(&stage)?;
    println!("\nThe demo went well.");
    Ok(())
}

fn build() -> Result<Stage> {
    title("Build the compiler and the agent");
    run_command(&mut command("cargo build --release -p flb-wamrc -p flb-agent"))?;
    let target = target_dir()?;
    let dir = target.join("demo");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let bin = target.join("release");
    Ok(Stage { wamrc: bin.join("flb-wamrc"), agent: bin.join("flb-agent"), dir })
}

/// Compiles the filter ahead of time and runs it both ways.
fn show(stage: &Stage, filter: &Filter) -> Result<()> {
    let Filter { name, lang, .. } = filter;
    title(&format!("The filter in {lang}: compiled ahead of time, then run as .wasm and as .aot"));
    let wasm = root().join(format!("examples/filters/{name}.wasm"));
    let aot = stage.dir.join(format!("{name}.aot"));
    run_command(program(&stage.wamrc, "-o").arg(&aot).arg(&wasm))?;

    let from_wasm = filtered(stage, filter, &wasm)?;
    let from_aot = filtered(stage, filter, &aot)?;
    ensure!(
        from_wasm.lines().map(timeless).eq(from_aot.lines().map(timeless)),
        "{name}.aot answers otherwise than {name}.wasm: see the lines above"
    );
    println!("{name}: .aot and .wasm answer the same");
    Ok(())
}

/// What the agent prints for the records when they went through this module.
fn filtered(stage: &Stage, filter: &Filter, module: &Path) -> Result<String> {
    let words = "-q -i stdin -t dummy.local -F wasm -m dummy.* -p";
    let mut agent = program(&stage.agent, words);
    agent.arg(format!("wasm_path={}", module.display()));
    agent.arg("-p").arg(format!("function_name={}", filter.function));
    agent.args(["-o", "stdout", "-m", "*"]);
    let ended = watch(&mut agent, RECORDS, None)?;
    ended.expect_code(0)?;
    expect_enriched(&ended.stdout, filter.lang, RECORDS.lines().count())?;
    Ok(ended.stdout)
}

/// There must be this many records, all enriched by the filter in that language.
fn expect_enriched(stdout: &str, lang: &str, count: usize) -> Result<()> {
    let key = format!(r#""lang"=>"{lang}""#);
    let enriched = |line: &&str| line.contains(&key) && line.contains(r#""tag"=>"dummy.local""#);
    let lines = stdout.lines().filter(enriched).count();
    ensure!(lines == count, "{count} records with {key} expected, {lines} came");
    Ok(())
}

/// The line with every digit made 0: what is left does not depend on when it was made.
fn timeless(line: &str) -> String {
    line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// The command that users of the original compiler know, word for word.
fn cross_compile(stage: &Stage) -> Result<()> {
    title("Compile for another machine");
    let aot = stage.dir.join("rust-enrich-aarch64.aot");
    let words = "--size-level=3 --target=aarch64v8 --cpu=cortex-a57 -o";
    let wasm = root().join("examples/filters/rust-enrich.wasm");
    run_command(program(&stage.wamrc, words).arg(&aot).arg(wasm))?;
    let size = fs::metadata(&aot).with_context(|| format!("cannot read {}", aot.display()))?.len();
    ensure!(size > 0, "{} is empty", aot.display());
    println!("{size} bytes");
    Ok(())
}

/// The well-known configuration, as it is, for three seconds.
fn seed(stage: &Stage) -> Result<()> {
    title("The well-known configuration, until Ctrl-C after three seconds");
    let mut agent = program(&stage.agent, "-c examples/conf/seed.conf");
    let ended = watch(&mut agent, "", Some(Duration::from_secs(3)))?;
    ended.expect_code(0)?;
    let lines = ended.stdout.lines().count();
    ensure!(lines > 0, "no record came within three seconds");
    expect_enriched(&ended.stdout, "Rust", lines)
}

/// The same with the mistake that is often copied: it must be refused, with a word about Match.
fn seed_as_published(stage: &Stage) -> Result<()> {
    title("The same with a mistake: refused, with help");
    let mut agent = program(&stage.agent, "-c examples/conf/seed-as-published.conf");
    let ended = watch(&mut agent, "", None)?;
    ended.expect_code(255)?;
    ensure!(ended.stderr.to_lowercase().contains("match"), "the refusal does not speak of Match");
    Ok(())
}

/// A log file from its beginning to its end.
fn tail(stage: &Stage) -> Result<()> {
    title("A log file, read to its end");
    let mut agent = program(&stage.agent, "-q -w examples/conf -c tail.conf");
    let ended = watch(&mut agent, "", None)?;
    ended.expect_code(0)?;
    let log = root().join("examples/logs/access.log");
    let log = fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let enriched = |line: &&str| line.contains(r#""lang":"C""#) && line.contains(r#""original":"#);
    let (given, came) = (log.lines().count(), ended.stdout.lines().filter(enriched).count());
    ensure!(came == given, "{given} lines were given, {came} came");
    Ok(())
}

fn title(text: &str) {
    println!("\n== {text}");
}

/// A command from a program that we built and a line of words.
fn program(path: &Path, words: &str) -> Command {
    let mut command = Command::new(path);
    command.args(words.split_whitespace()).current_dir(root()).stdin(Stdio::null());
    command
}

/// A program that has ended.
struct Ended {
    line: String,
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl Ended {
    fn expect_code(&self, expected: i32) -> Result<()> {
        let Ended { line, code, .. } = self;
        let code = code.map_or("a signal".to_owned(), |code| format!("code {code}"));
        ensure!(self.code == Some(expected), "{line} ended with {code}, not with {expected}");
        Ok(())
    }
}

/// Runs the program on this input, with a Ctrl-C after a while if so wished, and shows what it
/// prints. One that does not end in time is killed, which is an error.
fn watch(command: &mut Command, input: &str, interrupt: Option<Duration>) -> Result<Ended> {
    let line = line(command);
    println!("$ {line}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {line}"))?;
    let stdout = reader(child.stdout.take().expect("it is piped"));
    let stderr = reader(child.stderr.take().expect("it is piped"));
    let mut stdin = child.stdin.take().expect("it is piped");
    // An agent that ends at once need not have read anything: its exit code tells why.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);

    let code = wait(&mut child, interrupt).with_context(|| format!("waiting for {line}"));
    let stdout = stdout.join().expect("a reader does not panic");
    let stderr = stderr.join().expect("a reader does not panic");
    print!("{stderr}{stdout}");
    Ok(Ended { line, stdout, stderr, code: code? })
}

fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The child's exit code, or none if a signal ended it.
fn wait(child: &mut Child, mut interrupt: Option<Duration>) -> Result<Option<i32>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if interrupt.is_some_and(|after| start.elapsed() >= after) {
            interrupt = None;
            run_command(command("sh -c").arg(format!("kill -INT {}", child.id())))?;
        }
        if start.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("it had not ended after {} seconds", LIMIT.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_given_its_input_and_heard() {
        let ended = watch(command("sh -c").arg("cat; echo no >&2; exit 7"), "yes\n", None).unwrap();
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("yes\n", "no\n"));
        ended.expect_code(7).unwrap();
        let told = ended.expect_code(0).unwrap_err().to_string();
        assert!(told.contains("code 7"), "{told}");
    }

    #[test]
    fn a_program_is_interrupted_as_by_ctrl_c() {
        let script = "trap 'echo bye; exit 0' INT; while :; do sleep 0.05; done";
        let after = Some(Duration::from_millis(200));
        // A shell cannot trap what was ignored before it started, as it is behind `&` in a script.
        let shell = "env --default-signal=INT sh -c";
        let ended = watch(command(shell).arg(script), "", after).unwrap();
        assert_eq!((ended.stdout.as_str(), ended.code), ("bye\n", Some(0)));
    }

    #[test]
    fn enriched_records_are_counted() {
        let line = r#"[0] dummy.local: [[1.0, {}], {"lang"=>"C", "tag"=>"dummy.local"}]"#;
        expect_enriched(&format!("{line}\n{line}\nno record\n"), "C", 2).unwrap();
        expect_enriched(line, "C", 2).unwrap_err();
        expect_enriched(line, "Rust", 1).unwrap_err();
    }

    #[test]
    fn lines_of_different_times_are_alike() {
        assert_eq!(timeless("[0] t: [[17.25, {}]"), timeless("[1] t: [[18.31, {}]"));
        assert_ne!(timeless("a"), timeless("b"));
    }
}
