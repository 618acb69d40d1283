//! `cargo xtask bench instructions [--renew]`: how many instructions a record costs at each stage, counted by callgrind and
//! held against `tests/bench/instructions.txt`. A stage that takes a twentieth more than written there is an error.
//!
//! What is counted is the dev build, in which the dependencies and the conversions are optimised, so nothing is compiled for it
//! that the tests do not need.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::lines::{self, Shape};
use crate::run::{command, line, output, root, run as run_command, target_dir, works};

const BASELINE: &str = "tests/bench/instructions.txt";
/// What is counted.
const STAGES: &[Stage] = &[
    hot_path("parse", &["parse"], &[]),
    hot_path("write", &["write"], &[]),
    hot_path("again", &["again"], &[]),
    hot_path("call", &["call"], ENRICH),
    hot_path("stage", &["parse", "call"], ENRICH),
    Stage { name: "write_keys", lines: (Shape::Keys, 8192), ..hot_path("write", &["write"], &[]) },
    batch("batch_keep", &["tests/filter/modules/batch_keep.wat", "filter"]),
    batch("batch_append", &["tests/filter/modules/batch_append.wat", "filter"]),
    batch("batch_redact", &["sdk/conformance/c.wasm", "redact"]),
    regex("regex_access", "bench_access", Shape::Access),
    regex("regex_container", "bench_container", Shape::Container),
];
const ENRICH: &[&str] = &["tests/filter/modules/enrich.wat", "filter"];
const PARSERS: &[&str] = &["tests/bench/parsers.conf"];

/// What is counted under which name: an example and what it is told to do, with lines of such a shape and length, and with what else.
struct Stage {
    name: &'static str,
    example: &'static str,
    what: &'static str,
    lines: (Shape, usize),
    with: &'static [&'static str],
    /// The functions in which is counted. What goes on outside of them, such as the compiler's work, takes another number of
    /// instructions each time.
    within: &'static [&'static str],
}

/// A stage of a record's way, named as it is, with a module and its function where it needs them.
const fn hot_path(
    name: &'static str,
    within: &'static [&'static str],
    with: &'static [&'static str],
) -> Stage {
    let lines = (Shape::Service, 227);
    Stage { name, example: "hot_path", what: name, lines, with, within }
}

