//! The manual page: the compiler first, then each command.

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::command_line;
use crate::output::{Outcome, say};

/// Print the manual page
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc man")]
pub(crate) struct ManArgs {}

/// The command `man`.
pub(crate) fn run(_: &ManArgs) -> anyhow::Result<Outcome> {
    say(&page()?)?;
    Ok(Outcome::Done)
}

fn page() -> anyhow::Result<String> {
    let mut command = command_line::all();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        .title("FLB-WAMRC")
        .source(concat!("flb-wamrc ", env!("CARGO_PKG_VERSION")));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_options_section(&mut page)?;
    Roff::new().control("SH", ["COMMANDS"]).to_writer(&mut page)?;
    for command in command.get_subcommands() {
        page.extend(section(command)?);
    }
    Roff::new().control("SH", ["NOTES"]).to_writer(&mut page)?;
    let rest = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut notes = Roff::new();
    for line in rest.lines() {
        notes.control("PP", []).text([roman(line)]);
    }
    notes.to_writer(&mut page)?;
    Ok(String::from_utf8(page)?)
}

/// A command, one step below the compiler.
fn section(command: &Command) -> anyhow::Result<Vec<u8>> {
    let text = |text: Option<String>| text.unwrap_or_default();
    let usage = text(command.get_overridden_usage().map(ToString::to_string));
    let about = text(command.get_about().map(ToString::to_string));
    let mut section = Vec::new();
    Roff::new()
        .control("SS", [usage.as_str()])
        .text([roman(about + ".")])
        .to_writer(&mut section)?;
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    let options = String::from_utf8(options)?;
    section.extend(options.replace(".SH OPTIONS\n", "").into_bytes());
    Ok(section)
}
