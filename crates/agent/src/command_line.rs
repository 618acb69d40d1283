//! The command line: read from left to right by the table of options, into sections that stand before the file's.

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;

use flb_config::{Document, Property, Section, SectionKind, SourceId, Span, Spanned, did_you_mean};
use flb_pipeline::{LogFormat, LogLevel, Role};
use flb_plugin::Registry;

use crate::commands::{COMMANDS, Shell};
use crate::options::{Handle, OPTIONS, Row};

/// The name of the command line in messages about it.
const SOURCE: &str = "command line";

/// A command line that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// To run with this configuration, or to try it.
    Run(CommandLine),
    /// The agent's help text.
    Help,
    /// The help text of a plugin.
    PluginHelp(Role, String),
    /// The plugins as JSON, or one of them.
    Json(Option<(Role, String)>),
    /// The version.
    Version,
    /// The configuration as it takes effect.
    Config(CommandLine),
    /// Completions for a shell.
    Completions(Shell),
    /// The manual page.
    Man,
}

/// A piece of the command line's text.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    text: String,
    place: Range<usize>,
}

/// An option with its value.
#[derive(Debug)]
pub(crate) struct Given {
    option: Range<usize>,
    value: Piece,
}

impl Given {
    pub(crate) fn value(&self) -> &str {
        &self.value.text
    }

    /// The value, as the value of a property.
    pub(crate) fn whole(&self) -> Piece {
        self.value.clone()
    }

    /// The option, as the name of a property.
    pub(crate) fn named(&self, key: &str) -> Piece {
        Piece { text: key.to_owned(), place: self.option.clone() }
    }

    /// What stands before and behind the first `separator`.
    pub(crate) fn split(&self, separator: char) -> Option<(Piece, Piece)> {
        let (before, behind) = self.value.text.split_once(separator)?;
        let Range { start, end } = self.value.place;
        let key = Piece { text: before.to_owned(), place: start..start + before.len() };
        let value = Piece { text: behind.to_owned(), place: end - behind.len()..end };
        Some((key, value))
    }
}

/// A section that the command line opens.
#[derive(Debug)]
struct Opened {
    kind: SectionKind,
    name: Piece,
    properties: Vec<(Piece, Piece)>,
}

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    pub(crate) config: Option<PathBuf>,
    pub(crate) workdir: Option<PathBuf>,
    pub(crate) dry_run: bool,
    pub(crate) quiet: bool,
    pub(crate) verbosity: u8,
    /// What the log looks like until the service keys are read.
    pub(crate) log_format: LogFormat,
    /// What was passed over.
    pub(crate) warnings: Vec<String>,
    /// The command line as text, for messages.
    text: String,
    sections: Vec<Opened>,
    /// The section that `-p` is for.
    last: Option<usize>,
}

impl CommandLine {
    /// Opens a plugin's section.
    pub(crate) fn open(&mut self, kind: SectionKind, given: &Given) {
        let name = given.named(role(kind).map_or("", section_name));
        let properties = vec![(given.named("name"), given.whole())];
        self.last = Some(self.sections.len());
        self.sections.push(Opened { kind, name, properties });
    }

    /// The kind of the last plugin.
    pub(crate) fn last_kind(&self) -> Option<SectionKind> {
        self.last.map(|last| self.sections[last].kind)
    }

    /// Adds a property to the last plugin.
    pub(crate) fn property(
        &mut self,
        mut key: Piece,
        value: Piece,
        given: &Given,
    ) -> Result<(), Mistake> {
        let Some(last) = self.last else {
            let option = &self.text[given.option.clone()];
            return Err(Mistake::new(format!("{option} {} is for no plugin", given.value()))
                .help("put it behind the -i, -F or -o that it is for"));
        };
        key.text.make_ascii_lowercase();
        self.sections[last].properties.push((key, value));
        Ok(())
    }

    /// Adds a service property.
    pub(crate) fn service(&mut self, key: &str, given: &Given) {
        let name = given.named("SERVICE");
        let properties = vec![(given.named(key), given.whole())];
        self.sections.push(Opened { kind: SectionKind::Service, name, properties });
    }

    /// Notes that something is passed over.
    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// The level that `-v` and `-q` ask for.
    pub(crate) fn log_level(&self) -> LogLevel {
        match (self.quiet, self.verbosity) {
            (true, _) => LogLevel::Off,
            (false, 0) => LogLevel::Info,
            (false, 1) => LogLevel::Debug,
            (false, _) => LogLevel::Trace,
        }
    }

