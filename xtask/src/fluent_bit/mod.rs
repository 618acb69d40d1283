//! `cargo xtask fluent-bit [WORDS]`: the plugin inside a real Fluent Bit, the one that `FLUENT_BIT` names; skipped with a word
//! where it names none. `FLB_PLUGIN` names a plugin that is built already. With `WORDS` only the rows whose name contains them.

mod agent;
mod cases;
mod rows;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::run::{command, first_line, root, run as run_command, target_dir};

/// What is shown, and how: what it comes to in a few words.
struct Row {
    name: &'static str,
    run: fn(&Bench) -> Result<String>,
}

const ROWS: &[Row] = &[
    Row { name: "the filter's cases", run: cases::run },
    Row { name: "help", run: rows::help },
    Row { name: "refused starts", run: rows::refused },
    Row { name: "from a file of plugins", run: rows::plugins_file },
    Row { name: "1,000,000 records", run: rows::million },
    Row { name: "metrics", run: rows::metrics },
    Row { name: "a trap after SIGCONT", run: rows::trap_after_signals },
    Row { name: "a storm of signals", run: rows::storm },
    Row { name: "reload under load", run: rows::reload },
    Row { name: "an endless loop", run: rows::endless },
    Row { name: "an input on a coroutine", run: rows::coroutine },
    Row { name: "processors, threaded inputs", run: rows::processors },
    Row { name: "beside the agent's own filter", run: rows::beside },
    Row { name: "beside a plugin in Go", run: rows::beside_go },
    Row { name: "explicit traps", run: rows::explicit_traps },
    Row { name: "in the background", run: rows::daemon },
    Row { name: "without address space", run: rows::address_space },
];

/// What all rows need.
struct Bench {
    program: PathBuf,
    /// The first two numbers of its version.
    release: (u32, u32),
    folder: PathBuf,
}

impl Bench {
    /// The plugin's file, by the name that the agent asks for.
    fn plugin(&self) -> PathBuf {
        self.folder.join("flb-filter_aot.so")
    }

    /// A new folder for one run. It stays until the next one, to be looked at.
    fn room(&self, name: &str) -> Result<PathBuf> {
        let room = self.folder.join(name);
        if room.exists() {
            fs::remove_dir_all(&room)?;
        }
        fs::create_dir_all(&room)?;
        Ok(room)
    }

    /// A module of the project's tests as a file.
    fn module(&self, name: &str) -> Result<String> {
        let folders = [
            "tests/filter/modules",
            "examples/filters",
            "examples/sdk",
            "crates/fluent-bit/tests/host",
        ];
        let mut paths = folders.iter().map(|folder| root().join(folder).join(name));
        let path = paths.find(|path| path.exists()).with_context(|| format!("no module {name}"))?;
        let file = self.folder.join(name).with_extension("wasm");
        if !file.exists() {
            // Others may want it at the same time.
            let half = file.with_extension(format!("{:?}", std::thread::current().id()));
            fs::write(&half, wat::parse_file(path)?)?;
            fs::rename(half, &file)?;
        }
        Ok(file.display().to_string())
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only what has these words in its name
    words: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(program) = env::var_os("FLUENT_BIT") else {
        println!("SKIPPED: FLUENT_BIT names no program");
        return Ok(());
    };
    let folder = target_dir()?.join("fluent-bit");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let program = fs::canonicalize(&program).context("FLUENT_BIT")?;
    let version = first_line(Command::new(&program).arg("--version"))?;
    let release = release(&version).with_context(|| version.clone())?;
    let bench = Bench { program, release, folder };
    fs::copy(built()?, bench.plugin()).context("the plugin")?;
    println!("{version}\n");
    let words = args.words.join(" ");
    let mut failed = Vec::new();
    for row in ROWS.iter().filter(|row| row.name.contains(&words)) {
        match (row.run)(&bench) {
            Ok(what) => println!("| {} | {what} |", row.name),
            Err(error) => {
                println!("| {} | FAILED: {error:#} |", row.name);
                failed.push(row.name);
            }
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// The release that `Fluent Bit v5.1.1` is of.
fn release(version: &str) -> Option<(u32, u32)> {
    let (_, numbers) = version.split_once(" v")?;
    let mut numbers = numbers.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// The plugin's file, made if it is not named.
fn built() -> Result<PathBuf> {
    if let Some(plugin) = env::var_os("FLB_PLUGIN") {
        return Ok(plugin.into());
    }
    run_command(&mut command("cargo build -p flb-fluent-bit"))?;
    Ok(target_dir()?.join(Path::new("debug/libfilter_aot.so")))
}
