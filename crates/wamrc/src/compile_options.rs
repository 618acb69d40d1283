//! The compiler's own options. Those of the original compiler that do nothing here are in `original.rs`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::StringValueParser;
use flb_artifact::{Architecture, CpuTable, Interruption, TARGET_NAMES, Traps};
use flb_cli::offer;
use flb_text::did_you_mean;

use crate::usage::UsageError;

/// What the original compiler takes for `--target-abi`, and `musl`, which has the same code as `gnu`.
pub(crate) const ABIS: [&str; 13] = [
    "gnu",
    "musl",
    "msvc",
    "eabi",
    "eabihf",
    "gnueabihf",
    "gnueabi",
    "ilp32",
    "ilp32f",
    "ilp32d",
    "lp64",
    "lp64f",
    "lp64d",
];

const LEVELS: [&str; 4] = ["0", "1", "2", "3"];

// No documentation comment: clap would take it for the program's.
#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// Write the artifact to FILE
    #[arg(short = 'o', value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) output: Option<PathBuf>,
    /// Compile for this architecture or target triple (default: this host), or for several; 'help' lists them
    #[arg(long, value_name = "TARGET[:CPU],..", require_equals = true, hide_possible_values = true,
        value_parser = offer(StringValueParser::new(), with_help(TARGET_NAMES)))]
    pub(crate) target: Option<String>,
    /// The target's ABI: gnu (default), or msvc for Windows; 'help' lists them
    #[arg(long = "target-abi", value_name = "ABI", require_equals = true, hide_possible_values = true,
        value_parser = offer(abi, with_help(ABIS)))]
    pub(crate) abi: Option<String>,
    /// Compile for this CPU (default: this host's, or the target's baseline); 'help' lists them
    #[arg(long, value_name = "CPU", require_equals = true, hide_possible_values = true,
        value_parser = offer(StringValueParser::new(), cpus()))]
    pub(crate) cpu: Option<String>,
    /// Switch single CPU features on and off; '+help' lists them
    #[arg(long, value_name = "+A,-B", require_equals = true)]
    pub(crate) cpu_features: Option<String>,
    /// How hard to work for fast code (default 3): 0 compiles fastest, 1 optimises, 2 and 3 rewrite branches and loops first
    #[arg(long, value_name = "0..3", require_equals = true, hide_possible_values = true,
        value_parser = offer(level, LEVELS))]
    pub(crate) opt_level: Option<u8>,
    /// How hard to work for a small file (default 3): 0 keeps everything, 1 drops unwind tables, 2 address maps and dead
    /// code too, 3 compresses
    #[arg(long, value_name = "0..3", require_equals = true, hide_possible_values = true,
        value_parser = offer(level, LEVELS))]
    pub(crate) size_level: Option<u8>,
    /// How calls end that run too long: signal (default; on Linux x86_64 and aarch64, else epoch), epoch (by a counter), none
    #[arg(long, value_name = "KIND", require_equals = true, hide_possible_values = true,
        value_parser = offer(interruption, ["signal", "epoch", "none"]))]
    pub(crate) interruption: Option<Interruption>,
    /// How traps are raised: signal (default), explicit comparisons
    #[arg(long, value_name = "KIND", require_equals = true, hide_possible_values = true,
        value_parser = offer(traps, ["signal", "explicit"]))]
    pub(crate) traps: Option<Traps>,
    /// The output format; there is one
    #[arg(long, value_name = "aot", require_equals = true, hide_possible_values = true,
        value_parser = offer(format, ["aot"]))]
    format: Option<()>,
    /// Leave the module out of the artifact: smaller, but it can't be rebuilt for another host or checked
    #[arg(long)]
    pub(crate) no_embed_wasm: bool,
    /// Compile on N threads (default: one per core); the output is the same for every N
    #[arg(short = 'j', value_name = "N", allow_hyphen_values = true, value_parser = jobs)]
    pub(crate) jobs: Option<usize>,
    /// Print one JSON object about what was made instead of the lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Verbosity: 0 only errors, 1 notes too, 2 what is done (default), 3 to 5 times and sizes too
    #[arg(short = 'v', value_name = "0..5", require_equals = true, value_parser = verbosity)]
    pub(crate) verbosity: Option<u8>,
    /// Refuse a module that uses SIMD
    #[arg(long)]
    pub(crate) disable_simd: bool,
    /// Refuse a module that uses bulk memory operations
    #[arg(long)]
    pub(crate) disable_bulk_memory: bool,
    /// Refuse a module that uses reference types
    #[arg(long)]
    pub(crate) disable_ref_types: bool,
    /// Keep custom sections: always done, as the artifact holds the whole module (not with --no-embed-wasm)
    #[arg(long = "emit-custom-sections", value_name = "A,B", require_equals = true)]
    pub(crate) keep_sections: Option<String>,
    /// Print the versions of this program, its engine and the artifact format
    #[arg(long, short = 'V')]
    pub(crate) version: bool,
    /// Print which code generator there is instead of LLVM
    #[arg(long)]
    pub(crate) llvm_version: bool,
    /// The input, and whatever stands behind it: options end there, as the original compiler has it.
    #[arg(hide = true, trailing_var_arg = true)]
    pub(crate) words: Vec<PathBuf>,
}