    /// The sections, with the command line as their source.
    pub(crate) fn document(&self) -> Document {
        let mut document = Document::default();
        let source = document.add_source(SOURCE, &self.text);
        // A processor is opened for its help only.
        let sections = self.sections.iter().filter(|opened| opened.kind != SectionKind::Processor);
        document.sections = sections.map(|opened| section(opened, source)).collect();
        document
    }

    fn write_option(&mut self, row: &Row) -> Range<usize> {
        match row.short {
            Some(short) => self.write(&format!("-{short}")),
            None => self.write(&format!("--{}", row.longs[0])),
        }
    }

    /// Writes a piece behind the text so far.
    fn write(&mut self, text: &str) -> Range<usize> {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }
}

fn section(opened: &Opened, source: SourceId) -> Section {
    let spanned = |piece: &Piece| {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let Range { start, end } = piece.place;
        Spanned {
            text: piece.text.clone(),
            span: Span { source, start: offset(start), end: offset(end) },
        }
    };
    let property =
        |(key, value): &(Piece, Piece)| Property { key: spanned(key), value: spanned(value) };
    let mut section = Section::new(opened.kind, spanned(&opened.name));
    section.properties = opened.properties.iter().map(property).collect();
    section
}

fn role(kind: SectionKind) -> Option<Role> {
    match kind {
        SectionKind::Input => Some(Role::Input),
        SectionKind::Filter => Some(Role::Filter),
        SectionKind::Output => Some(Role::Output),
        SectionKind::Processor => Some(Role::Processor),
        _ => None,
    }
}

fn section_name(role: Role) -> &'static str {
    match role {
        Role::Input => "INPUT",
        Role::Filter => "FILTER",
        Role::Processor => "PROCESSOR",
        Role::Output => "OUTPUT",
    }
}

/// Reads the arguments, without the program's name.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    registry: &Registry,
) -> Result<Request, Mistake> {
    let mut arguments = arguments.into_iter().peekable();
    let first = arguments.peek().and_then(|first| first.to_str());
    let Some(command) = COMMANDS.iter().find(|command| Some(command.name) == first) else {
        return read_options(arguments, registry, false);
    };
    arguments.next();
    match command.name {
        "config" => match read_options(arguments, registry, true)? {
            Request::Run(line) => Ok(Request::Config(line)),
            other => Ok(other),
        },
        "completions" => Ok(Request::Completions(shell(arguments.next())?)),
        _ => Ok(Request::Man),
    }
}

fn shell(given: Option<OsString>) -> Result<Shell, Mistake> {
    let help = "write flb-agent completions bash, zsh or fish";
    let Some(given) = given else {
        return Err(Mistake::new("no shell was given").help(help));
    };
    let shell = Shell::ALL.into_iter().find(|(name, _)| *name == given);
    let unknown = || Mistake::new(format!("unknown shell '{}'", given.display())).help(help);
    shell.map(|(_, shell)| shell).ok_or_else(unknown)
}

/// Reads options. With `takes_file` the first other argument is the configuration file.
fn read_options(
    arguments: impl IntoIterator<Item = OsString>,
    registry: &Registry,
    takes_file: bool,
) -> Result<Request, Mistake> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut line = CommandLine::default();
    while let Some(argument) = parser.next().map_err(explain)? {
        let row = match argument {
            lexopt::Arg::Short(short) => find_short(short)?,
            lexopt::Arg::Long(long) => find_long(long)?,
            lexopt::Arg::Value(file) if takes_file && line.config.is_none() => {
                line.config = Some(file.into());
                continue;
            }
            lexopt::Arg::Value(value) => {
                line.warn(format!("argument '{}' is ignored", value.display()));
                continue;
            }
        };
        match row.handle {
            Handle::Flag(handle) => handle(&mut line),
            Handle::Value(_, handle) => {
                let value = value(&mut parser, row)?;
                let option = line.write_option(row);
                let place = line.write(&value);
                let given = Given { option, value: Piece { text: value, place } };
                handle(&mut line, &given)?;
            }
            Handle::Set(key, value) => {
                let option = line.write_option(row);
                let value = Piece { text: value.to_owned(), place: option.clone() };
                line.service(key, &Given { option, value });
            }
            Handle::Version => return Ok(Request::Version),
            Handle::Help | Handle::HelpJson => {
                let as_json = matches!(row.handle, Handle::HelpJson);
                match (last_plugin(&mut line, registry), as_json) {
                    (Last::Nothing, false) => return Ok(Request::Help),
                    (Last::Nothing, true) => return Ok(Request::Json(None)),
                    (Last::Plugin(role, name), false) => {
                        return Ok(Request::PluginHelp(role, name));
                    }
                    (Last::Plugin(role, name), true) => {
                        return Ok(Request::Json(Some((role, name))));
                    }
                    (Last::Unknown, _) => {}
                }
            }
            Handle::NotYet(_) => {
                let message = format!("option {} is not supported yet", row.name());
                return Err(Mistake::new(message).help("leave it out"));
            }
        }
    }
    Ok(Request::Run(line))
}

