//! Help texts and versions, from the tables.

use std::fmt::Write as _;

use flb_artifact::FORMAT_VERSION;

use crate::commands::{COMMANDS, Command};
use crate::compile_options::OPTIONS;
use crate::table::{Act, Row};

/// How the compiler is called.
pub(crate) const USAGE: &str = "flb-wamrc [options] -o output.aot input.wasm";
/// The command that users of the original compiler know.
pub(crate) const EXAMPLE: &str =
    "flb-wamrc --size-level=3 --target=aarch64v8 --cpu=cortex-a57 -o x.aot x.wasm";

/// The compiler's help text.
pub(crate) fn compiler() -> String {
    let mut text = format!("Usage: {USAGE}\n       flb-wamrc COMMAND ..\n\n");
    text.push_str("Compiles a WebAssembly filter to native code, ahead of time.\n\nOptions:\n");
    OPTIONS.iter().filter(|row| matches!(row.act, Act::Set(_))).for_each(|row| add(&mut text, row));
    text.push_str("\nCommands (see flb-wamrc COMMAND --help):\n");
    for Command { name, about, .. } in COMMANDS {
        line(&mut text, name, about);
    }
    text.push_str("\nOptions of the original compiler that change nothing here:\n");
    OPTIONS
        .iter()
        .filter(|row| matches!(row.act, Act::Note(_)))
        .for_each(|row| add(&mut text, row));
    text.push_str("\nOptions of the original compiler that are refused:\n");
    let refused = OPTIONS.iter().filter(|row| matches!(row.act, Act::Refuse(..)));
    refused.for_each(|row| add(&mut text, row));
    // Writing to a String cannot fail, here and below.
    let _ = write!(text, "\nExit codes: 0 done, 1 anything else.\nExample: {EXAMPLE}\n");
    text
}

/// A command's help text.
pub(crate) fn command(command: &Command) -> String {
    let mut text = format!("Usage: {}\n\n{}.\n\nOptions:\n", command.usage(), command.about);
    command.options.iter().for_each(|row| add(&mut text, row));
    text
}

fn add(text: &mut String, row: &Row) {
    line(text, &row.spelling(), &row.sentence());
}

fn line(text: &mut String, name: &str, about: &str) {
    let _ = writeln!(text, "  {name:<26} {about}");
}

/// What `--version` prints.
pub(crate) fn version() -> String {
    format!(
        "flb-wamrc {}\nengine {} {}\nartifact format {FORMAT_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        flb_compiler::ENGINE.0,
        flb_compiler::ENGINE.1,
    )
}

/// What `--llvm-version` prints.
pub(crate) fn code_generator() -> String {
    format!(
        "none: flb-wamrc has no LLVM; code generator: Cranelift of {} {}\n",
        flb_compiler::ENGINE.0,
        flb_compiler::ENGINE.1
    )
}
