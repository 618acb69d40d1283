//! What compiling costs: the example filters and a large module at each level and for each target, and a very large one.
//!
//! Runs of all variants are interleaved, and the middle one of each counts. When `FLB_WAMRC` names another compiler with the
//! same command line, it takes part.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::generate;
use super::measure::{Cost, measure, median};
use crate::run::{command, root, run as run_command, target_dir};

const ROUNDS: usize = 3;
/// Takes seconds, so it is compiled at two levels only.
const LARGEST: &str = "made-5m";

/// One row of the result.
struct Variant {
    module: String,
    wasm: PathBuf,
    compiler: &'static str,
    program: PathBuf,
    options: String,
    output: PathBuf,
    costs: Vec<Cost>,
}

pub(super) fn run() -> Result<()> {
    run_command(&mut command("cargo build --profile=packaged --workspace --bins"))?;
    let target = target_dir()?;
    let folder = target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let ours = target.join("packaged/flb-wamrc");
    let peer = env::var_os("FLB_WAMRC").map(PathBuf::from);
    if peer.is_none() {
        println!("No other compiler takes part: FLB_WAMRC names none.");
    }
    let mut variants = variants(&modules(&folder)?, &ours, peer.as_deref(), &folder);
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: {} runs", variants.len());
        for variant in &mut variants {
            let mut command = Command::new(&variant.program);
            command.args(variant.options.split_whitespace());
            command.arg("-o").arg(&variant.output).arg(&variant.wasm);
            variant.costs.push(measure(&command)?);
        }
    }
    report(&variants, &ours, &folder)
}

/// The modules, each with its name.
fn modules(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let example = |name: &str| root().join(format!("examples/filters/{name}.wasm"));
    let mut modules: Vec<_> = ["c-enrich", "rust-enrich"]
        .into_iter()
        .map(|name| (name.to_owned(), example(name)))
        .collect();
    for (name, size) in [("made-500k", 500_000), (LARGEST, 5_000_000)] {
        let path = folder.join(format!("{name}.wasm"));
        fs::write(&path, generate::module(size))?;
        modules.push((name.to_owned(), path));
    }
    Ok(modules)
}

fn variants(
    modules: &[(String, PathBuf)],
    ours: &Path,
    peer: Option<&Path>,
    folder: &Path,
) -> Vec<Variant> {
    let mut variants = Vec::new();
    let mut add = |module: &(String, PathBuf), compiler, program: &Path, options: String| {
        variants.push(Variant {
            module: module.0.clone(),
            wasm: module.1.clone(),
            compiler,
            program: program.to_owned(),
            output: folder.join(format!("{}.aot", variants.len())),
            options,
            costs: Vec::new(),
        });
    };
    for module in modules {
        if module.0 == LARGEST {
            add(module, "ours", ours, "--target=x86_64 --opt-level=3 --size-level=3".to_owned());
            add(module, "ours", ours, "--target=x86_64 --opt-level=0 --size-level=3".to_owned());
            continue;
        }
        for size in 0..=3 {
            add(module, "ours", ours, format!("--target=x86_64 --opt-level=3 --size-level={size}"));
        }
        for opt in 0..=2 {
            add(module, "ours", ours, format!("--target=x86_64 --opt-level={opt} --size-level=3"));
        }
        for target in ["aarch64", "riscv64", "s390x"] {
            add(module, "ours", ours, format!("--target={target} --opt-level=3 --size-level=3"));
        }
        if let Some(peer) = peer {
            add(module, "peer", peer, "--target=x86_64 --opt-level=3 --size-level=3".to_owned());
        }
    }
    variants
}

fn report(variants: &[Variant], ours: &Path, folder: &Path) -> Result<()> {
    println!("| module | wasm B | by | options | wall ms | CPU ms | peak MiB | .aot B |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for variant in variants {
        let middle = |of: fn(&Cost) -> Duration| median(variant.costs.iter().map(of).collect());
        let (wall, cpu) = (middle(|cost| cost.wall), middle(|cost| cost.cpu));
        let peak = variant.costs.iter().map(|cost| cost.peak_kib).max().unwrap_or_default();
        let (wasm, aot) =
            (fs::metadata(&variant.wasm)?.len(), fs::metadata(&variant.output)?.len());
        println!(
            "| {} | {wasm} | {} | `{}` | {} | {} | {} | {aot} |",
            variant.module,
            variant.compiler,
            variant.options,
            wall.as_millis(),
            cpu.as_millis(),
            peak / 1024
        );
        rows.push(json!({
            "module": variant.module, "wasm_bytes": wasm, "compiler": variant.compiler,
            "options": variant.options, "aot_bytes": aot, "peak_kib": peak,
            "wall_ms": variant.costs.iter().map(|cost| cost.wall.as_millis() as u64).collect::<Vec<_>>(),
            "cpu_ms": variant.costs.iter().map(|cost| cost.cpu.as_millis() as u64).collect::<Vec<_>>(),
        }));
    }
    let size = fs::metadata(ours)?.len();
    println!("\nThe compiler itself has {size} bytes.");
    let kept = folder.join("compile.json");
    fs::write(&kept, serde_json::to_vec_pretty(&json!({ "compiler_bytes": size, "rows": rows }))?)?;
    println!("Every run is kept in {}.", kept.strip_prefix(root()).unwrap_or(&kept).display());
    Ok(())
}
