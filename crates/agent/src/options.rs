//! The table of command line options: one row says all about an option.

use flb_config::SectionKind;
use flb_pipeline::LogFormat;

use crate::command_line::{CommandLine, Given, Mistake};

/// One option.
pub(crate) struct Row {
    pub(crate) short: Option<char>,
    /// The first one is shown in the help text.
    pub(crate) longs: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) handle: Handle,
    /// Whether Fluent Bit does not have it, so that it must not make an abbreviation ambiguous.
    pub(crate) is_ours: bool,
}

/// What an option does.
pub(crate) enum Handle {
    /// Takes no value.
    Flag(fn(&mut CommandLine)),
    /// Takes a value, which the help text calls by this name.
    Value(&'static str, fn(&mut CommandLine, &Given) -> Result<(), Mistake>),
    /// Gives a service key this value.
    Set(&'static str, &'static str),
    /// Prints help and ends.
    Help,
    /// Prints help as JSON and ends.
    HelpJson,
    /// Prints the version and ends.
    Version,
    /// Known, refused.
    NotYet(Argument),
}

/// Whether a refused option takes a value.
pub(crate) enum Argument {
    None,
    Named(&'static str),
}

impl Row {
    /// What the help text calls the option's value, if it takes one.
    pub(crate) fn argument(&self) -> Option<&'static str> {
        match self.handle {
            Handle::Value(name, _) | Handle::NotYet(Argument::Named(name)) => Some(name),
            _ => None,
        }
    }

    /// The option as a person would type it.
    pub(crate) fn name(&self) -> String {
        match (self.short, self.longs.first()) {
            (Some(short), Some(long)) => format!("-{short} (--{long})"),
            (Some(short), None) => format!("-{short}"),
            (None, long) => format!("--{}", long.unwrap_or(&"")),
        }
    }
}

const fn row(
    short: char,
    longs: &'static [&'static str],
    handle: Handle,
    about: &'static str,
) -> Row {
    Row { short: Some(short), longs, about, handle, is_ours: false }
}

const fn not_yet(
    short: Option<char>,
    longs: &'static [&'static str],
    argument: Argument,
    about: &'static str,
) -> Row {
    Row { short, longs, about, handle: Handle::NotYet(argument), is_ours: false }
}

const fn ours(longs: &'static [&'static str], handle: Handle, about: &'static str) -> Row {
    Row { short: None, longs, about, handle, is_ours: true }
}

use Argument::{Named, None as Nothing};
use Handle::{Flag, Help, HelpJson, Set, Value, Version};

