//! The manual page, from the tables.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::commands::COMMANDS;
use crate::compile_options::OPTIONS;
use crate::help::{EXAMPLE, USAGE};
use crate::options::Given;
use crate::output::{Outcome, say};
use crate::table::Row;

/// The command `man`.
pub(crate) fn run(_: &Given, _: &[OsString]) -> anyhow::Result<Outcome> {
    say(&page())?;
    Ok(Outcome::Done)
}

fn page() -> String {
    let mut page = format!(
        ".TH FLB\\-WAMRC 1 \"\" \"flb\\-wamrc {}\"\n.SH NAME\nflb\\-wamrc \\- compile WebAssembly \
         filters to native \
         code\n.SH SYNOPSIS\n.B {}\n.br\n.B flb\\-wamrc\n.I COMMAND ..\n.SH OPTIONS\n",
        env!("CARGO_PKG_VERSION"),
        escape(USAGE),
    );
    OPTIONS.iter().for_each(|row| add(&mut page, row));
    page.push_str(".SH COMMANDS\n");
    for command in COMMANDS {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(page, ".SS {}\n{}.", escape(&command.usage()), escape(command.about));
        command.options.iter().for_each(|row| add(&mut page, row));
    }
    let _ = writeln!(
        page,
        ".SH EXIT STATUS\n0 when it is done, 1 otherwise.\n.SH EXAMPLE\n{}",
        escape(EXAMPLE)
    );
    page
}

fn add(page: &mut String, row: &Row) {
    let _ = writeln!(page, ".TP\n.B {}\n{}.", escape(&row.spelling()), escape(&row.sentence()));
}

/// Text that roff prints as it is.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
