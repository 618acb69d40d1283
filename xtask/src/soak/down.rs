//! `soak down [seconds] [program]`: a receiver that is down for a while loses nothing, and holds up nobody else.
//!
//! Logs grow all the time. An agent sends them to a second one, and writes them to files of its own beside that. The second
//! agent ends, and comes back after so many seconds. In the end it must have every line, those of a log in their order;
//! and the files must have been no further behind while it was away than before.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::agent::{Lines, Soak};
use super::count::{Counts, count};
use crate::run::free_port;

const DOWN: u64 = 60;
/// How long the receiver is there before it is away, and at least after.
const UP: Duration = Duration::from_secs(10);
/// The logs; each has a tag of its own.
const LOGS: [&str; 3] = ["a.log", "b.log", "c.log"];
/// Lines that each log gets at a time.
const LINES: usize = 40;
/// How often.
const TICK: Duration = Duration::from_millis(20);
/// Who is no further behind has caught up.
const NEARLY: Duration = Duration::from_secs(1);
/// Who has not caught up by then never will.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long the receiver is down
    #[arg(default_value_t = DOWN)]
    seconds: u64,
    /// The agent (default: it is built)
    program: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let down = Duration::from_secs(args.seconds);
    let soak = Soak::new("down", args.program.as_deref(), "")?;
    configure(&soak)?;
    let receiver = soak.start("receiver")?;
    let mut sender = soak.start("sender")?;
    let mut flow = Flow::new(&soak)?;
    let before = flow.run(UP)?;
    receiver.stop()?;
    let meanwhile = flow.run(down)?;
    let receiver = soak.start("receiver")?;
    let returned = Instant::now();
    let mut after = Duration::ZERO;
    while flow.received.behind(&soak, &flow.history)? > NEARLY {
        ensure!(returned.elapsed() < PATIENCE, "the receiver does not catch up");
        after = after.max(flow.run(TICK)?);
    }
    let caught_up = returned.elapsed();
    after = after.max(flow.run(UP)?);
    sender.must_live()?;
    sender.stop()?;
    receiver.stop()?;
    soak.print_errors();
    let (counts, other) = (flow.count("received")?, flow.count("other")?);
    println!(
        "receiver down for {} s, {} lines of {} tags: {counts}; it had caught up {:.1} s after its return; \
         the other output: {other}, at most {:.2} s behind before, {:.2} s while the receiver was down, {:.2} s after",
        down.as_secs(),
        flow.written(),
        LOGS.len(),
        caught_up.as_secs_f64(),
        before.as_secs_f64(),
        meanwhile.as_secs_f64(),
        after.as_secs_f64(),
    );
    let folder = soak.folder().display();
    for counts in [&counts, &other] {
        ensure!(
            (counts.lost, counts.late, counts.torn) == (0, 0, 0),
            "not all is well; all files are in {folder}"
        );
    }
    ensure!(soak.chunks("chunks") == 0, "chunks are left behind; all files are in {folder}");
    std::fs::remove_dir_all(soak.folder()).context("the soak's folder")
}

fn configure(soak: &Soak) -> Result<()> {
    let port = free_port()?;
    let sender = format!(
        "[SERVICE]\n Flush 0.1\n storage.path chunks\n\
         [INPUT]\n Name tail\n Path *.log\n Exclude_Path sender.log,receiver.log\n Read_From_Head on\n \
         Refresh_Interval 1\n DB tail.db\n Tag *\n storage.type filesystem\n\
         [OUTPUT]\n Name forward\n Alias out\n Match *\n Retry_Limit no_limits\n Port {port}\n \
         Require_Ack_Response on\n\
         [OUTPUT]\n Name file\n Alias other\n Match *\n Path other\n Mkdir on\n Format plain\n"
    );
    let receiver = format!(
        "[SERVICE]\n Flush 0.1\n[INPUT]\n Name forward\n Listen 127.0.0.1\n Port {port}\n\
         [OUTPUT]\n Name file\n Match *\n Path received\n Mkdir on\n Format plain\n"
    );
    soak.write("sender.conf", &sender)?;
    soak.write("receiver.conf", &receiver)
}

/// The logs that grow, and how far both outputs have come.
struct Flow<'s> {
    soak: &'s Soak,
    logs: Vec<Lines>,
    other: Place,
    received: Place,
    history: History,
}

/// How many lines each log had, and since when.
type History = Vec<(Instant, usize)>;

impl<'s> Flow<'s> {
    fn new(soak: &'s Soak) -> Result<Self> {
        let logs = LOGS.iter().map(|log| Ok(Lines::new(soak.log(log)?)));
        Ok(Self {
            soak,
            logs: logs.collect::<Result<_>>()?,
            other: Place::new("other"),
            received: Place::new("received"),
            history: History::new(),
        })
    }

    /// Lets the logs grow for a while. How far the other output was behind at most.
    fn run(&mut self, time: Duration) -> Result<Duration> {
        let (begun, mut behind) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < time {
            for log in &mut self.logs {
                log.write_until(log.written + LINES)?;
            }
            self.history.push((Instant::now(), self.logs[0].written));
            sleep(TICK);
            behind = behind.max(self.other.behind(self.soak, &self.history)?);
        }
        Ok(behind)
    }

    /// What a folder has of all that was written.
    fn count(&self, folder: &str) -> Result<Counts> {
        let mut sum = Counts::default();
        for (name, log) in LOGS.iter().zip(&self.logs) {
            sum.add(&count(&self.soak.path(folder).join(name), log.written)?);
        }
        Ok(sum)
    }

    fn written(&self) -> usize {
        self.logs.iter().map(|log| log.written).sum()
    }
}

/// A folder with a file of each log's lines.
struct Place {
    name: &'static str,
    files: Vec<Growing>,
}

impl Place {
    fn new(name: &'static str) -> Self {
        Self { name, files: LOGS.iter().map(|_| Growing::default()).collect() }
    }

    /// How long ago the first line was written that is not here. Lines that came twice make it look better.
    fn behind(&mut self, soak: &Soak, history: &History) -> Result<Duration> {
        let mut has = usize::MAX;
        for (log, file) in LOGS.iter().zip(&mut self.files) {
            has = has.min(file.lines(&soak.path(self.name).join(log))?);
        }
        let first = history.partition_point(|(_, written)| *written <= has);
        Ok(history.get(first).map_or(Duration::ZERO, |(since, _)| since.elapsed()))
    }
}

/// A file that grows, and what is known of it.
#[derive(Default)]
struct Growing {
    file: Option<File>,
    lines: usize,
}

impl Growing {
    /// How many lines it has now.
    fn lines(&mut self, path: &Path) -> Result<usize> {
        if self.file.is_none() {
            self.file = File::open(path).ok();
        }
        let mut new = Vec::new();
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut new)?;
        }
        self.lines += new.iter().filter(|byte| **byte == b'\n').count();
        Ok(self.lines)
    }
}
