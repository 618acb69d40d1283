//! `cargo xtask bench WHAT`: measures, and keeps what it measured.

mod call;
mod compile;
mod generate;
pub(crate) mod instructions;
mod lines;
mod load;
mod measure;
mod pipeline;
mod plot;

use anyhow::{Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    match args {
        [what] if what == "compile" => compile::run(),
        [what] if what == "call" => call::run(),
        [what, rest @ ..] if what == "instructions" => instructions::run(rest),
        [what, rest @ ..] if what == "load" => load::run(rest),
        [what, rest @ ..] if what == "pipeline" => pipeline::run(rest),
        _ => {
            bail!("say what to measure: cargo xtask bench call|compile|instructions|load|pipeline")
        }
    }
}
