//! The table of command line options: one row says all about an option.

use flb_config::keys::{Choice, Kind as _};
use flb_config::{Role, SectionKind};

use crate::command_line::{CommandLine, Given, Mistake};
use crate::service::LogFormat;

/// One option.
pub(crate) struct Row {
    pub(crate) short: Option<char>,
    /// The first one is shown first.
    pub(crate) longs: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) handle: Handle,
    /// Whether Fluent Bit does not have it, so that it must not make an abbreviation ambiguous.
    pub(crate) is_ours: bool,
    /// What it stands under in help, if it does not stand under the first heading.
    pub(crate) heading: Option<&'static str>,
}

/// What an option does.
pub(crate) enum Handle {
    /// Takes no value.
    Flag(fn(&mut CommandLine)),
    /// Takes a value.
    Value(Operand, fn(&mut CommandLine, &Given) -> Result<(), Mistake>),
    /// Takes the value of a service key.
    Service(Operand, &'static str),
    /// Gives a service key this value.
    Set(&'static str, &'static str),
    /// Prints something and ends.
    Show(Show),
    /// Known, refused; with a value, if it has one.
    NotYet(Option<Operand>),
}

/// What an option prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Help,
    /// With the options that are refused, and what the plugins do.
    HelpAll,
    /// Help as JSON.
    Json,
    Version,
}

/// The value of an option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand {
    /// What help calls it.
    pub(crate) name: &'static str,
    pub(crate) offer: Offer,
}

/// What completions offer for a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Offer {
    Nothing,
    Files,
    Folders,
    Words(&'static [&'static str]),
    /// The plugins that can be this.
    Plugins(Role),
    /// The properties of all plugins.
    Properties,
}

impl Row {
    /// What tells it from all others.
    pub(crate) fn id(&self) -> &'static str {
        self.longs.first().copied().unwrap_or_default()
    }

    /// Its value, if it takes one.
    pub(crate) fn operand(&self) -> Option<Operand> {
        match self.handle {
            Handle::Value(operand, _) | Handle::Service(operand, _) => Some(operand),
            Handle::NotYet(operand) => operand,
            _ => None,
        }
    }

    /// Puts it under a heading of its own, for a long name would push the texts of all others aside.
    const fn under(mut self, heading: &'static str) -> Self {
        self.heading = Some(heading);
        self
    }

    /// The option as a person would type it.
    pub(crate) fn spelling(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.id()), |short| format!("-{short}"))
    }

    /// The option as messages call it.
    pub(crate) fn name(&self) -> String {
        match self.short {
            Some(short) => format!("-{short} (--{})", self.id()),
            None => self.spelling(),
        }
    }
}

const fn row(
    short: char,
    longs: &'static [&'static str],
    handle: Handle,
    about: &'static str,
) -> Row {
    Row { short: Some(short), longs, about, handle, is_ours: false, heading: None }
}

const fn not_yet(
    short: Option<char>,
    longs: &'static [&'static str],
    operand: Option<Operand>,
    about: &'static str,
) -> Row {
    let heading = Some("Not supported yet");
    Row { short, longs, about, handle: Handle::NotYet(operand), is_ours: false, heading }
}

const fn ours(longs: &'static [&'static str], handle: Handle, about: &'static str) -> Row {
    Row { short: None, longs, about, handle, is_ours: true, heading: None }
}

const fn free(name: &'static str) -> Operand {
    Operand { name, offer: Offer::Nothing }
}

const fn plugin(role: Role) -> Operand {
    Operand { name: "NAME", offer: Offer::Plugins(role) }
}

const FILE: Operand = Operand { name: "FILE", offer: Offer::Files };
const FOLDER: Operand = Operand { name: "DIR", offer: Offer::Folders };
const PROPERTY: Operand = Operand { name: "KEY=VALUE", offer: Offer::Properties };
const LOG_FORMAT: Operand = Operand { name: "FORMAT", offer: Offer::Words(&["text", "json"]) };

use Handle::{Flag, Service, Set, Value};

