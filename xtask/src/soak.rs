//! `cargo xtask soak kill [kills] [lines] [program]`: an agent that is killed again and again loses nothing.
//!
//! A log grows while an agent reads it (tail with its offsets in a file), filters it (c-enrich) and sends it on, stored in
//! files on the way. Again and again the agent is killed without warning, at moments that nobody chose. In the end every
//! line must have reached the receiver: a second agent, if agents can talk to each other, or else a file. Some come twice,
//! which is allowed, and counted.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{command, root, run as run_command, target_dir};

const KILLS: usize = 200;
const LINES: usize = 1_000_000;
/// An agent lives at most so long, if it is killed.
const LIFE: Duration = Duration::from_millis(1500);
/// The last agent, and the receiver, get this long to finish.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = args.iter();
    ensure!(args.next().is_some_and(|what| what == "kill"), "usage: soak kill [kills] [lines]");
    let kills = args.next().map_or(Ok(KILLS), |text| text.parse())?;
    let lines = args.next().map_or(Ok(LINES), |text| text.parse())?;
    let agent = match args.next() {
        Some(program) => PathBuf::from(program),
        None => {
            run_command(&mut command("cargo build --workspace --bins"))?;
            target_dir()?.join("debug/flb-agent")
        }
    };
    let folder = target_dir()?.join("soak");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let soak = Soak { agent, folder };
    let has_forward = soak.configure()?;
    let receiver = has_forward.then(|| soak.start("receiver")).transpose()?;
    let begun = Instant::now();
    soak.kill_again_and_again(kills, lines)?;
    let counts = soak.finish(lines);
    receiver.map_or(Ok(()), Agent::stop)?;
    let counts = counts?;
    let receiver = if has_forward { "a second agent" } else { "a file" };
    println!(
        "{kills} kills, {lines} lines to {receiver} in {:.0} s: {counts}",
        begun.elapsed().as_secs_f64()
    );
    ensure!(
        counts.lost == 0,
        "{} lines are lost; all files are in {}",
        counts.lost,
        soak.folder.display()
    );
    Ok(())
}

struct Soak {
    agent: PathBuf,
    folder: PathBuf,
}

/// An agent at work; killed when it is forgotten.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    /// Lets it deliver what it has.
    fn stop(mut self) -> Result<()> {
        let id = self.0.id().to_string();
        ensure!(Command::new("kill").args(["-s", "TERM", &id]).status()?.success(), "no kill");
        ensure!(self.0.wait()?.success(), "an agent failed");
        Ok(())
    }
}

impl Soak {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes the agents' files. Whether there is to be a second agent.
    fn configure(&self) -> Result<bool> {
        let try_forward = ["--dry-run", "-q", "-o", "forward", "-m", "*"];
        let has_forward = Command::new(&self.agent).args(try_forward).output()?.status.success();
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let module = root().join("examples/filters/c-enrich.wasm");
        let sender = format!(
            "[SERVICE]\n Flush 0.05\n storage.path chunks\n wasm.cache cache\n scheduler.base 1\n scheduler.cap 1\n\
             [INPUT]\n Name tail\n Path lines.log\n Read_From_Head on\n Refresh_Interval 1\n DB tail.db\n \
             Tag soak\n storage.type filesystem\n\
             [FILTER]\n Name wasm\n Match *\n WASM_Path {}\n Function_Name c_filter\n\
             [OUTPUT]\n Match *\n Alias out\n Retry_Limit no_limits\n {}\n",
            module.display(),
            match has_forward {
                true => format!("Name forward\n Port {port}\n Require_Ack_Response on"),
                false => "Name file\n File received\n Format plain".to_owned(),
            }
        );
        let receiver = format!(
            "[SERVICE]\n Flush 0.2\n[INPUT]\n Name forward\n Listen 127.0.0.1\n Port {port}\n\
             [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
        );
        fs::write(self.path("sender.conf"), sender)?;
        fs::write(self.path("receiver.conf"), receiver)?;
        fs::write(self.path("lines.log"), "")?;
        Ok(has_forward)
    }

    /// Starts an agent; its log goes to a file.
    fn start(&self, name: &str) -> Result<Agent> {
        let log =
            OpenOptions::new().append(true).create(true).open(self.path(&format!("{name}.log")))?;
        let agent = Command::new(&self.agent)
            .args(["-c", &format!("{name}.conf")])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.agent.display()))?;
        Ok(Agent(agent))
    }

    fn kill_again_and_again(&self, kills: usize, lines: usize) -> Result<()> {
        let mut log = OpenOptions::new().append(true).open(self.path("lines.log"))?;
        let mut written = 0;
        for kill in 1..=kills {
            let mut agent = self.start("sender")?;
            // Half of the lines are written before it has begun to read, half while it works.
            let life = Duration::from_millis(random() % LIFE.as_millis() as u64);
            let until = lines * (2 * kill - 1) / (2 * kills);
            append(&mut log, &mut written, until)?;
            sleep(life / 2);
            append(&mut log, &mut written, lines * kill / kills)?;
            sleep(life / 2);
            if let Some(status) = agent.0.try_wait()? {
                bail!(
                    "an agent ended by itself, {status}; see {}",
                    self.path("sender.log").display()
                );
            }
            drop(agent);
            if kill % 20 == 0 {
                println!("{kill} kills, {written} lines written, {}", self.count(lines)?);
            }
        }
        Ok(())
    }

    /// Lets a last agent deliver the rest.
    fn finish(&self, lines: usize) -> Result<Counts> {
        let agent = self.start("sender")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counts = self.count(lines)?;
            if counts.lost == 0 || Instant::now() > deadline {
                agent.stop()?;
                return self.count(lines);
            }
            sleep(Duration::from_secs(1));
        }
    }

    /// What the receiver has.
    fn count(&self, lines: usize) -> Result<Counts> {
        let mut seen = vec![0_u32; lines];
        let mut counts = Counts::default();
        let mut latest = 0;
        let Ok(file) = File::open(self.path("received")) else {
            return Ok(Counts { lost: lines, ..counts });
        };
        for line in BufReader::new(file).split(b'\n') {
            match number(&line?).and_then(|number| Some((number, seen.get_mut(number)?))) {
                None => counts.torn += 1,
                Some((number, times)) => {
                    *times += 1;
                    counts.late += usize::from(*times == 1 && number < latest);
                    latest = latest.max(number);
                }
            }
        }
        counts.lost = seen.iter().filter(|times| **times == 0).count();
        counts.twice = seen.iter().map(|times| times.saturating_sub(1) as usize).sum();
        Ok(counts)
    }
}

/// What became of all lines.
#[derive(Default)]
struct Counts {
    lost: usize,
    twice: usize,
    /// Came for the first time behind a later line.
    late: usize,
    torn: usize,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lost, twice, late, torn } = self;
        write!(f, "{lost} missing, {twice} came again, {late} out of order, {torn} torn")
    }
}

/// Appends lines up to the one of this number.
fn append(log: &mut File, written: &mut usize, until: usize) -> Result<()> {
    let lines: String = (*written..until).map(|n| format!("line {n}. {:=>60}\n", "")).collect();
    log.write_all(lines.as_bytes())?;
    *written = until;
    Ok(())
}

/// The number of a line in what the filter made of it.
fn number(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    let (_, rest) = text.split_once("line ")?;
    rest.split_once('.')?.0.parse().ok()
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
