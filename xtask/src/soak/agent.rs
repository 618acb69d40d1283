//! An agent at work in a folder of its own.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::measure::cpu_of;
use crate::run::{command, run as run_command, target_dir};

/// The folder of a soak, and the program that is soaked.
pub(super) struct Soak {
    program: PathBuf,
    folder: PathBuf,
}

impl Soak {
    /// An empty folder. The program is built, as these words say, if none is named.
    pub(super) fn new(name: &str, program: Option<&Path>, words: &str) -> Result<Self> {
        let program = match program {
            Some(program) => {
                fs::canonicalize(program).with_context(|| program.display().to_string())?
            }
            None => {
                run_command(&mut command(&format!("cargo build --workspace --bins {words}")))?;
                target_dir()?.join("debug/flb-agent")
            }
        };
        let folder = target_dir()?.join(format!("soak-{name}-{}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { program, folder })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path(name), text)?)
    }

    /// The length of a file; 0 if it is not there.
    pub(super) fn length(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |metadata| metadata.len())
    }

    /// Opens a file to append to it.
    pub(super) fn log(&self, name: &str) -> Result<File> {
        Ok(OpenOptions::new().append(true).create(true).open(self.path(name))?)
    }

    /// Starts an agent with the configuration `name`.conf; what it says goes to `name`.log.
    pub(super) fn start(&self, name: &str) -> Result<Agent> {
        let agent = Command::new(&self.program)
            .args(["-c", &format!("{name}.conf")])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log(&format!("{name}.log"))?)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(Agent { process: agent, log: self.path(&format!("{name}.log")) })
    }

    /// Lines of an agent's log that have `what` in them.
    pub(super) fn said(&self, name: &str, what: &str) -> Vec<String> {
        let log = fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default();
        log.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }

    /// Prints what the agents complain about.
    pub(super) fn print_errors(&self) {
        for name in ["sender", "receiver"] {
            self.said(name, "[error]").iter().for_each(|line| println!("{name}: {line}"));
        }
    }

    /// How many files with chunks are in this folder, those that were put aside included.
    pub(super) fn chunks(&self, name: &str) -> usize {
        chunks(&self.path(name))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn chunks(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .map(|path| match path.is_dir() {
            true => chunks(&path),
            false => usize::from(path.file_name().is_some_and(|name| name != "lock")),
        })
        .sum()
}

/// An agent at work; killed without warning when it is forgotten.
pub(super) struct Agent {
    process: Child,
    log: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Agent {
    /// An error if it has ended by itself.
    pub(super) fn must_live(&mut self) -> Result<()> {
        let ended = self.process.try_wait()?;
        ensure!(ended.is_none(), "an agent ended by itself; see {}", self.log.display());
        Ok(())
    }

    /// The time that it has had a CPU.
    pub(super) fn cpu(&self) -> Result<Duration> {
        cpu_of(&fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?)
    }

    /// The process's number.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Lets it deliver what it has.
    pub(super) fn stop(mut self) -> Result<()> {
        let id = self.process.id().to_string();
        ensure!(Command::new("kill").args(["-s", "TERM", &id]).status()?.success(), "no kill");
        ensure!(self.process.wait()?.success(), "an agent failed; see {}", self.log.display());
        Ok(())
    }
}

/// Lines with ascending numbers in a file that grows.
pub(super) struct Lines {
    file: File,
    pub(super) written: usize,
}

impl Lines {
    pub(super) fn new(file: File) -> Self {
        Self { file, written: 0 }
    }

    /// Appends lines up to the one of this number.
    pub(super) fn write_until(&mut self, until: usize) -> Result<()> {
        let lines: String =
            (self.written..until).map(|n| format!("line {n}. {:=>60}\n", "")).collect();
        self.file.write_all(lines.as_bytes())?;
        self.written = self.written.max(until);
        Ok(())
    }
}

/// Chance: a number below `end`, which is not 0.
pub(super) fn random(end: u64) -> u64 {
    RandomState::new().hash_one(0) % end
}
