//! `cargo xtask soak WHAT`: long runs of the whole agent in which nothing may be lost, whatever happens to it.

mod agent;
mod count;
mod down;
mod kafka;
mod kill;
mod reload;

use anyhow::Result;
use clap::Subcommand;

/// What happens to the agent.
#[derive(Debug, Subcommand)]
pub(crate) enum Soaks {
    /// It is killed again and again
    Kill(kill::Args),
    /// The receiver is down for a while
    Down(down::Args),
    /// It is reloaded again and again
    Reload(reload::Args),
    /// It sends to Kafka, two others read from there, and all are killed again and again
    Kafka(kafka::Args),
}

impl Soaks {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Kill(args) => kill::run(args),
            Self::Down(args) => down::run(args),
            Self::Reload(args) => reload::run(args),
            Self::Kafka(args) => kafka::run(args),
        }
    }
}