/// Calls of a module of the batch ABI.
const fn batch(name: &'static str, module: &'static [&'static str]) -> Stage {
    Stage { name, ..hot_path("call", &["call"], module) }
}

/// A parser of a regular expression.
const fn regex(name: &'static str, parser: &'static str, shape: Shape) -> Stage {
    let (lines, within) = ((shape, 227), &["parse"]);
    Stage { name, example: "parse_lines", what: parser, lines, with: PARSERS, within }
}

/// Each stage is run with as many records and with twice as many: the difference knows nothing of start and end.
const RECORDS: u64 = 1000;

/// Counts by stage, and where they hold: counts of another compiler or CPU say nothing.
#[derive(Debug, PartialEq)]
struct Counts {
    machine: String,
    stages: BTreeMap<String, u64>,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Write down what is counted
    #[arg(long)]
    renew: bool,
}

pub(crate) fn run(&Args { renew }: &Args) -> Result<()> {
    if !has_valgrind() {
        println!("SKIPPED: valgrind is not here, and apt does not bring it.");
        return Ok(());
    }
    let path = root().join(BASELINE);
    let baseline = fs::read_to_string(&path).ok().and_then(|text| Counts::read(&text));
    let machine = machine()?;
    if baseline.is_none() && !renew {
        println!("SKIPPED: there is no {BASELINE}; --renew makes it.");
        return Ok(());
    }
    if let Some(baseline) = baseline.as_ref().filter(|known| known.machine != machine && !renew) {
        println!("SKIPPED: {BASELINE} holds for {}, this is {machine}.", baseline.machine);
        return Ok(());
    }
    let counts = Counts { machine, stages: count()? };
    if renew {
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(&path, counts.write())?;
        println!("{BASELINE} is written.");
        return Ok(());
    }
    let before = baseline.map(|baseline| baseline.stages).unwrap_or_default();
    let worse = compare(&before, &counts.stages);
    ensure!(
        worse.is_empty(),
        "more than a twentieth over {BASELINE}: {}; if it has to be so, run it with --renew",
        worse.join(", ")
    );
    Ok(())
}

fn has_valgrind() -> bool {
    const INSTALL: &str = "apt-get -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=60 install -y \
                           --no-install-recommends valgrind";
    works("valgrind --version") || works(INSTALL) && works("valgrind --version")
}

/// The compiler, the C library, valgrind, and whether the CPU has AVX2. Of the CPU nothing else matters: the one that
/// valgrind shows to programs, with its features and the sizes of its caches, is always the same, with AVX2 or without.
fn machine() -> Result<String> {
    let rustc = output(&mut command("rustc --version"))?;
    let libc = output(&mut command("ldd --version"))?;
    let libc = libc.lines().next().unwrap_or_default();
    let valgrind = output(&mut command("valgrind --version"))?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let avx2 = if cpu.split_whitespace().any(|word| word == "avx2") { "avx2" } else { "no avx2" };
    let (rustc, valgrind, arch) = (rustc.trim(), valgrind.trim(), std::env::consts::ARCH);
    Ok(format!("{rustc}, {libc}, {valgrind}, {arch}, {avx2}"))
}

fn count() -> Result<BTreeMap<String, u64>> {
    run_command(&mut command("cargo build --workspace --example hot_path --example parse_lines"))?;
    let folder = target_dir()?.join("bench");
    fs::create_dir_all(&folder)?;
    STAGES.iter().map(|stage| Ok((stage.name.to_owned(), stage.count(&folder)?))).collect()
}

impl Stage {
    /// Instructions a record.
    fn count(&self, folder: &Path) -> Result<u64> {
        let (shape, length) = self.lines;
        let file = folder.join("instructions.lines");
        fs::write(&file, lines::file(shape, length, RECORDS as usize))?;
        let program = target_dir()?.join("debug/examples").join(self.example);
        let counted = |records| {
            let mut command = Command::new("valgrind");
            command.current_dir(root());
            command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            for function in self.within {
                command.arg(format!("--toggle-collect={}::{function}", self.example));
            }
            command.arg(&program).arg(self.what).arg(&file).arg(u64::to_string(&records));
            command.args(self.with);
            instructions(command)
        };
        let (once, twice) = (counted(RECORDS)?, counted(2 * RECORDS)?);
        Ok(twice.saturating_sub(once) / RECORDS)
    }
}

fn instructions(mut command: Command) -> Result<u64> {
    let ended = command.output().context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&ended.stderr);
    let count = collected(&said).filter(|_| ended.status.success());
    count.with_context(|| format!("{} says: {said}", line(&command)))
}

fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// Prints a table; returns what got worse.
fn compare(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Vec<String> {
    println!("| stage | instructions a record | before |\n|---|---|---|");
    let mut worse = Vec::new();
    for (stage, count) in now {
        let known = before.get(stage).copied();
        println!("| {stage} | {count} | {} |", known.map_or("-".to_owned(), |n| n.to_string()));
        if known.is_none_or(|known| *count > known + known / 20) {
            worse.push(stage.clone());
        }
    }
    worse
}

impl Counts {
    fn write(&self) -> String {
        let mut text = format!(
            "# Instructions a record, by stage: written by `cargo xtask bench instructions --renew`.\nmachine {}\n",
            self.machine
        );
        for (stage, count) in &self.stages {
            text += &format!("{stage} {count}\n");
        }
        text
    }

    fn read(text: &str) -> Option<Self> {
        let mut rows = text.lines().filter(|line| !line.starts_with('#'));
        let machine = rows.next()?.strip_prefix("machine ")?.to_owned();
        let stage = |row: &str| {
            let (stage, count) = row.split_once(' ')?;
            Some((stage.to_owned(), count.parse().ok()?))
        };
        Some(Self { machine, stages: rows.map(stage).collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(rows: &[(&str, u64)]) -> BTreeMap<String, u64> {
        rows.iter().map(|(stage, count)| ((*stage).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let counts = Counts { machine: "m".to_owned(), stages: stages(&[("parse", 5)]) };
        assert_eq!(Counts::read(&counts.write()), Some(counts));
        assert_eq!(Counts::read("machine m\nparse many\n"), None);
    }

    #[test]
    fn a_twentieth_more_is_still_allowed() {
        let before = stages(&[("parse", 1000)]);
        assert!(compare(&before, &stages(&[("parse", 1050)])).is_empty());
        assert_eq!(compare(&before, &stages(&[("parse", 1051), ("new", 1)])), ["new", "parse"]);
    }

    #[test]
    fn valgrinds_words_are_understood() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123\n"), Some(123));
        assert_eq!(collected("valgrind: no"), None);
    }
}