/// Every option, in the order of the help text.
pub(crate) static OPTIONS: &[Row] = &[
    row('c', &["config"], Value(FILE, config), "Configuration file."),
    row('i', &["input"], Value(plugin(Role::Input), input), "Adds an input; -p and -t are for it."),
    row(
        'F',
        &["filter"],
        Value(plugin(Role::Filter), filter),
        "Adds a filter; -p and -m are for it.",
    ),
    row(
        'o',
        &["output"],
        Value(plugin(Role::Output), output),
        "Adds an output; -p and -m are for it.",
    ),
    row('p', &["prop"], Value(PROPERTY, prop), "Property of the last plugin."),
    row('m', &["match"], Value(free("PATTERN"), pattern), "Match of the last filter or output."),
    row('t', &["tag"], Value(free("TAG"), tag), "Tag of the last input."),
    row('f', &["flush"], Service(free("SECONDS"), "flush"), "How long records wait in a chunk."),
    row('R', &["parser"], Service(FILE, "parsers_file"), "Parsers file."),
    row('l', &["log_file"], Service(FILE, "log_file"), "Appends the log to a file."),
    ours(
        &["log-format"],
        Value(LOG_FORMAT, log_format),
        "What the log's lines look like: text, or json for an object each.",
    ),
    row('v', &["verbose"], Flag(verbose), "Logs more; -vv still more."),
    row('q', &["quiet"], Flag(quiet), "Logs nothing."),
    row('w', &["workdir"], Value(FOLDER, workdir), "Working directory."),
    row('D', &["dry-run"], Flag(dry_run), "Builds everything, runs nothing."),
    row(
        's',
        &["coro_stack_size"],
        Service(free("SIZE"), "coro_stack_size"),
        "Accepted, without effect.",
    ),
    row('b', &["storage_path"], Service(FOLDER, "storage.path"), "Folder for chunks on disk."),
    row('H', &["http", "http_server"], Set("http_server", "on"), "HTTP server."),
    row('L', &["http_listen"], Service(free("ADDR"), "http_listen"), "Address of the HTTP server."),
    row(
        'P',
        &["port", "http_port"],
        Service(free("PORT"), "http_port"),
        "Port of the HTTP server.",
    ),
    row('Y', &["enable-hot-reload"], Set("hot_reload", "on"), "Reloads on SIGHUP.")
        .under("Reloading"),
    row(
        'W',
        &["disable-thread-safety-on-hot-reload"],
        Set("hot_reload.ensure_thread_safety", "off"),
        "Reloads without waiting for plugins.",
    )
    .under("Reloading"),
    row('d', &["daemon"], Set("daemon", "on"), "Refused: a service manager does that better."),
    row('V', &["version"], Handle::Show(Show::Version), "Prints the version."),
    row('h', &["help"], Handle::Show(Show::Help), "Prints this help, or that of the last plugin."),
    ours(
        &["help-all"],
        Handle::Show(Show::HelpAll),
        "Prints this help, what each plugin does, and the options that are refused.",
    ),
    row(
        'J',
        &["help-json"],
        Handle::Show(Show::Json),
        "Prints all plugins, or the last one, as JSON.",
    ),
    row(
        'r',
        &["processor"],
        Value(plugin(Role::Processor), processor),
        "For the help of a processor: -r NAME -h.",
    ),
    not_yet(Some('C'), &["custom"], Some(free("NAME")), "Adds a custom plugin."),
    not_yet(Some('e'), &["plugin"], Some(FILE), "Loads a shared library."),
    not_yet(Some('S'), &["sosreport"], None, "Support report."),
    not_yet(Some('T'), &["sp-task"], Some(free("SQL")), "Stream processor task."),
    not_yet(Some('Z'), &["enable-chunk-trace"], None, "Traces chunks."),
    not_yet(None, &["trace"], Some(free("TEXT")), "Traces chunks."),
    not_yet(None, &["trace-input"], Some(free("NAME")), "Traces chunks of an input."),
    not_yet(None, &["trace-output"], Some(free("NAME")), "Where traces go."),
    not_yet(None, &["trace-output-property"], Some(free("KEY=VALUE")), "Property of that output."),
    not_yet(None, &["supervisor"], None, "Restarts the agent when it fails."),
    not_yet(None, &["enable-fips"], None, "FIPS mode."),
    not_yet(Some('M'), &["windows_maxstdio"], Some(free("N")), "Windows only."),
];

fn config(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.config = Some(given.value().into());
    Ok(())
}

fn input(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::INPUT, given);
    Ok(())
}

fn filter(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::FILTER, given);
    Ok(())
}

fn output(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::OUTPUT, given);
    Ok(())
}

fn processor(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.open(SectionKind::PROCESSOR, given);
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
        Some(SectionKind::FILTER | SectionKind::OUTPUT) => {
            line.property(given.named("match"), given.whole(), given)
        }
        _ => {
            let message = format!("-m {} is ignored: it is for filters and outputs", given.value());
            line.warn(Mistake::new(message));
            Ok(())
        }
    }
}

fn tag(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    line.property(given.named("tag"), given.whole(), given)
}

fn log_format(line: &mut CommandLine, given: &Given) -> Result<(), Mistake> {
    // A wrong one is found where the service keys are read.
    line.log_format = Choice::<LogFormat>::parse(given.value()).unwrap_or(line.log_format);
    line.service("log_format", given);
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
