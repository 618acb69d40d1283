//! `cargo xtask bench call`: nanoseconds of CPU time that a call of a filter takes: the whole call with the conversions around it,
//! and the filter's own part, beside the same filter as native code.
//!
//! Rounds of all rows are interleaved, on one CPU. `FLB_OURS` names a folder with programs of ours that are built already. The
//! original runtime takes part when `FLB_WAMRC` names its compiler, and `FLB_WAMR_CALL` a program that calls it: `PROGRAM AOT
//! FUNCTION FILE RECORDS` calls the function with the lines of the file in turn and prints the nanoseconds of CPU time of a
//! call, arguments and answer copied. It is given the module itself, too, for the original's interpreter beside ours.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::lines::{self, Shape};
use super::measure::on_one_cpu;
use crate::run::{command, output, root, run as run_command, target_dir};
use crate::toolchains;

const ROUNDS: usize = 5;
/// Bytes of a record, and records in a round.
const SIZES: &[(usize, usize)] = &[(240, 100_000), (4096, 20_000)];
/// What we make of a module, by name and option: native code by how a call can be ended, of which the first one is what users
/// have; and portable code, for machines without a back end.
const FORMS: &[(&str, &str)] = &[
    ("signal", "--interruption=signal"),
    ("epoch", "--interruption=epoch"),
    ("none", "--interruption=none"),
    ("portable", "--target=portable"),
];

/// The module itself in the original runtime.
const INTERPRETED: &str = "original, interpreted";

/// A filter as a module and, where there is one, as native code.
struct Filter {
    name: &'static str,
    module: &'static str,
    function: &'static str,
    format: &'static str,
    native: Option<Native>,
}