fn with_help(names: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    names.into_iter().chain(["help"]).collect()
}

/// Reads `--target-abi`.
fn abi(value: &str) -> Result<String, UsageError> {
    if value == "help" || ABIS.contains(&value) {
        return Ok(value.to_owned());
    }
    let near = did_you_mean(value, ABIS);
    let meant = near.map(|near| format!("did you mean '{near}'? ")).unwrap_or_default();
    let help = format!("{meant}See --target-abi=help");
    Err(UsageError::new(format!("unknown ABI '{value}'"), help))
}

/// The CPUs of all architectures.
fn cpus() -> Vec<&'static str> {
    let tables = Architecture::ALL.into_iter().map(CpuTable::of);
    let mut names: Vec<&str> = tables.flat_map(CpuTable::cpu_names).collect();
    names.sort_unstable();
    names.dedup();
    with_help(names)
}

fn level(value: &str) -> Result<u8, UsageError> {
    let level = value.parse().ok().filter(|level| *level <= 3);
    level.ok_or_else(|| UsageError::new(format!("'{value}' is not a level"), "give 0, 1, 2 or 3"))
}

fn jobs(value: &str) -> Result<usize, UsageError> {
    let jobs = value.parse().ok().filter(|jobs| (1..=1024).contains(jobs));
    let message = || format!("'{value}' is not a number of threads");
    jobs.ok_or_else(|| UsageError::new(message(), "give 1 or more"))
}

fn verbosity(value: &str) -> Result<u8, UsageError> {
    let level = value.parse().ok().filter(|level| *level <= 5);
    level.ok_or_else(|| UsageError::new(format!("'{value}' is not a verbosity"), "give 0 to 5"))
}

fn interruption(value: &str) -> Result<Interruption, UsageError> {
    let message = || format!("'{value}' is no way to end calls");
    Interruption::parse(value)
        .ok_or_else(|| UsageError::new(message(), "give signal, epoch or none"))
}

fn traps(value: &str) -> Result<Traps, UsageError> {
    let message = || format!("'{value}' is no way to raise traps");
    Traps::parse(value).ok_or_else(|| UsageError::new(message(), "give signal or explicit"))
}

fn format(value: &str) -> Result<(), UsageError> {
    match value {
        "aot" => Ok(()),
        "object" | "llvmir-unopt" | "llvmir-opt" => Err(UsageError::new(
            format!("'{value}' is not a format that can be loaded"),
            "leave it out, or give --format=aot; flb-wamrc disasm shows an artifact's machine code",
        )),
        _ => Err(UsageError::new(
            format!("'{value}' is not a format"),
            "leave it out, or give --format=aot",
        )),
    }
}
