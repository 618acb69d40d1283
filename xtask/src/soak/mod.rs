//! `cargo xtask soak <what>`: long runs of the whole agent in which nothing may be lost, whatever happens to it.

mod agent;
mod count;
mod down;
mod kill;
mod reload;

use anyhow::{Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("kill") => kill::run(&args[1..]),
        Some("down") => down::run(&args[1..]),
        Some("reload") => reload::run(&args[1..]),
        _ => bail!(
            "usage: soak kill [kills] [lines] [program], soak down [seconds] [program], or soak reload [reloads] [program]"
        ),
    }
}
