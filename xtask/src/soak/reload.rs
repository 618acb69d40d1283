//! `soak reload [reloads] [program]`: an agent that is given one configuration after the other loses nothing, and does not grow.
//!
//! A log grows while an agent reads it, filters it (c-enrich) and sends it to a second agent. All the while the first one is
//! reloaded, every other time with a configuration that is wrong, and the second one now and then. In the end every line
//! must have come once and in its order, and the agents must be no larger than they were after a tenth of the reloads.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::agent::{Agent, Lines, Soak};
use super::count::{Counts, count};
use crate::run::{free_port, root};

const RELOADS: usize = 10_000;
/// Lines that are written before each of them.
const LINES: usize = 30;
/// The receiver is reloaded every so many times.
const RECEIVER: usize = 10;
/// So many kilobytes more may be chance: where allocations lie, and what they leave between them.
const CHANCE: u64 = 8_000;
/// Who has not got all lines by then never will.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the agent is reloaded
    #[arg(default_value_t = RELOADS)]
    reloads: usize,
    /// The agent (default: it is built)
    program: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let reloads = args.reloads;
    let soak = Soak::new("reload", args.program.as_deref(), "")?;
    let ports = Ports { data: free_port()?, sender: free_port()?, receiver: free_port()? };
    soak.write("receiver.conf", &ports.receiving(0))?;
    soak.write("sender.conf", &ports.sending(0))?;
    let mut lines = Lines::new(soak.log("lines.log")?);
    let mut agents = [soak.start("sender")?, soak.start("receiver")?];
    for port in [ports.sender, ports.receiver] {
        wait_for("an agent that answers", || Ok(ask(port, "GET").is_ok()))?;
    }
    let begun = Instant::now();
    let mut first = [Size::default(); 2];
    for reload in 1..=reloads {
        lines.write_until(reload * LINES)?;
        soak.write("next.conf", &ports.next(reload))?;
        fs::rename(soak.path("next.conf"), soak.path("sender.conf"))?;
        expect(ports.sender, if reload % 2 == 0 { "failed" } else { "done" })?;
        if reload % RECEIVER == 0 {
            soak.write("receiver.conf", &ports.receiving(reload))?;
            expect(ports.receiver, "done")?;
        }
        if reload == reloads.div_ceil(10) {
            first = sizes(&agents)?;
        }
        agents.iter_mut().try_for_each(Agent::must_live)?;
    }
    let (last, took) = (sizes(&agents)?, begun.elapsed());
    let counts = finish(&soak, lines.written)?;
    let [sender, receiver] = agents;
    sender.stop()?;
    receiver.stop()?;
    println!(
        "{reloads} reloads, every other one wrong, {} lines in {:.0} s: {counts}; the agent had {} after a tenth of them and {} in the \
         end, the receiver {} and {}",
        lines.written,
        took.as_secs_f64(),
        first[0],
        last[0],
        first[1],
        last[1],
    );
    let folder = soak.folder().display();
    ensure!(counts == Counts::default(), "not all is well; all files are in {folder}");
    for (first, last) in first.iter().zip(&last) {
        ensure!(last.is_no_more_than(first), "an agent grows; all files are in {folder}");
    }
    fs::remove_dir_all(soak.folder()).context("the soak's folder")
}

/// Waits for the last lines.
fn finish(soak: &Soak, lines: usize) -> Result<Counts> {
    let all_came = || Ok(count(&soak.path("received"), lines)?.lost == 0);
    // What is missing then is told by the counts.
    let _ = wait_for("all lines", all_came);
    count(&soak.path("received"), lines)
}

/// Where the agents listen.
struct Ports {
    data: u16,
    sender: u16,
    receiver: u16,
}

impl Ports {
    /// The sender's next configuration: every other one is wrong, each time in another way.
    fn next(&self, reload: usize) -> String {
        let right = self.sending(reload);
        match reload % 8 {
            2 => right.replace("Name tail", "Name tale"),
            4 => right.replace("c-enrich.wasm", "nothing.wasm"),
            6 => right.replace("Function_Name c_filter", "Function_Name nothing"),
            0 => right.replace("Flush 0.05", "Flush no"),
            _ => right,
        }
    }

    fn sending(&self, reload: usize) -> String {
        let Self { data, sender, .. } = self;
        let module = root().join("examples/filters/c-enrich.wasm");
        format!(
            "[SERVICE]\n Flush 0.05\n wasm.cache cache\n scheduler.base 1\n scheduler.cap 1\n Hot_Reload on\n \
             HTTP_Server on\n HTTP_Listen 127.0.0.1\n HTTP_Port {sender}\n\
             [INPUT]\n Name tail\n Path lines.log\n Read_From_Head on\n Refresh_Interval 1\n Tag soak\n\
             [FILTER]\n Name wasm\n Match *\n WASM_Path {}\n Function_Name c_filter\n\
             [FILTER]\n Name modify\n Match *\n Add reload {reload}\n\
             [OUTPUT]\n Name forward\n Match *\n Port {data}\n Require_Ack_Response on\n Retry_Limit no_limits\n",
            module.display(),
        )
    }

    fn receiving(&self, reload: usize) -> String {
        let Self { data, receiver, .. } = self;
        format!(
            "[SERVICE]\n Flush 0.05\n Hot_Reload on\n HTTP_Server on\n HTTP_Listen 127.0.0.1\n HTTP_Port {receiver}\n\
             [INPUT]\n Name forward\n Listen 127.0.0.1\n Port {data}\n\
             [FILTER]\n Name modify\n Match *\n Add receiver {reload}\n\
             [OUTPUT]\n Name file\n Match *\n File received\n Format plain\n"
        )
    }
}

/// Asks for a reload, which must come to this.
fn expect(port: u16, word: &str) -> Result<()> {
    let answer = ask(port, "POST")?;
    ensure!(answer.contains(&format!("\"reload\":\"{word}\"")), "not {word}: {answer}");
    Ok(())
}

fn ask(port: u16, method: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} /api/v2/reload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn wait_for(what: &str, fact: impl Fn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !fact()? {
        ensure!(begun.elapsed() < PATIENCE, "{what}: that does not happen");
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// How large a process is.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    kilobytes: u64,
    threads: u64,
    files: u64,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kilobytes, threads, files } = self;
        write!(f, "{:.1} MB, {threads} threads, {files} files", *kilobytes as f64 / 1000.0)
    }
}

impl Size {
    fn of(agent: &Agent) -> Result<Self> {
        let process = format!("/proc/{}", agent.id());
        let status = fs::read_to_string(format!("{process}/status"))?;
        let number = |key: &str| -> Result<u64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(key)).context("no status")?;
            Ok(line.split_whitespace().next().context("no number")?.parse()?)
        };
        let files = fs::read_dir(format!("{process}/fd"))?.count() as u64;
        Ok(Self { kilobytes: number("VmRSS:")?, threads: number("Threads:")?, files })
    }

    /// Some threads and connections come and go.
    fn is_no_more_than(&self, other: &Self) -> bool {
        self.kilobytes <= other.kilobytes + CHANCE
            && self.threads <= other.threads + 8
            && self.files <= other.files + 8
    }
}

fn sizes(agents: &[Agent; 2]) -> Result<[Size; 2]> {
    Ok([Size::of(&agents[0])?, Size::of(&agents[1])?])
}