/// Every option, in the order of the help text.
pub(crate) static OPTIONS: &[Row] = &[
    row('c', &["config"], Value("FILE", config), "Configuration file."),
    row('i', &["input"], Value("NAME", input), "Adds an input; -p and -t are for it."),
    row('F', &["filter"], Value("NAME", filter), "Adds a filter; -p and -m are for it."),
    row('o', &["output"], Value("NAME", output), "Adds an output; -p and -m are for it."),
    row('p', &["prop"], Value("KEY=VALUE", prop), "Property of the last plugin."),
    row('m', &["match"], Value("PATTERN", pattern), "Match of the last filter or output."),
    row('t', &["tag"], Value("TAG", tag), "Tag of the last input."),
    row('f', &["flush"], Value("SECONDS", flush), "How long records wait in a chunk."),
    row('R', &["parser"], Value("FILE", parser), "Parsers file."),
    row('l', &["log_file"], Value("FILE", log_file), "Appends the log to a file."),
    ours(
        &["log-format"],
        Value("FORMAT", log_format),
        "What the log's lines look like: text, or json for an object each.",
    ),
    row('v', &["verbose"], Flag(verbose), "Logs more; -vv still more."),
    row('q', &["quiet"], Flag(quiet), "Logs nothing."),
    row('w', &["workdir"], Value("DIR", workdir), "Working directory."),
    row('D', &["dry-run"], Flag(dry_run), "Builds everything, runs nothing."),
    row('s', &["coro_stack_size"], Value("BYTES", stack_size), "Accepted, without effect."),
    row('b', &["storage_path"], Value("PATH", storage_path), "Folder for chunks on disk."),
    row('H', &["http", "http_server"], Set("http_server", "on"), "HTTP server."),
    row('L', &["http_listen"], Value("ADDR", http_listen), "Address of the HTTP server."),
    row('P', &["port", "http_port"], Value("PORT", http_port), "Port of the HTTP server."),
    row('Y', &["enable-hot-reload"], Set("hot_reload", "on"), "Reloads on SIGHUP."),
    row(
        'W',
        &["disable-thread-safety-on-hot-reload"],
        Set("hot_reload.ensure_thread_safety", "off"),
        "Reloads without waiting for plugins.",
    ),
    row('d', &["daemon"], Set("daemon", "on"), "Refused: a service manager does that better."),
    row('V', &["version"], Version, "Prints the version."),
    row('h', &["help"], Help, "Prints this help, or that of the last plugin."),
    row('J', &["help-json"], HelpJson, "Prints all plugins, or the last one, as JSON."),
    row('r', &["processor"], Value("NAME", processor), "For the help of a processor: -r NAME -h."),
    not_yet(Some('C'), &["custom"], Named("NAME"), "Adds a custom plugin."),
    not_yet(Some('e'), &["plugin"], Named("FILE"), "Loads a shared library."),
    not_yet(Some('S'), &["sosreport"], Nothing, "Support report."),
    not_yet(Some('T'), &["sp-task"], Named("SQL"), "Stream processor task."),
    not_yet(Some('Z'), &["enable-chunk-trace"], Nothing, "Traces chunks."),
    not_yet(None, &["trace"], Named("TEXT"), "Traces chunks."),
    not_yet(None, &["trace-input"], Named("NAME"), "Traces chunks of an input."),
    not_yet(None, &["trace-output"], Named("NAME"), "Where traces go."),
    not_yet(None, &["trace-output-property"], Named("KEY=VALUE"), "Property of that output."),
    not_yet(None, &["supervisor"], Nothing, "Restarts the agent when it fails."),
    not_yet(None, &["enable-fips"], Nothing, "FIPS mode."),
    not_yet(Some('M'), &["windows_maxstdio"], Named("N"), "Windows only."),
];

fn config(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.config = Some(given.value().into());
    Ok(())
}

fn input(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::Input, given);
    Ok(())
}

fn filter(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::Filter, given);
    Ok(())
}

fn output(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::Output, given);
    Ok(())
}

fn processor(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::Processor, given);
    Ok(())
}

fn prop(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    let Some((key, value)) = given.split('=') else {
        return Err(Mistake::new(format!("'{}' has no '='", given.value()))
            .help("give a property as -p key=value"));
    };
    line.property(key, value, given)
}

fn pattern(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    match line.last_kind() {
        Some(SectionKind::Filter | SectionKind::Output) => {
            line.property(given.named("match"), given.whole(), given)
        }
        _ => {
            line.warn(format!("-m {} is ignored: it is for filters and outputs", given.value()));
            Ok(())
        }
    }
}

fn tag(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.property(given.named("tag"), given.whole(), given)
}

fn flush(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.service("flush", given);
    Ok(())
}

fn parser(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.service("parsers_file", given);
    Ok(())
}

fn log_file(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.service("log_file", given);
    Ok(())
}

fn log_format(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    // A wrong one is found where the service keys are read.
    line.log_format = LogFormat::parse(given.value()).unwrap_or(line.log_format);
    line.service("log_format", given);
    Ok(())
}

fn storage_path(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.service("storage.path", given);
    Ok(())
}

fn http_listen(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.service("http_listen", given);
    Ok(())
}

fn http_port(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.service("http_port", given);
    Ok(())
}

fn stack_size(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.service("coro_stack_size", given);
    Ok(())
}

fn workdir(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.workdir = Some(given.value().into());
    Ok(())
}

fn verbose(line: &mut CommandLine) {
    line.verbosity += 1;
    line.quiet = false;
}

fn quiet(line: &mut CommandLine) {
    line.quiet = true;
}

fn dry_run(line: &mut CommandLine) {
    line.dry_run = true;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_unique() {
        let mut seen = BTreeSet::new();
        for row in OPTIONS {
            let short = row.short.map(String::from);
            for name in short.into_iter().chain(row.longs.iter().map(|long| (*long).to_owned())) {
                assert!(seen.insert(name.clone()), "{name}");
            }
        }
    }
}
