//! `soak kill [kills] [lines] [program]`: an agent that is killed again and again loses nothing.
//!
//! A log grows while an agent reads it (tail with its positions in a file), filters it (c-enrich), stores it in files and
//! sends it to a second agent, which says what it has. Again and again the first agent is killed without warning. In the
//! end every line must have reached the second one. Some come twice, which is allowed, and counted.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::agent::{Agent, Lines, Soak, random};
use super::count::{Counts, count};
use crate::run::{free_port, root};

const KILLS: usize = 200;
const LINES: usize = 1_000_000;
/// How long an agent lives that is killed as it starts, in microseconds.
const START: u64 = 50_000;
/// How long one lives that is killed before or when it has begun to work, in microseconds.
const SOON: u64 = 1_000_000;
/// How long one lives at most that is killed at work, in microseconds, if it gets its work done.
const LIFE: u64 = 2_000_000;
/// While it works the log grows piece by piece, so often.
const PIECES: usize = 40;
const PAUSE: Duration = Duration::from_millis(30);
/// How often to look.
const LOOK: Duration = Duration::from_millis(1);
/// Nothing came for so long: the agent was not at work.
const QUIET: Duration = Duration::from_millis(200);
/// An agent without work for so long is killed anyway.
const IDLE: Duration = Duration::from_secs(5);
/// One that does nothing for so long will not do more.
const PATIENCE: Duration = Duration::from_secs(120);

/// When an agent is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// As it starts.
    Start,
    /// Before or when it begins to work.
    Soon,
    /// At work: when the receiver has got so many bytes more, and so much time is over.
    AtWork(u64, Duration),
}

impl Moment {
    /// One life in five is of each of the first two kinds. `share`: bytes for each life if all went on evenly.
    fn choose(share: u64) -> Self {
        match random(5) {
            0 => Self::Start,
            1 => Self::Soon,
            _ => Self::AtWork(1 + random(2 * share), Duration::from_micros(random(LIFE))),
        }
    }
}

/// How the agents died.
#[derive(Debug, Default)]
struct Deaths {
    start: usize,
    soon: usize,
    at_work: usize,
    idle: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the agent is killed
    #[arg(default_value_t = KILLS)]
    kills: usize,
    /// How many lines its log gets
    #[arg(default_value_t = LINES)]
    lines: usize,
    /// The agent (default: it is built)
    program: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let Args { kills, lines, .. } = *args;
    let soak = Soak::new("kill", args.program.as_deref(), "")?;
    configure(&soak)?;
    let mut receiver = soak.start("receiver")?;
    let begun = Instant::now();
    let mut log = Lines::new(soak.log("lines.log")?);
    let mut deaths = Deaths::default();
    for kill in 1..=kills {
        live(&soak, &mut log, lines * kill / kills, (lines / kills) as u64, &mut deaths)?;
        receiver.must_live()?;
        if kill % 20 == 0 {
            println!("{kill} kills: {deaths:?}; {}", count(&soak.path("received"), log.written)?);
        }
    }
    let killed = begun.elapsed();
    let counts = finish(&soak, receiver, lines)?;
    soak.print_errors();
    println!(
        "{kills} kills in {:.0} s, {lines} lines in {:.0} s: {counts}; {deaths:?}",
        killed.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
    );
    let folder = soak.folder().display();
    ensure!(counts.lost == 0, "{} lines are lost; all files are in {folder}", counts.lost);
    ensure!(counts.torn == 0, "{} lines are none of ours; all files are in {folder}", counts.torn);
    ensure!(soak.chunks("chunks") == 0, "chunks are left behind; all files are in {folder}");
    std::fs::remove_dir_all(soak.folder()).context("the soak's folder")
}

fn configure(soak: &Soak) -> Result<()> {
    let port = free_port()?;
    let module = root().join("examples/filters/c-enrich.wasm");
    let sender = format!(
        "[SERVICE]\n Flush 0.05\n storage.path chunks\n wasm.cache cache\n scheduler.base 1\n scheduler.cap 1\n\
         [INPUT]\n Name tail\n Path lines.log\n Read_From_Head on\n Refresh_Interval 1\n DB tail.db\n Tag soak\n \
         storage.type filesystem\n\
         [FILTER]\n Name wasm\n Match *\n WASM_Path {}\n Function_Name c_filter\n\
         [OUTPUT]\n Match *\n Alias out\n Retry_Limit no_limits\n Name forward\n Port {port}\n \
         Require_Ack_Response on\n",
        module.display(),
    );
    let receiver = format!(
        "[SERVICE]\n Flush 0.02\n[INPUT]\n Name forward\n Listen 127.0.0.1\n Port {port}\n\
         [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
    );
    soak.write("sender.conf", &sender)?;
    soak.write("receiver.conf", &receiver)
}

/// One agent's life, while the log grows up to the line `until`.
fn live(soak: &Soak, log: &mut Lines, until: usize, share: u64, deaths: &mut Deaths) -> Result<()> {
    // About what a line has when it is received.
    const LINE: u64 = 150;
    let moment = Moment::choose(share * LINE);
    let mut agent = soak.start("sender")?;
    let begun = Instant::now();
    match moment {
        Moment::Start => {
            deaths.start += 1;
            sleep(Duration::from_micros(random(START)));
        }
        Moment::Soon => {
            deaths.soon += 1;
            log.write_until(log.written.midpoint(until))?;
            sleep(Duration::from_micros(random(SOON)));
        }
        Moment::AtWork(bytes, life) => {
            let wanted = soak.length("received") + bytes;
            let (mut length, mut grown, mut wrote) = (0, begun, begun);
            let piece = (until - log.written).div_ceil(PIECES);
            while (length < wanted || begun.elapsed() < life) && grown.elapsed() < IDLE {
                if wrote.elapsed() >= PAUSE {
                    log.write_until((log.written + piece).min(until))?;
                    wrote = Instant::now();
                }
                sleep(LOOK);
                let now = soak.length("received");
                if now > length {
                    (length, grown) = (now, Instant::now());
                }
            }
            match grown.elapsed() < QUIET {
                true => deaths.at_work += 1,
                false => deaths.idle += 1,
            }
        }
    }
    agent.must_live()?;
    drop(agent);
    // The rest is written while no agent lives.
    log.write_until(until)
}

/// Lets a last agent deliver the rest.
fn finish(soak: &Soak, receiver: Agent, lines: usize) -> Result<Counts> {
    let starts = soak.said("sender", "[flb-agent] version").len();
    let mut agent = soak.start("sender")?;
    let (mut length, mut grown) = (0, Instant::now());
    // Before it says so it does not hear that it shall stop.
    while soak.said("sender", "[flb-agent] version").len() == starts && grown.elapsed() < PATIENCE {
        agent.must_live()?;
        sleep(LOOK);
    }
    while count(&soak.path("received"), lines)?.lost > 0 && grown.elapsed() < PATIENCE {
        agent.must_live()?;
        sleep(Duration::from_millis(500));
        let now = soak.length("received");
        if now > length {
            (length, grown) = (now, Instant::now());
        }
    }
    agent.stop()?;
    receiver.stop()?;
    count(&soak.path("received"), lines)
}
