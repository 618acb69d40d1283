//! How long an agent takes from its start until the first record is in a filter's hands.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::agent::Agent;
use super::works::Work;
use crate::run::line;

const TIMES: usize = 21;

/// The wall time of each start, by agent. The filter prints the record to the agent's standard output.
pub(super) fn measure(agents: &[Agent], work: &Work) -> Result<Vec<(&'static str, Vec<Duration>)>> {
    let mut starts: Vec<_> = agents.iter().map(|agent| (agent.name, Vec::new())).collect();
    for _ in 0..TIMES {
        for (agent, (_, times)) in agents.iter().zip(&mut starts) {
            if agent.can(work) {
                times.push(one(agent, work)?);
            }
        }
    }
    Ok(starts)
}

fn one(agent: &Agent, work: &Work) -> Result<Duration> {
    let mut command = agent.command(work, &["null"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {}", line(&command)))?;
    let mut out = child.stdout.take().context("standard output is piped")?;
    let mut said = vec![0; 4096];
    let length = out.read(&mut said)?;
    let wall = started.elapsed();
    out.read_to_end(&mut said)?;
    let ended = child.wait()?;
    ensure!(ended.success() && length > 0, "{} says nothing ({ended})", line(&command));
    Ok(wall)
}
