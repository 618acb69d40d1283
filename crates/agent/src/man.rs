//! The manual page, from the tables of options, commands, plugins and exit codes.

use std::io;

use flb_cli::Page;
use flb_plugin::{Registry, Spec};

use crate::{exit, grammar};

const DESCRIPTION: &str = "Options are taken from left to right; -p, -m, -t, -h and -J are for the last plugin before \
    them. Plugins of the command line come before those of the file, and the file's service keys beat those of the command line.";

/// The page, for `man -l -`.
pub(crate) fn page(registry: &Registry) -> io::Result<String> {
    let command = grammar::offered(registry);
    let commands: Vec<_> = command
        .get_subcommands()
        .map(|command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            (command.get_name().to_owned(), about)
        })
        .collect();
    let exit_codes = exit::ABOUT.map(|(code, about)| (code.to_string(), about.to_owned()));
    let level = "The log level, over that of the command line and the file.";
    let page = Page::new(command, env!("CARGO_PKG_VERSION"))?
        .paragraphs("DESCRIPTION", [DESCRIPTION])?
        .options()?
        .entries("COMMANDS", commands)?
        .entries("INPUTS", plugins(registry.inputs))?
        .entries("FILTERS AND PROCESSORS", plugins(registry.filters))?
        .entries("OUTPUTS", plugins(registry.outputs))?
        .entries("EXIT STATUS", exit_codes)?
        .entries("ENVIRONMENT", [("FLB_LOG_LEVEL".to_owned(), level.to_owned())])?
        .paragraphs("SEE ALSO", ["flb-wamrc(1)"])?;
    Ok(page.text())
}

fn plugins<T: ?Sized>(specs: &'static [Spec<T>]) -> impl Iterator<Item = (String, String)> {
    specs.iter().map(|spec| (spec.name.to_owned(), spec.about.to_owned()))
}
