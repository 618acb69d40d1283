//! `cargo xtask bench WHAT`: measures, and keeps what it measured.

mod call;
mod compile;
mod generate;
pub(crate) mod instructions;
mod lines;
mod load;
pub(crate) mod measure;
mod pipeline;
mod plot;

use anyhow::Result;
use clap::Subcommand;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Benches {
    /// Calls alone
    Call,
    /// The compiler
    Compile,
    /// Count what a record costs at each stage, and compare with what is written down
    Instructions(instructions::Args),
    /// Inputs that clients send to
    Load(load::Args),
    /// The whole agent from a file to null
    Pipeline(pipeline::Args),
}

impl Benches {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Call => call::run(),
            Self::Compile => compile::run(),
            Self::Instructions(args) => instructions::run(args),
            Self::Load(args) => load::run(args),
            Self::Pipeline(args) => pipeline::run(args),
        }
    }
}
