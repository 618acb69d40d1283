//! `soak kafka [kills] [lines] [program]`: from a log through Kafka to the files of two aggregators, whoever is killed, nothing is lost.
//!
//! A log grows while an agent reads it (tail with its positions in a file), filters it (c-enrich), stores it in files and sends it to a
//! topic of eight partitions. Two agents share these as a group, store what they read in files and write it out. Again and again one of
//! the three is killed without warning. In the end every line must have been written by one of the two. Some come twice, which is
//! allowed, and counted. The broker is the one of `cargo xtask servers kafka`.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flb_testkit::servers;

use super::agent::{Agent, Lines, Soak, random};
use super::count::{Counts, count_in_all};
use crate::run::root;

const KILLS: usize = 60;
const LINES: usize = 1_000_000;
/// The agents; those behind the first one are the group.
const AGENTS: [&str; 3] = ["sender", "one", "other"];
/// One in so many of those that are killed is a member of the group, which takes seconds to notice it.
const MEMBER: u64 = 3;
/// How long the agents live at most between two kills, in milliseconds.
const LIFE: u64 = 4_000;
/// How often the log grows meanwhile.
const TICK: Duration = Duration::from_millis(50);
/// Agents that do nothing for so long will not do more.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often one of the agents is killed
    #[arg(default_value_t = KILLS)]
    kills: usize,
    /// How many lines the log gets
    #[arg(default_value_t = LINES)]
    lines: usize,
    /// The agent, with Kafka in it (default: it is built)
    program: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let Args { kills, lines, .. } = *args;
    let soak = Soak::new("kafka", args.program.as_deref(), "--features flb-agent/kafka")?;
    let broker = servers::kafka(servers::free_port()).context("cargo xtask servers kafka")?;
    servers::kafka_topic(&broker, "soak", 8);
    configure(&soak, broker.port)?;
    let mut life = Life::new(&soak)?;
    let (begun, mut log) = (Instant::now(), Lines::new(soak.log("lines.log")?));
    for kill in 1..=kills {
        grow(&mut log, lines * kill / kills)?;
        life.kill_one()?;
        if kill % 10 == 0 {
            println!("{kill} kills: {:?}; {}", life.killed, counted(&soak, log.written)?);
        }
    }
    let killed = begun.elapsed();
    let (counts, cpu) = life.finish(lines)?;
    println!(
        "{kills} kills in {:.0} s ({:?} of {AGENTS:?}), {lines} lines in {:.0} s: {counts}; {:.1} us of CPU a line",
        killed.as_secs_f64(),
        life.killed,
        begun.elapsed().as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / lines as f64,
    );
    let folder = soak.folder().display();
    ensure!(counts.lost == 0, "{} lines are lost; all files are in {folder}", counts.lost);
    for name in AGENTS {
        ensure!(soak.chunks(&format!("{name}.chunks")) == 0, "chunks are left in {folder}");
    }
    fs::remove_dir_all(soak.folder()).context("the soak's folder")
}

fn configure(soak: &Soak, port: u16) -> Result<()> {
    let module = root().join("examples/filters/c-enrich.wasm");
    let sender = format!(
        "[SERVICE]\n Flush 0.05\n storage.path sender.chunks\n wasm.cache cache\n scheduler.base 1\n \
         scheduler.cap 1\n\
         [INPUT]\n Name tail\n Path lines.log\n Read_From_Head on\n Refresh_Interval 1\n DB tail.db\n Tag soak\n \
         storage.type filesystem\n\
         [FILTER]\n Name wasm\n Match *\n WASM_Path {}\n Function_Name c_filter\n\
         [OUTPUT]\n Name kafka\n Match *\n Retry_Limit no_limits\n Brokers 127.0.0.1:{port}\n Topics soak\n",
        module.display(),
    );
    soak.write("sender.conf", &sender)?;
    for name in &AGENTS[1..] {
        let member = format!(
            "[SERVICE]\n Flush 0.05\n storage.path {name}.chunks\n\
             [INPUT]\n Name kafka\n Brokers 127.0.0.1:{port}\n Topics soak\n Format json\n Poll_Ms 50\n Tag soak\n \
             storage.type filesystem\n rdkafka.auto.offset.reset earliest\n rdkafka.session.timeout.ms 2000\n \
             rdkafka.heartbeat.interval.ms 300\n\
             [OUTPUT]\n Name file\n Match *\n File {name}.received\n Format plain\n"
        );
        soak.write(&format!("{name}.conf"), &member)?;
    }
    Ok(())
}

/// What has been written by the group.
fn counted(soak: &Soak, lines: usize) -> Result<Counts> {
    let paths = AGENTS[1..].iter().map(|name| soak.path(&format!("{name}.received")));
    count_in_all(&paths.collect::<Vec<PathBuf>>(), lines)
}

/// Lets the log grow up to the line `until`, in as much time as the agents live.
fn grow(log: &mut Lines, until: usize) -> Result<()> {
    let life = Duration::from_millis(random(LIFE));
    let (begun, from) = (Instant::now(), log.written);
    while begun.elapsed() < life {
        let share = begun.elapsed().as_secs_f64() / life.as_secs_f64();
        log.write_until(from + ((until - from) as f64 * share) as usize)?;
        sleep(TICK);
    }
    log.write_until(until)
}

/// The agents at work, and what they came to.
struct Life<'s> {
    soak: &'s Soak,
    agents: [Option<Agent>; AGENTS.len()],
    killed: [usize; AGENTS.len()],
    /// What those took that are dead.
    cpu: Duration,
}

impl<'s> Life<'s> {
    fn new(soak: &'s Soak) -> Result<Self> {
        let [sender, one, other] = AGENTS.map(|name| soak.start(name).map(Some));
        Ok(Self { soak, agents: [sender?, one?, other?], killed: [0; 3], cpu: Duration::ZERO })
    }

    /// Kills one, and starts it again.
    fn kill_one(&mut self) -> Result<()> {
        let is_member = random(MEMBER) == 0;
        let at = if is_member { 1 + usize::from(random(2) == 0) } else { 0 };
        for agent in self.agents.iter_mut().flatten() {
            agent.must_live()?;
        }
        if let Some(agent) = self.agents[at].take() {
            self.cpu += agent.cpu()?;
        }
        self.agents[at] = Some(self.soak.start(AGENTS[at])?);
        self.killed[at] += 1;
        Ok(())
    }

    /// Lets the last agents deliver the rest.
    fn finish(&mut self, lines: usize) -> Result<(Counts, Duration)> {
        let (mut counts, mut grown) = (counted(self.soak, lines)?, Instant::now());
        while counts.lost > 0 && grown.elapsed() < PATIENCE {
            sleep(Duration::from_millis(500));
            let now = counted(self.soak, lines)?;
            if now.lost < counts.lost {
                grown = Instant::now();
            }
            counts = now;
        }
        for agent in self.agents.iter_mut().filter_map(Option::take) {
            self.cpu += agent.cpu()?;
            agent.stop()?;
        }
        Ok((counted(self.soak, lines)?, self.cpu))
    }
}
