//! `cargo xtask bench pipeline [LINES]`: what a record costs the whole agent, from a file to null: by filter, by size, and by
//! the number of filters.
//!
//! Rounds of all rows are interleaved. When `FLUENT_BIT` names another agent with the same command line it takes part, and
//! what both write to files is compared line by line; its filters are `.aot` files made by the compiler that `FLB_WAMRC`
//! names. `FLB_OURS` names a folder with programs of ours that are built already.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::lines::{self, Shape};
use super::measure::{Cost, measure, median};
use super::plot;
use crate::run::{command, output, root, run as run_command, target_dir};

const ROUNDS: usize = 5;
/// Lines of 227 bytes unless said otherwise.
const LINES: usize = 1_000_000;
const SEED: usize = 227;
/// Filters: name, module, function, and whether it takes msgpack.
const FILTERS: &[Filter] = &[
    Filter { name: "echo", module: "tests/filter/modules/echo.wat", function: "filter" },
    Filter { name: "append", module: "tests/filter/modules/enrich.wat", function: "filter" },
    Filter { name: "c-enrich", module: "examples/filters/c-enrich.wasm", function: "c_filter" },
    Filter {
        name: "rust-enrich",
        module: "examples/filters/rust-enrich.wasm",
        function: "rust_filter",
    },
];

struct Filter {
    name: &'static str,
    module: &'static str,
    function: &'static str,
}

/// An agent, and the folder with its filters.
struct Agent {
    name: &'static str,
    program: PathBuf,
    filters: Option<PathBuf>,
}

struct Row {
    name: String,
    agent: usize,
    lines: PathBuf,
    records: usize,
    length: usize,
    filters: Vec<&'static Filter>,
    costs: Vec<Cost>,
}

pub(super) fn run(args: &[String]) -> Result<()> {
    let records = match args.first() {
        Some(word) => word.parse().context("the number of lines")?,
        None => LINES,
    };
    let folder = target_dir()?.join("bench");
    fs::create_dir_all(&folder)?;
    let agents = agents(&folder)?;
    let mut rows = rows(&agents, &folder, records)?;
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: {} runs", rows.len());
        for row in &mut rows {
            row.costs.push(measure(&mut row.command(&agents[row.agent], "null", &[]))?);
        }
    }
    report(&rows, &agents, &folder)?;
    let [ours, peer, ..] = &agents[..] else { return Ok(()) };
    let seed = folder.join("compare.jsonl");
    fs::write(&seed, lines::file(Shape::Service, SEED, records))?;
    let hostile = folder.join("hostile.jsonl");
    fs::write(&hostile, lines::hostile())?;
    for lines in [seed, hostile] {
        compare(ours, peer, &lines, &folder)?;
    }
    Ok(())
}

fn agents(folder: &Path) -> Result<Vec<Agent>> {
    let ours = match env::var_os("FLB_OURS") {
        Some(folder) => PathBuf::from(folder),
        None => {
            run_command(&mut command("cargo build --release --workspace --bins"))?;
            target_dir()?.join("release")
        }
    };
    let filters = |compiler: &Path, name: &str| -> Result<PathBuf> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        for filter in FILTERS {
            let wasm = folder.join(format!("{}.wasm", filter.name));
            fs::write(&wasm, wat::parse_file(root().join(filter.module))?)?;
            let mut command = Command::new(compiler);
            command.args(["--opt-level=3", "--size-level=3", "-o"]);
            output(command.arg(wasm.with_extension("aot")).arg(wasm))?;
        }
        Ok(folder)
    };
    let compiled = filters(&ours.join("flb-wamrc"), "ours")?;
    let mut agents =
        vec![Agent { name: "ours", program: ours.join("flb-agent"), filters: Some(compiled) }];
    match env::var_os("FLUENT_BIT") {
        None => println!("No other agent takes part: FLUENT_BIT names none."),
        Some(program) => {
            let compiler = env::var_os("FLB_WAMRC").map(PathBuf::from);
            if compiler.is_none() {
                println!("The other agent has no compiled filters: FLB_WAMRC names no compiler.");
            }
            let filters = compiler.map(|compiler| filters(&compiler, "peer")).transpose()?;
            agents.push(Agent { name: "peer", program: program.into(), filters });
        }
    }
    Ok(agents)
}

fn rows(agents: &[Agent], folder: &Path, records: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let file = |shape, length, records| -> Result<PathBuf> {
        let path = folder.join(format!("{length}-{shape:?}.jsonl"));
        fs::write(&path, lines::file(shape, length, records))?;
        Ok(path)
    };
    let mut add = |name: String,
                   lines: &PathBuf,
                   (records, length),
                   filters: Vec<&'static Filter>| {
        for (index, agent) in agents.iter().enumerate() {
            if !filters.is_empty() && agent.filters.is_none() {
                continue;
            }
            let (name, lines, filters) = (name.clone(), lines.clone(), filters.clone());
            rows.push(Row { name, agent: index, lines, records, length, filters, costs: vec![] });
        }
    };
    let echo = &FILTERS[0];
    let seed = file(Shape::Service, SEED, records)?;
    add("none".to_owned(), &seed, (records, SEED), vec![]);
    for filter in FILTERS {
        add(filter.name.to_owned(), &seed, (records, SEED), vec![filter]);
    }
    for count in [2, 4, 8] {
        add(format!("echo x {count}"), &seed, (records, SEED), vec![echo; count]);
    }
    let sizes = [
        (Shape::Text, 100),
        (Shape::Text, 1_000),
        (Shape::Keys, 10_000),
        (Shape::Text, 10_001),
        (Shape::Keys, 64_000),
        (Shape::Text, 64_001),
    ];
    for (shape, length) in sizes {
        let records = (records * SEED / length / 2).max(100);
        let lines = file(shape, length, records)?;
        let what = if shape == Shape::Keys { "many keys" } else { "one text" };
        add(format!("{length} B, {what}, none"), &lines, (records, length), vec![]);
        add(format!("{length} B, {what}, append"), &lines, (records, length), vec![&FILTERS[1]]);
    }
    let one = folder.join("one.jsonl");
    fs::write(&one, lines::file(Shape::Service, SEED, 1))?;
    add("start, one record, append".to_owned(), &one, (1, SEED), vec![&FILTERS[1]]);
    Ok(rows)
}

