//! A Fluent Bit at work: started with a configuration, listened to, sent signals, ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::Bench;

/// Longer than anything takes that comes to an end, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// One that runs; ended with this.
pub(super) struct Agent {
    child: Child,
    room: PathBuf,
}

/// What it came to.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// All that it said on standard error.
    pub(super) said: String,
    /// How long it took from the signal on.
    pub(super) took: Duration,
}

impl Bench {
    /// Starts one in its room with the plugin, and with a configuration that may be in YAML.
    pub(super) fn start(&self, room: &Path, configuration: &str) -> Result<Agent> {
        let name = if configuration.starts_with('[') { "agent.conf" } else { "agent.yaml" };
        fs::write(room.join(name), configuration)?;
        let mut command = Command::new(&self.program);
        command.arg("-e").arg(self.plugin()).args(["-c", name]);
        self.start_as(room, &mut command)
    }

    /// Starts one by this command.
    pub(super) fn start_as(&self, room: &Path, command: &mut Command) -> Result<Agent> {
        let log = File::create(room.join("log"))?;
        command.current_dir(room).stdin(Stdio::null()).stderr(log.try_clone()?);
        let child =
            command.stdout(File::create(room.join("out"))?).spawn().context("FLUENT_BIT")?;
        Ok(Agent { child, room: room.to_owned() })
    }
}

impl Agent {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(super) fn said(&self) -> String {
        read(&self.room.join("log"))
    }

    /// Waits until something is so. An error if the agent ends first.
    pub(super) fn wait(&mut self, what: &str, fact: impl Fn(&Self) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !fact(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status}) before {what}:\n{}", self.said());
            }
            ensure!(begun.elapsed() < PATIENCE, "{what}: that does not happen:\n{}", self.said());
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Sends a signal, by its name without `SIG`.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        signal(self.id(), name)
    }

    /// Asks for the end, and waits for it.
    pub(super) fn end(self) -> Result<Ended> {
        self.signal("TERM")?;
        self.ended()
    }

    /// Waits for the end.
    pub(super) fn ended(mut self) -> Result<Ended> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let took = begun.elapsed();
                return Ok(Ended { status, said: self.said(), took });
            }
            if begun.elapsed() > PATIENCE {
                self.child.kill()?;
                bail!("it does not end:\n{}", self.said());
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended, or is of no more use.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// An error unless it ended well.
    pub(super) fn well(self) -> Result<Self> {
        ensure!(self.status.success(), "{}:\n{}", self.status, self.said);
        Ok(self)
    }
}

pub(super) fn signal(process: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status()?;
    ensure!(status.success(), "no signal reaches it");
    Ok(())
}

/// A file's text; nothing if it is not there.
pub(super) fn read(path: &Path) -> String {
    fs::read(path)
        .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}
