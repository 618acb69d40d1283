//! `cargo xtask bench WHAT`: measures, and keeps what it measured.

mod call;
mod compile;
mod generate;
mod growth;
pub(crate) mod instructions;
mod lines;
mod load;
pub(crate) mod measure;
mod pipeline;
mod plot;

use std::env;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::run::{command, run as run_command, target_dir};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Benches {
    /// Calls alone
    Call,
    /// The compiler
    Compile,
    /// What CPU time does while records, filters, inputs, tags, files or rules grow
    Growth(growth::Args),
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
            Self::Growth(args) => growth::run(args),
            Self::Instructions(args) => instructions::run(args),
            Self::Load(args) => load::run(args),
            Self::Pipeline(args) => pipeline::run(args),
        }
    }
}

/// The folder with our programs: the one that `FLB_OURS` names, else they are built as packages are.
fn programs() -> Result<PathBuf> {
    match env::var_os("FLB_OURS") {
        Some(folder) => Ok(folder.into()),
        None => {
            run_command(&mut command("cargo build --profile=packaged --workspace --bins"))?;
            Ok(target_dir()?.join("packaged"))
        }
    }
}