/// What `-h` and `-J` are about.
enum Last {
    /// No plugin was named, so the agent.
    Nothing,
    Plugin(Role, String),
    /// It does not exist, which was said.
    Unknown,
}

fn last_plugin(line: &mut CommandLine, registry: &Registry) -> Last {
    let Some(last) = line.last else { return Last::Nothing };
    let section = &line.sections[last];
    let (Some(role), Some((_, name))) = (role(section.kind), section.properties.first()) else {
        return Last::Nothing;
    };
    let name = name.text.to_lowercase();
    let known = match role {
        Role::Input => registry.inputs.iter().any(|spec| spec.name == name),
        Role::Filter | Role::Processor => registry.filters.iter().any(|spec| spec.name == name),
        Role::Output => registry.outputs.iter().any(|spec| spec.name == name),
    };
    if known {
        return Last::Plugin(role, name);
    }
    line.warn(format!("invalid {role} plugin '{name}'"));
    Last::Unknown
}

fn value(parser: &mut lexopt::Parser, row: &Row) -> Result<String, Mistake> {
    let value = parser.value().map_err(|_| {
        let argument = row.argument().unwrap_or("a value");
        Mistake::new(format!("option {} needs {argument}", row.name()))
    })?;
    value.into_string().map_err(|value| {
        Mistake::new(format!("'{}' behind {} is not UTF-8", value.display(), row.name()))
    })
}

fn find_short(short: char) -> Result<&'static Row, Mistake> {
    let row = OPTIONS.iter().find(|row| row.short == Some(short));
    row.ok_or_else(|| Mistake::new(format!("unrecognized option '-{short}'")))
}

/// The option with this name, or the only one that begins with it.
fn find_long(long: &str) -> Result<&'static Row, Mistake> {
    let names = || OPTIONS.iter().flat_map(|row| row.longs.iter().map(move |name| (*name, row)));
    if let Some((_, row)) = names().find(|(name, _)| *name == long) {
        return Ok(row);
    }
    let mut beginning: Vec<(&str, &Row)> =
        names().filter(|(name, _)| name.starts_with(long)).collect();
    if beginning.iter().any(|(_, row)| !row.is_ours) {
        beginning.retain(|(_, row)| !row.is_ours);
    }
    match beginning.as_slice() {
        [(_, row)] => Ok(row),
        [(_, first), rest @ ..] if rest.iter().all(|(_, row)| std::ptr::eq(*row, *first)) => {
            Ok(first)
        }
        [] => {
            let mistake = Mistake::new(format!("unrecognized option '--{long}'"));
            Err(match did_you_mean(long, names().map(|(name, _)| name)) {
                Some(near) => mistake.help(format!("did you mean --{near}?")),
                None => mistake,
            })
        }
        several => {
            let names: Vec<String> = several.iter().map(|(name, _)| format!("--{name}")).collect();
            let message = format!("option '--{long}' is ambiguous: {}", names.join(", "));
            Err(Mistake::new(message).help("write more of it"))
        }
    }
}