impl Row {
    fn command(&self, agent: &Agent, output: &str, properties: &[String]) -> Command {
        let mut command = Command::new(&agent.program);
        command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
        command.arg("-q").arg("-R").arg(root().join("tests/bench/parsers.conf"));
        command.args(["-i", "tail", "-p"]).arg(format!("path={}", self.lines.display()));
        for property in ["parser=bench_json", "read_from_head=on", "exit_on_eof=on"] {
            command.args(["-p", property]);
        }
        command.args(["-p", "buffer_chunk_size=256k", "-p", "buffer_max_size=1M"]);
        for filter in &self.filters {
            let folder = agent.filters.as_deref().unwrap_or(Path::new(""));
            let module = folder.join(format!("{}.aot", filter.name));
            command.args(["-F", "wasm", "-m", "*", "-p"]);
            command.arg(format!("wasm_path={}", module.display()));
            command.arg("-p").arg(format!("function_name={}", filter.function));
        }
        command.args(["-o", output, "-m", "*"]);
        properties.iter().for_each(|property| {
            command.args(["-p", property.as_str()]);
        });
        command
    }

    /// CPU time a record.
    fn each(&self, of: fn(Vec<Duration>) -> Duration) -> f64 {
        let cpu = of(self.costs.iter().map(|cost| cost.cpu).collect());
        cpu.as_secs_f64() * 1e6 / self.records as f64
    }
}

fn least(durations: Vec<Duration>) -> Duration {
    durations.into_iter().min().unwrap_or_default()
}

fn report(rows: &[Row], agents: &[Agent], folder: &Path) -> Result<()> {
    println!("| work | agent | records | CPU us a record | min | wall ms | peak MiB |");
    println!("|---|---|---|---|---|---|---|");
    let mut kept = Vec::new();
    for row in rows {
        let (middle, min) = (row.each(median), row.each(least));
        let wall = median(row.costs.iter().map(|cost| cost.wall).collect()).as_millis();
        let peak = row.costs.iter().map(|cost| cost.peak_kib).max().unwrap_or_default();
        let (name, agent, records) = (&row.name, agents[row.agent].name, row.records);
        let peak_mib = peak as f64 / 1024.0;
        println!(
            "| {name} | {agent} | {records} | {middle:.2} | {min:.2} | {wall} | {peak_mib:.1} |"
        );
        let cpu: Vec<Value> = row.costs.iter().map(|c| json!(c.cpu.as_micros() as u64)).collect();
        kept.push(json!({
            "work": name, "agent": agent, "records": records, "cpu_us": cpu, "peak_kib": peak,
        }));
    }
    fs::write(folder.join("pipeline.json"), serde_json::to_vec_pretty(&kept)?)?;
    let ours = || rows.iter().filter(|row| row.agent == 0 && row.records > 1);
    let by_size = |filters: usize, words: &str| -> Vec<(f64, f64)> {
        let right = |row: &&Row| {
            row.filters.len() == filters && (row.name.contains(words) || row.length == SEED)
        };
        let first = ours().filter(right).map(|row| (row.length as f64, row.each(median)));
        first.collect()
    };
    let sizes =
        [("none, many keys", by_size(0, "many keys")), ("none, one text", by_size(0, "one text"))];
    let counts: Vec<(f64, f64)> = ours()
        .filter(|row| row.length == SEED && row.filters.iter().all(|one| one.name == "echo"))
        .map(|row| (row.filters.len() as f64, row.each(median)))
        .collect();
    fs::write(folder.join("sizes.svg"), plot::svg("bytes a record", "CPU us", &sizes))?;
    fs::write(folder.join("filters.svg"), plot::svg("filters", "CPU us", &[("echo", counts)]))?;
    println!(
        "\nEvery run is kept in pipeline.json, plots are sizes.svg and filters.svg, in the target's folder bench."
    );
    Ok(())
}

/// What both agents make of the lines, in files.
fn compare(ours: &Agent, peer: &Agent, lines: &Path, folder: &Path) -> Result<()> {
    let written = |agent: &Agent| -> Result<String> {
        let file = format!("{}.out", agent.name);
        let row = Row {
            name: String::new(),
            agent: 0,
            lines: lines.to_owned(),
            records: 0,
            length: 0,
            filters: vec![],
            costs: vec![],
        };
        let _ = fs::remove_file(folder.join(&file));
        let place = [format!("path={}", folder.display()), format!("file={file}")];
        let plain = ["format=plain".to_owned()];
        measure(&mut row.command(agent, "file", &[&place[..], &plain[..]].concat()))?;
        Ok(fs::read_to_string(folder.join(&file))?)
    };
    let (left, right) = (written(ours)?, written(peer)?);
    let differ = left.lines().zip(right.lines()).filter(|(one, other)| one != other).count();
    let (left, right) = (left.lines().count(), right.lines().count());
    println!("{}: {left} and {right} lines, {differ} differ", lines.display());
    ensure!(left == right, "one agent has lost lines of {}", lines.display());
    Ok(())
}
