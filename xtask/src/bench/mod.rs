//! `cargo xtask bench WHAT`: measures, and keeps what it measured.

mod compile;
mod generate;
mod measure;

use anyhow::{Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    match args {
        [what] if what == "compile" => compile::run(),
        _ => bail!("say what to measure: cargo xtask bench compile"),
    }
}