fn explain(error: lexopt::Error) -> Mistake {
    Mistake::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    static REGISTRY: Registry = Registry {
        inputs: &[],
        filters: &[],
        outputs: &[],
        parsers: &[],
        multiline: &[],
        absent: &[],
    };

    fn ask(arguments: &[&str]) -> Result<Request, Mistake> {
        read(arguments.iter().map(OsString::from), &REGISTRY)
    }

    fn run(arguments: &[&str]) -> CommandLine {
        match ask(arguments) {
            Ok(Request::Run(line)) => line,
            other => panic!("{other:?}"),
        }
    }

    /// The sections as text, each value as its span finds it in the source.
    fn sections(arguments: &[&str]) -> Vec<String> {
        let document = run(arguments).document();
        let source = &document.sources()[0].text;
        let property = |property: &Property| {
            assert_eq!(source[property.value.span.range()], property.value.text);
            format!(" {}={}", property.key.text, property.value.text)
        };
        let section = |section: &Section| {
            let properties: String = section.properties.iter().map(property).collect();
            format!("{}{properties}", section.name.text)
        };
        document.sections.iter().map(section).collect()
    }

    fn mistake(arguments: &[&str]) -> String {
        let Mistake { message, help } = ask(arguments).unwrap_err();
        format!("{message}; {}", help.unwrap_or_default())
    }

    #[test]
    fn options_are_taken_in_order() {
        assert_eq!(
            sections(&[
                "-i", "dummy", "-p", "Rate=5", "-f", "0.5", "-t", "a.b", "-F", "wasm", "-m", "*",
                "-p", "a=b=c", "-o", "stdout",
            ]),
            [
                "INPUT name=dummy rate=5 tag=a.b",
                "SERVICE flush=0.5",
                "FILTER name=wasm match=* a=b=c",
                "OUTPUT name=stdout",
            ]
        );
    }

    #[test]
    fn short_options_are_bundled_and_long_ones_abbreviated() {
        let line = run(&["-vvDctest.conf", "--workdir=/x"]);
        assert!(line.dry_run);
        assert_eq!(line.log_level(), LogLevel::Trace);
        assert_eq!(line.config.as_deref(), Some("test.conf".as_ref()));
        assert_eq!(line.workdir.as_deref(), Some("/x".as_ref()));
        assert_eq!(sections(&["--log=a"]), ["SERVICE log_file=a"], "as if --log-format were not");
        assert_eq!(sections(&["--log-=json"]), ["SERVICE log_format=json"]);
        assert_eq!(sections(&["--inp", "a", "--out=b"]), ["INPUT name=a", "OUTPUT name=b"]);
    }

    #[test]
    fn mistakes_say_what_to_do() {
        assert_eq!(
            mistake(&["--confg", "x"]),
            "unrecognized option '--confg'; did you mean --config?"
        );
        assert_eq!(mistake(&["-x"]), "unrecognized option '-x'; ");
        assert_eq!(
            mistake(&["--ver"]),
            "option '--ver' is ambiguous: --verbose, --version; write more of it"
        );
        assert_eq!(mistake(&["-c"]), "option -c (--config) needs FILE; ");
        assert_eq!(
            mistake(&["-p", "a=b"]),
            "-p a=b is for no plugin; put it behind the -i, -F or -o that it is for"
        );
        assert_eq!(
            mistake(&["-i", "x", "-p", "a"]),
            "'a' has no '='; give a property as -p key=value"
        );
        let refused = "option -T (--sp-task) is not supported yet; leave it out";
        assert_eq!(mistake(&["--sp-task"]), refused);
        assert_eq!(mistake(&["--trace=x"]), "option --trace is not supported yet; leave it out");
    }

    #[test]
    fn options_stand_for_service_keys() {
        let document = run(&["-HYWdb", "/x", "-L::1", "--http_port=80"]).document();
        let properties = document.sections.iter().map(|section| &section.properties[0]);
        let shown: Vec<String> = properties
            .map(|property| format!("{}={}", property.key.text, property.value.text))
            .collect();
        let expected = [
            "http_server=on",
            "hot_reload=on",
            "hot_reload.ensure_thread_safety=off",
            "daemon=on",
            "storage.path=/x",
            "http_listen=::1",
            "http_port=80",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn commands_stand_first() {
        let Ok(Request::Config(line)) = ask(&["config", "-vi", "dummy", "a.conf"]) else {
            panic!("no command");
        };
        assert_eq!(line.config.as_deref(), Some("a.conf".as_ref()));
        assert_eq!(line.document().sections.len(), 1);
        assert!(matches!(ask(&["completions", "fish"]), Ok(Request::Completions(Shell::Fish))));
        assert!(matches!(ask(&["man"]), Ok(Request::Man)));
        assert_eq!(run(&["-v", "config"]).warnings, ["argument 'config' is ignored"]);
    }

    #[test]
    fn a_processor_is_opened_for_its_help_only() {
        assert!(run(&["-r", "wasm", "-p", "a=b"]).document().sections.is_empty());
        assert!(matches!(ask(&["-J"]), Ok(Request::Json(None))));
    }

    #[test]
    fn what_is_passed_over_is_told() {
        let line = run(&["-i", "x", "-m", "*", "word", "-o", "nothing", "-h"]);
        assert_eq!(
            line.warnings,
            [
                "-m * is ignored: it is for filters and outputs",
                "argument 'word' is ignored",
                "invalid output plugin 'nothing'",
            ]
        );
    }

    #[test]
    fn help_and_version_end_the_reading() {
        assert!(matches!(ask(&["-V", "--nonsense"]), Ok(Request::Version)));
        assert!(matches!(ask(&["-h", "--nonsense"]), Ok(Request::Help)));
    }
}