/// Where the native twin comes from: `tests/bench/native.c` itself, a file beside it in C or Zig, or a Rust crate.
#[derive(Clone, Copy)]
enum Native {
    Own,
    C(&'static str),
    Rust(&'static str),
    Zig(&'static str),
}

const FILTERS: &[Filter] = &[
    small("drop", "tests/filter/modules/drop.wat", "json", Some(Native::Own)),
    small("echo", "tests/filter/modules/echo.wat", "json", Some(Native::Own)),
    small("append", "tests/filter/modules/enrich.wat", "json", Some(Native::Own)),
    small("redact", "tests/filter/modules/redact.wat", "json", Some(Native::Own)),
    Filter {
        name: "c-enrich",
        module: "examples/filters/c-enrich.wasm",
        function: "c_filter",
        format: "json",
        native: Some(Native::C("examples/filters/c-enrich/c-enrich.c")),
    },
    Filter {
        name: "c-sha256",
        module: "examples/filters/c-sha256.wasm",
        function: "c_sha256",
        format: "json",
        native: Some(Native::C("examples/filters/c-sha256/c-sha256.c")),
    },
    Filter {
        name: "rust-enrich",
        module: "examples/filters/rust-enrich.wasm",
        function: "rust_filter",
        format: "json",
        native: Some(Native::Rust("examples/filters/rust-enrich")),
    },
    Filter {
        name: "rust-redact",
        module: "examples/filters/rust-redact.wasm",
        function: "rust_redact",
        format: "json",
        native: Some(Native::Rust("examples/filters/rust-redact")),
    },
    Filter {
        name: "rust-sha256",
        module: "examples/filters/rust-sha256.wasm",
        function: "rust_sha256",
        format: "json",
        native: Some(Native::Rust("examples/filters/rust-sha256")),
    },
    Filter {
        name: "zig-enrich",
        module: "examples/filters/zig-enrich.wasm",
        function: "zig_filter",
        format: "json",
        native: Some(Native::Zig("examples/filters/zig-enrich/zig-enrich.zig")),
    },
    small("drop", "tests/filter/modules/drop.wat", "msgpack", None),
    small("echo", "tests/filter/modules/msgpack_echo.wat", "msgpack", None),
    small("append", "tests/filter/modules/msgpack_append.wat", "msgpack", None),
    small("keep", "tests/filter/modules/batch_keep.wat", "batch-1", None),
    small("keep", "tests/filter/modules/batch_keep.wat", "batch-16", None),
    small("keep", "tests/filter/modules/batch_keep.wat", "batch-256", None),
    small("keep", "tests/filter/modules/batch_keep.wat", "batch-1000", None),
    small("append", "tests/filter/modules/batch_append.wat", "batch-1", None),
    small("append", "tests/filter/modules/batch_append.wat", "batch-256", None),
    small("set", "tests/filter/modules/batch_set.wat", "batch-256", None),
    batch("c-redact", "sdk/conformance/c.wasm", "redact", "batch-1"),
    batch("c-redact", "sdk/conformance/c.wasm", "redact", "batch-256"),
    batch("c-enrich", "sdk/conformance/c.wasm", "enrich", "batch-256"),
    batch("rust-redact", "sdk/conformance/rust.wasm", "redact", "batch-256"),
    batch("rust-enrich", "sdk/conformance/rust.wasm", "enrich", "batch-256"),
];

/// One of the modules that the tests have in text form.
const fn small(
    name: &'static str,
    module: &'static str,
    format: &'static str,
    native: Option<Native>,
) -> Filter {
    Filter { name, module, function: "filter", format, native }
}

/// One of the filters that the SDKs' conformance suite has in each language.
const fn batch(
    name: &'static str,
    module: &'static str,
    function: &'static str,
    format: &'static str,
) -> Filter {
    Filter { name, module, function, format, native: None }
}

/// One way to run one filter, and what it took: the whole call, if it was measured, and the filter's own part.
struct Row {
    filter: &'static Filter,
    size: usize,
    by: String,
    command: Command,
    times: Vec<(Option<f64>, f64)>,
}

/// A time that is not of one record: what, and the nanoseconds of each round.
struct Once {
    what: &'static str,
    command: Command,
    times: Vec<f64>,
}

pub(super) fn run() -> Result<()> {
    let ours = ours()?;
    let folder = target_dir()?.join("bench/call");
    fs::create_dir_all(&folder)?;
    let mut rows = rows(&ours, &folder)?;
    let mut onces = onces(&ours, &folder)?;
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: {} runs", rows.len() + onces.len());
        on_one_cpu(|| measure(&mut rows, &mut onces))?;
    }
    report(&rows, &onces, &folder)
}

/// A round.
fn measure(rows: &mut [Row], onces: &mut [Once]) -> Result<()> {
    for row in rows {
        let said = output(&mut row.command)?;
        let numbers = numbers(&said)?;
        row.times.push(match numbers[..] {
            [whole, own] => (Some(whole), own),
            [own] => (None, own),
            _ => anyhow::bail!("one or two numbers, not {said}"),
        });
    }
    for once in onces {
        once.times.extend(numbers(&output(&mut once.command)?)?);
    }
    Ok(())
}

fn numbers(said: &str) -> Result<Vec<f64>> {
    said.split_whitespace().map(|word| word.parse().context("a number")).collect()
}

/// The folder with our programs.
fn ours() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("FLB_OURS") {
        return Ok(PathBuf::from(folder));
    }
    run_command(&mut command("cargo build --profile=packaged --workspace --bins --example calls"))?;
    Ok(target_dir()?.join("packaged"))
}

/// Compiles a module, of text or binary, to a file of its own.
fn compile(compiler: &Path, module: &str, options: &[&str], to: &Path) -> Result<()> {
    let wasm = to.with_extension("wasm");
    fs::write(&wasm, wat::parse_file(root().join(module))?)?;
    let mut command = Command::new(compiler);
    command.args(options).arg("-o").arg(to).arg(wasm);
    output(&mut command).map(drop)
}

fn rows(ours: &Path, folder: &Path) -> Result<Vec<Row>> {
    let peer = env::var_os("FLB_WAMRC").zip(env::var_os("FLB_WAMR_CALL"));
    if peer.is_none() {
        println!(
            "The original runtime does not take part: FLB_WAMRC and FLB_WAMR_CALL name nothing."
        );
    }
    let mut rows = Vec::new();
    for (size, records) in SIZES {
        let file = folder.join(format!("{size}.jsonl"));
        fs::write(&file, lines::file(Shape::Service, *size, 1000))?;
        let records = &records.to_string();
        for filter in FILTERS {
            let mut add = |by: &str, command| {
                let (by, times) = (by.to_owned(), Vec::new());
                rows.push(Row { filter, size: *size, by, command, times });
            };
            let aot = |by: &str| folder.join(format!("{}-{}-{by}.aot", filter.name, filter.format));
            for (by, option) in FORMS {
                let options = ["--opt-level=3", "--size-level=3", option];
                compile(&ours.join("flb-wamrc"), filter.module, &options, &aot(by))?;
                let mut command = Command::new(ours.join("examples/calls"));
                command.arg(&file).args([records, filter.format]);
                command.arg(aot(by)).arg(filter.function);
                add(by, command);
            }
            if let Some(native) = filter.native {
                let mut command = Command::new(build_native(filter, native, folder)?);
                command.arg(&file).arg(records);
                add("native", command);
            }
            if let Some((compiler, program)) = peer.as_ref().filter(|_| filter.format == "json") {
                let options = ["--opt-level=3", "--size-level=3"];
                compile(Path::new(compiler), filter.module, &options, &aot("peer"))?;
                let mut command = Command::new(program);
                command.arg(aot("peer")).arg(filter.function).arg(&file).arg(records);
                add("original", command);
                let mut command = Command::new(program);
                command.arg(aot("peer").with_extension("wasm")).arg(filter.function);
                command.arg(&file).arg(records);
                add(INTERPRETED, command);
            }
        }
    }
    Ok(rows)
}

/// The filter as a program.
fn build_native(filter: &Filter, native: Native, folder: &Path) -> Result<PathBuf> {
    let program = folder.join(filter.name);
    let function = if matches!(native, Native::Own) { filter.name } else { filter.function };
    let mut command = Command::new("cc");
    command.arg("-O2").arg(format!("-DFILTER={function}")).arg("-o").arg(&program);
    command.arg(root().join("tests/bench/native.c"));
    match native {
        Native::Own => {}
        Native::C(source) => {
            command.arg(root().join(source));
        }
        Native::Rust(folder) => {
            command.arg(rust_library(folder)?).args(["-lpthread", "-ldl", "-lm"]);
        }
        Native::Zig(source) => {
            command.arg(zig_object(source, folder)?);
        }
    }
    output(&mut command)?;
    Ok(program)
}

/// The static library of a filter's crate, optimised for speed.
fn rust_library(folder: &str) -> Result<PathBuf> {
    let target = target_dir()?.join("bench/native");
    let mut cargo = command("cargo rustc --release --lib --crate-type staticlib");
    cargo.args(["--config", "profile.release.opt-level=3"]);
    cargo.arg("--manifest-path").arg(root().join(folder).join("Cargo.toml"));
    run_command(cargo.arg("--target-dir").arg(&target))?;
    let name = Path::new(folder).file_name().context("a crate has a folder")?.to_string_lossy();
    Ok(target.join(format!("release/lib{}.a", name.replace('-', "_"))))
}

/// What Zig makes of a filter's source for this machine, optimised for speed.
fn zig_object(source: &str, folder: &Path) -> Result<PathBuf> {
    let object = folder.join("zig.o");
    let mut zig = toolchains::zig()?;
    zig.args(["build-obj", "-O", "ReleaseFast", "-fstrip", "-fPIC", "-fcompiler-rt", source]);
    run_command(zig.arg(format!("-femit-bin={}", object.display())))?;
    Ok(object)
}

fn onces(ours: &Path, folder: &Path) -> Result<Vec<Once>> {
    let once = |what, stage: &str, module: &str, function: &str| -> Result<Once> {
        let name = Path::new(module).file_stem().context("a module has a name")?;
        let aot = folder.join(name).with_extension("aot");
        compile(&ours.join("flb-wamrc"), module, &["--opt-level=3"], &aot)?;
        let mut command = Command::new(ours.join("examples/calls"));
        command.args([stage, "10000"]).arg(aot).arg(function);
        Ok(Once { what, command, times: Vec::new() })
    };
    let (echo, enrich) = ("tests/filter/modules/echo.wat", "examples/filters/rust-enrich.wasm");
    Ok(vec![
        once("start of an instance, echo", "start", echo, "filter")?,
        once("start of an instance, rust-enrich", "start", enrich, "rust_filter")?,
        once("a trap, and the next instance", "trap", "tests/filter/modules/trap.wat", "divide")?,
    ])
}

fn report(rows: &[Row], onces: &[Once], folder: &Path) -> Result<()> {
    println!(
        "| filter | format | bytes | run by | ns a call | least | its own ns | least | x native |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let own = |row: &Row| row.times.iter().map(|time| time.1).collect();
    let of = |row: &Row, by: &str| {
        let same = |other: &&Row| {
            (other.filter.name, other.filter.format, other.size, other.by.as_str())
                == (row.filter.name, row.filter.format, row.size, by)
        };
        rows.iter().find(same).map(|row| middle(own(row)).0)
    };
    let mut kept = Vec::new();
    for row in rows {
        let whole: Vec<f64> = row.times.iter().filter_map(|time| time.0).collect();
        let show = |times: Vec<f64>| match middle(times) {
            (_, least) if least.is_infinite() => "| |".to_owned(),
            (median, least) => format!("{median:.0} | {least:.0} |"),
        };
        let Filter { name, format, .. } = row.filter;
        let native = of(row, "native").map(|native| middle(own(row)).0 / native);
        println!(
            "| {name} | {format} | {} | {} | {} {} {} |",
            row.size,
            row.by,
            show(whole.clone()),
            show(own(row)),
            native.map_or(String::new(), |ratio| format!("{ratio:.2}"))
        );
        kept.push(json!({ "filter": name, "format": format, "bytes": row.size, "by": row.by,
            "whole_ns": whole, "own_ns": row.times.iter().map(|time| time.1).collect::<Vec<_>>() }));
    }
    compare(rows, &of);
    println!("\n| what | ns, median | least |\n|---|---|---|");
    for Once { what, times, .. } in onces {
        let (median, least) = middle(times.clone());
        println!("| {what} | {median:.0} | {least:.0} |");
        kept.push(json!({ "what": what, "ns": times }));
    }
    let path = folder.with_extension("json");
    fs::write(&path, serde_json::to_vec_pretty(&kept)?)?;
    println!("\nEvery run is kept in {}.", path.strip_prefix(root()).unwrap_or(&path).display());
    Ok(())
}

/// The filters' own parts against the original's, one ratio for all of them that do real work: native code against native code, and
/// portable code against its interpreter.
fn compare(rows: &[Row], of: &impl Fn(&Row, &str) -> Option<f64>) {
    for (by, _) in FORMS {
        let peer = if *by == "portable" { INTERPRETED } else { "original" };
        let works = |row: &&Row| row.by == *by && row.filter.module.starts_with("examples/");
        let ratios: Vec<f64> = rows
            .iter()
            .filter(works)
            .filter_map(|row| Some(of(row, by)? / of(row, peer)?))
            .collect();
        if ratios.is_empty() {
            continue;
        }
        let sum: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
        let mean = (sum / ratios.len() as f64).exp();
        println!(
            "\n{by}, own part against the {peer}'s, geometric mean: {mean:.2} of {ratios:.2?}"
        );
    }
}

/// The median and the least of some times.
fn middle(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    (median, times.first().copied().unwrap_or(f64::INFINITY))
}
