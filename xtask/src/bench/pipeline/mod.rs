//! `cargo xtask bench pipeline [LINES [WORDS]]`: what a record costs the whole agent, from a file to null: by filter, by kind of
//! line, by size, and by the number of filters; from a syslog client; and to stores that are sinks on this machine. With `WORDS` only the rows whose name contains them.
//!
//! Rounds of all rows are interleaved. When `FLUENT_BIT` names another agent with the same command line it takes part, and
//! what both write to files is compared line by line; its filters are `.aot` files made by the compiler that `FLB_WAMRC`
//! names. When `FLB_PLUGIN` names our plugin for it, the other agent takes part a second time, with that. `FLB_OURS` names a folder with programs of ours that are
//! built already.

mod agent;
mod compare;
mod report;
mod sent;
mod sink;
mod start;
mod works;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::measure::{Cost, measure_until, on_one_cpu};
use crate::run::target_dir;
use works::Work;

const ROUNDS: usize = 5;
/// Lines in the main rows unless said otherwise.
const LINES: usize = 1_000_000;

/// What one agent took for one work, by rounds.
struct Row<'a> {
    work: &'a Work,
    agent: &'static str,
    costs: Vec<Cost>,
}

/// One run. The files are in the system's cache: the peer takes them out when it is through with them.
fn run_once(work: &Work, command: &Command) -> Result<Cost> {
    for file in &work.files {
        fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let run = || {
        let send =
            work.sent.map(|sent| move || work.files.iter().try_for_each(|file| sent.send(file)));
        measure_until(command, send)
    };
    if work.is_wide { run() } else { on_one_cpu(run) }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many lines are read in a run
    #[arg(default_value_t = LINES)]
    lines: usize,
    /// Measure only what has these words in its name
    words: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let (lines, words) = (args.lines, args.words.join(" "));
    let folder = target_dir()?.join("bench/pipeline");
    fs::create_dir_all(&folder)?;
    let agents = agent::agents(&folder)?;
    let mut works = works::works(&folder, lines)?;
    works.retain(|work| work.name.contains(&words));
    let before = report::load();
    let mut rows: Vec<(Row<'_>, _)> = Vec::new();
    for work in &works {
        for agent in agents.iter().filter(|agent| agent.can(work)) {
            let output: Vec<&str> = work.output.iter().map(String::as_str).collect();
            let (agent, command) = (agent.name, agent.command(work, &output));
            rows.push((Row { work, agent, costs: Vec::new() }, command));
        }
    }
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: {} runs", rows.len());
        for (row, command) in &mut rows {
            row.costs.push(run_once(row.work, command)?);
        }
    }
    let rows: Vec<Row<'_>> = rows.into_iter().map(|(row, _)| row).collect();
    let starts = start::measure(&agents, &works::one_line(&folder)?)?;
    let load = format!("{before} before, {} after", report::load());
    let mut kept = json!({ "load": load, "rows": report::rows(&rows) });
    kept["start_ms"] = report::starts(&starts);
    println!("\nLoad of the machine: {load}.");
    if words.is_empty() {
        report::plots(&rows, &folder)?;
    }
    if let [ours, peer, ..] = &agents[..] {
        kept["compared"] = compare::all(ours, peer, &works::to_compare(&folder, lines)?, &folder)?;
    }
    fs::write(folder.join("result.json"), serde_json::to_vec_pretty(&kept)?)?;
    println!(
        "\nEvery run is kept in result.json, in the target's folder bench/pipeline; plots are beside it."
    );
    Ok(())
}
