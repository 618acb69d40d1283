//! `cargo xtask bench call`: nanoseconds a record for each stage and for filters that do little, in the release build.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::lines::{self, Shape};
use crate::run::{command, output, root, run as run_command, target_dir};

const ROUNDS: usize = 7;
const RECORDS: usize = 200_000;
/// What is measured: its name, the stage, the module.
const ROWS: &[(&str, &str, &str)] = &[
    ("JSON to msgpack", "parse", ""),
    ("msgpack to JSON", "write", ""),
    ("the same, changed and back", "again", ""),
    ("scan", "call", "tests/filter/modules/scan.wat"),
    ("echo", "call", "tests/filter/modules/echo.wat"),
    ("append", "call", "tests/filter/modules/enrich.wat"),
    ("redact", "call", "tests/filter/modules/redact.wat"),
];

pub(super) fn run() -> Result<()> {
    run_command(&mut command("cargo build --release --workspace --bins --example hot_path"))?;
    let target = target_dir()?;
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let file = folder.join("call.jsonl");
    fs::write(&file, lines::file(Shape::Service, 227, 10_000))?;
    let mut times = vec![Vec::new(); ROWS.len()];
    for _ in 0..ROUNDS {
        for ((_, stage, module), times) in ROWS.iter().zip(&mut times) {
            let mut command = Command::new(target.join("release/examples/hot_path"));
            command.arg(stage).arg(&file).arg(RECORDS.to_string());
            if !module.is_empty() {
                command.arg(root().join(module));
            }
            let said = output(&mut command)?;
            times.push(said.trim().parse::<f64>().context("hot_path prints a number")?);
        }
    }
    println!("| what | ns a record, median | min |\n|---|---|---|");
    let mut kept = Vec::new();
    for ((name, ..), mut times) in ROWS.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        println!("| {name} | {:.0} | {:.0} |", times[times.len() / 2], times[0]);
        kept.push(json!({ "what": name, "ns": times }));
    }
    fs::write(folder.join("call.json"), serde_json::to_vec_pretty(&kept)?)?;
    Ok(())
}
