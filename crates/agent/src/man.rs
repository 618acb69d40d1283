//! The manual page, from the tables of options, commands, plugins and exit codes.

use std::fmt::Write as _;

use flb_plugin::{Registry, Spec};

use crate::commands::COMMANDS;
use crate::exit;
use crate::options::{Handle, OPTIONS, Row};

/// The page, for `man -l -`.
pub(crate) fn page(registry: &Registry) -> String {
    let mut page = format!(
        ".TH FLB\\-AGENT 1 \"\" \"flb\\-agent {}\"\n.SH NAME\nflb\\-agent \\- run a log pipeline with \
         WebAssembly filters, configured like Fluent Bit\n.SH SYNOPSIS\n.B flb\\-agent\n.I OPTION ..\n",
        env!("CARGO_PKG_VERSION")
    );
    for command in COMMANDS {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(page, ".br\n.B flb\\-agent {}", command.name);
        if let Some(argument) = command.argument {
            let _ = writeln!(page, ".I {argument}");
        }
    }
    page.push_str(
        ".SH DESCRIPTION\nOptions are taken from left to right; \\-p, \\-m, \\-t, \\-h and \\-J are for the last \
         plugin before them. Plugins of the command line come before those of the file, and the file's service \
         keys beat those of the command line.\n.SH OPTIONS\n",
    );
    let offered = OPTIONS.iter().filter(|row| !matches!(row.handle, Handle::NotYet(_)));
    offered.for_each(|row| {
        let _ = writeln!(page, ".TP\n.B {}\n{}", escape(&spelling(row)), escape(row.about));
    });
    page.push_str(".SH COMMANDS\n");
    for command in COMMANDS {
        let _ = writeln!(page, ".TP\n.B {}\n{}", escape(command.name), escape(command.about));
    }
    add_plugins(&mut page, "INPUTS", registry.inputs);
    add_plugins(&mut page, "FILTERS AND PROCESSORS", registry.filters);
    add_plugins(&mut page, "OUTPUTS", registry.outputs);
    page.push_str(".SH EXIT STATUS\n");
    for (code, about) in exit::ABOUT {
        let _ = writeln!(page, ".TP\n.B {code}\n{}", escape(about));
    }
    page.push_str(
        ".SH ENVIRONMENT\n.TP\n.B FLB_LOG_LEVEL\nThe log level, over that of the command line and the file.\n\
         .SH SEE ALSO\n.BR flb\\-wamrc (1)\n",
    );
    page
}

fn spelling(row: &Row) -> String {
    let short = row.short.map(|short| format!("-{short}"));
    let longs = row.longs.iter().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(longs).collect();
    let argument = row.argument().map(|argument| format!(" {argument}")).unwrap_or_default();
    names.join(", ") + &argument
}

fn add_plugins<T: ?Sized>(page: &mut String, title: &str, specs: &[Spec<T>]) {
    let _ = writeln!(page, ".SH {title}");
    for spec in specs {
        let _ = writeln!(page, ".TP\n.B {}\n{}", escape(spec.name), escape(spec.about));
    }
}

/// Text that roff prints as it is.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
