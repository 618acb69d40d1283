//! From the words of the command line to what they ask for: clap takes them apart, and they are taken from left to right.

use std::ffi::{OsStr, OsString};
use std::iter;

use clap::builder::StyledStr;
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;
use flb_cli::{SHELLS, Slip, with_help_option};
use flb_config::{Role, did_you_mean};
use flb_plugin::Registry;

use crate::command_line::{CommandLine, Mistake};
use crate::commands::{COMMANDS, ONCE, WORDS};
use crate::grammar;
use crate::help::{self, PluginHelp};
use crate::options::{Handle, OPTIONS, Row, Show};
use crate::watch::{Address, AddressError, Watched};

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// To run with this configuration, or to try it.
    Run(CommandLine),
    /// A help text.
    Help(StyledStr),
    /// The plugins as JSON, or one of them.
    Json(Option<PluginHelp>),
    /// The version.
    Version,
    /// The configuration as it takes effect.
    Config(CommandLine),
    /// What a running agent does.
    Top(Watched),
    /// Records on their way through this node of a running agent.
    Tap(String, Watched),
    /// Completions for a shell.
    Completions(Shell),
    /// The manual page.
    Man,
}

/// Reads the arguments, without the program's name.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    registry: &Registry,
) -> Result<Request, Mistake> {
    let mut command = grammar::reader(registry);
    let words: Vec<OsString> = arguments.into_iter().collect();
    let matches = match take_apart(&mut command, with_help_option(&words)) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Request::Help(error.render())),
        Err(error) => return Err(explain(&error, &command)),
    };
    let mut reader = Reader { registry, is_for_config: false, line: CommandLine::default() };
    match matches.subcommand() {
        Some(("config", matches)) => {
            reader.is_for_config = true;
            let asked = reader.take(matches)?;
            Ok(asked.unwrap_or(Request::Config(reader.line)))
        }
        Some(("top", matches)) => top(matches),
        Some(("tap", matches)) => tap(matches),
        Some(("completions", matches)) => shell(matches).map(Request::Completions),
        Some(_) => Ok(Request::Man),
        None => {
            let asked = reader.take(&matches)?;
            Ok(asked.unwrap_or(Request::Run(reader.line)))
        }
    }
}

fn take_apart(
    command: &mut Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, clap::Error> {
    command.try_get_matches_from_mut(iter::once("flb-agent".into()).chain(words))
}

/// The words of a command, as text.
fn words_of(matches: &ArgMatches) -> Result<Vec<String>, Mistake> {
    let words = matches.get_many::<OsString>(WORDS).into_iter().flatten();
    words
        .map(|word| {
            let text = word.to_str().map(str::to_owned);
            text.ok_or_else(|| Mistake::new(format!("'{}' is not UTF-8", word.display())))
        })
        .collect()
}

fn top(matches: &ArgMatches) -> Result<Request, Mistake> {
    match words_of(matches)?.as_slice() {
        [] => watched(matches, None).map(Request::Top),
        [url] => watched(matches, Some(url)).map(Request::Top),
        [_, word, ..] => Err(too_much(word)),
    }
}

fn tap(matches: &ArgMatches) -> Result<Request, Mistake> {
    match words_of(matches)?.as_slice() {
        [] => Err(Mistake::new("no node was given")
            .help("name one that flb-agent top shows: flb-agent tap NODE")),
        [node] => Ok(Request::Tap(node.clone(), watched(matches, None)?)),
        [node, url] => Ok(Request::Tap(node.clone(), watched(matches, Some(url))?)),
        [_, _, word, ..] => Err(too_much(word)),
    }
}

fn too_much(word: &str) -> Mistake {
    Mistake::new(format!("'{word}' is one word too many")).help("name one agent: its URL")
}

/// The agent that a command is for, by its URL.
fn watched(matches: &ArgMatches, url: Option<&str>) -> Result<Watched, Mistake> {
    let agent = match url {
        None => Address::default(),
        Some(url) => url.parse().map_err(|error: AddressError| {
            Mistake::new(format!("'{url}': {error}"))
                .help("write where the agent's HTTP server is: http://127.0.0.1:2020")
        })?,
    };
    Ok(Watched { agent, once: matches.get_flag(ONCE) })
}

fn shell(matches: &ArgMatches) -> Result<Shell, Mistake> {
    let help = "write flb-agent completions bash, zsh or fish";
    let Some(given) = matches.get_one::<OsString>(WORDS) else {
        return Err(Mistake::new("no shell was given").help(help));
    };
    let shell = SHELLS.into_iter().find(|(name, _)| *name == given);
    let unknown = || Mistake::new(format!("unknown shell '{}'", given.display())).help(help);
    shell.map(|(_, shell)| shell).ok_or_else(unknown)
}

/// An option with its values, or words that are none.
struct Occurrence {
    index: usize,
    row: Option<&'static Row>,
    values: Vec<OsString>,
}

/// All that stands on the command line, from left to right.
fn occurrences(matches: &ArgMatches) -> Vec<Occurrence> {
    let rows = OPTIONS.iter().map(|row| (Some(row), row.id()));
    let mut found = Vec::new();
    for (row, id) in rows.chain([(None, WORDS)]) {
        // Each value has one.
        let mut indices = matches.indices_of(id).into_iter().flatten();
        for values in matches.get_occurrences(id).into_iter().flatten() {
            let values: Vec<OsString> = values.cloned().collect();
            let index = indices.by_ref().take(values.len()).min().unwrap_or_default();
            found.push(Occurrence { index, row, values });
        }
    }
    found.sort_by_key(|occurrence| occurrence.index);
    found
}

/// A command line while it is read.
struct Reader<'a> {
    registry: &'a Registry,
    /// Whether the first word that is no option is the configuration file.
    is_for_config: bool,
    line: CommandLine,
}

impl Reader<'_> {
    /// Takes what stands there, up to what is to be shown in place of everything else.
    fn take(&mut self, matches: &ArgMatches) -> Result<Option<Request>, Mistake> {
        for Occurrence { row, values, .. } in occurrences(matches) {
            let asked = match row {
                Some(row) => self.option(row, values)?,
                None => {
                    values.iter().for_each(|word| self.word(word));
                    None
                }
            };
            if asked.is_some() {
                return Ok(asked);
            }
        }
        Ok(None)
    }

    fn option(&mut self, row: &Row, values: Vec<OsString>) -> Result<Option<Request>, Mistake> {
        let line = &mut self.line;
        match row.handle {
            Handle::Flag(handle) => handle(line),
            Handle::Value(_, handle) => {
                let given = line.give(&row.spelling(), text(row, values)?);
                handle(line, &given)?;
            }
            Handle::Service(_, key) => {
                let given = line.give(&row.spelling(), text(row, values)?);
                line.service(key, &given);
            }
            Handle::Set(key, value) => {
                let given = line.give_alone(&row.spelling(), value);
                line.service(key, &given);
            }
            Handle::Show(show) => return self.show(show, values),
            Handle::NotYet(_) => {
                let message = format!("option {} is not supported yet", row.name());
                return Err(Mistake::new(message).help("leave it out"));
            }
        }
        Ok(None)
    }

    fn show(&mut self, show: Show, rest: Vec<OsString>) -> Result<Option<Request>, Mistake> {
        let about = match (show, self.line.last_plugin()) {
            (Show::Version, _) => return Ok(Some(Request::Version)),
            (Show::HelpAll, _) => return Ok(Some(Request::Help(help::all(self.registry)))),
            (Show::Help | Show::Json, None) => None,
            (Show::Help | Show::Json, Some((role, name))) => {
                let Some(help) = PluginHelp::find(self.registry, role, &name) else {
                    // Whoever builds the others' sections says so, with what was probably meant.
                    if role == Role::Processor {
                        self.line.warn(Mistake::new(format!("invalid {role} plugin '{name}'")));
                    }
                    return self.take_rest(rest);
                };
                Some(help)
            }
        };
        Ok(Some(match (show, about) {
            (Show::Json, about) => Request::Json(about),
            (_, Some(plugin)) => Request::Help(plugin.to_string().into()),
            (_, None) if self.is_for_config => Request::Help(help::config(self.registry)),
            (_, None) => Request::Help(help::short(self.registry)),
        }))
    }

    /// Reads on behind a plugin's help that there is not.
    fn take_rest(&mut self, rest: Vec<OsString>) -> Result<Option<Request>, Mistake> {
        let mut command = grammar::options(self.registry);
        let given = rest.into_iter().filter(|word| !word.is_empty());
        let matches = take_apart(&mut command, given);
        self.take(&matches.map_err(|error| explain(&error, &command))?)
    }

    /// A word that is no option: the file that a command is for, or nothing.
    fn word(&mut self, word: &OsStr) {
        if self.is_for_config && self.line.config.is_none() {
            self.line.config = Some(word.into());
            return;
        }
        let text = word.to_string_lossy();
        let ignored = Mistake::new(format!("argument '{text}' is ignored"));
        let help = match did_you_mean(&text, COMMANDS) {
            _ if self.is_for_config => None,
            Some(command) if command == text => {
                Some(format!("a command stands before all options: flb-agent {command}"))
            }
            Some(command) => Some(format!("did you mean the command '{command}'?")),
            None if [".conf", ".yaml", ".yml"].iter().any(|end| text.ends_with(end)) => {
                Some(format!("name a configuration with -c {text}"))
            }
            None if text == "help" => Some("did you mean --help?".to_owned()),
            None => None,
        };
        self.line.warn(Mistake { help, ..ignored });
    }
}

/// The value of an option that takes one.
fn text(row: &Row, values: Vec<OsString>) -> Result<String, Mistake> {
    let value = values.into_iter().next().unwrap_or_default();
    value.into_string().map_err(|value| {
        Mistake::new(format!("'{}' behind {} is not UTF-8", value.display(), row.name()))
    })
}

/// What clap found wrong.
fn explain(error: &clap::Error, command: &Command) -> Mistake {
    let row = |option: &Arg| OPTIONS.iter().find(|row| option.get_id() == row.id());
    let name = |option: &Arg| row(option).map_or_else(|| option.to_string(), Row::name);
    match Slip::of(error, command) {
        Slip::Unknown(option) => match option.strip_prefix("--") {
            Some(long) => unknown(long),
            None if option == "-=" => {
                Mistake::new("a letter that takes no value stands before '='")
                    .help("leave out '=' and what stands behind it")
            }
            None => Mistake::new(format!("unrecognized option '{option}'")),
        },
        Slip::NeedsValue(option) => {
            let operand = row(option).and_then(Row::operand).map_or("a value", |value| value.name);
            Mistake::new(format!("option {} needs {operand}", name(option)))
        }
        Slip::NeedsNoValue(option) => {
            Mistake::new(format!("option {} takes no value", name(option)))
                .help("leave out '=' and what stands behind it")
        }
        Slip::NotUtf8 => Mistake::new("an argument is not UTF-8"),
        Slip::Other(message) => Mistake::new(message),
    }
}

/// No option has this name, or more than one begins with it.
fn unknown(long: &str) -> Mistake {
    let names = || OPTIONS.iter().flat_map(|row| row.longs.iter().map(move |name| (*name, row)));
    let mut beginning: Vec<(&str, &Row)> =
        names().filter(|(name, _)| name.starts_with(long)).collect();
    if beginning.iter().any(|(_, row)| !row.is_ours) {
        beginning.retain(|(_, row)| !row.is_ours);
    }
    if beginning.is_empty() {
        let mistake = Mistake::new(format!("unrecognized option '--{long}'"));
        return match did_you_mean(long, names().map(|(name, _)| name)) {
            Some(near) => mistake.help(format!("did you mean --{near}?")),
            None => mistake,
        };
    }
    let names: Vec<String> = beginning.iter().map(|(name, _)| format!("--{name}")).collect();
    Mistake::new(format!("option '--{long}' is ambiguous: {}", names.join(", ")))
        .help("write more of it")
}

#[cfg(test)]
mod tests {
    use flb_config::{Property, Section};
    use flb_pipeline::LogLevel;

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

    fn shown(mistakes: Vec<Mistake>) -> Vec<String> {
        let shown = |Mistake { message, help }| format!("{message}; {}", help.unwrap_or_default());
        mistakes.into_iter().map(shown).collect()
    }

    fn mistake(arguments: &[&str]) -> String {
        shown(vec![ask(arguments).unwrap_err()]).join("")
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
        assert_eq!(mistake(&["-Sx"]), "option -S (--sosreport) is not supported yet; leave it out");
        assert_eq!(
            mistake(&["--quiet=x"]),
            "option -q (--quiet) takes no value; leave out '=' and what stands behind it"
        );
        assert_eq!(mistake(&["-vx"]), "unrecognized option '-x'; ");
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
            shown(line.warnings),
            ["-m * is ignored: it is for filters and outputs; ", "argument 'word' is ignored; "]
        );
    }

    #[test]
    fn behind_the_help_of_no_plugin_reading_goes_on() {
        let line = run(&["-o", "nothing", "-h", "config", "-vf", "3", "-o", "no", "-J", "-v"]);
        assert_eq!(line.verbosity, 2);
        assert_eq!(line.document().sections.len(), 3);
        let warning =
            "argument 'config' is ignored; a command stands before all options: flb-agent config";
        assert_eq!(shown(line.warnings), [warning]);
        // A processor has no section that would be refused.
        let line = run(&["-r", "nothing", "-h"]);
        assert_eq!(shown(line.warnings), ["invalid processor plugin 'nothing'; "]);
        assert_eq!(mistake(&["-o", "nothing", "-h", "-x", "-V"]), "unrecognized option '-x'; ");
    }

    #[test]
    fn a_word_that_looks_like_a_command_or_a_file_is_told_where_it_belongs() {
        let warning = |words: &[&str]| shown(run(words).warnings).join("\n");
        let command =
            "argument 'config' is ignored; a command stands before all options: flb-agent config";
        assert_eq!(warning(&["-v", "config"]), command);
        assert_eq!(warning(&["--", "config"]), command);
        assert_eq!(
            warning(&["confg"]),
            "argument 'confg' is ignored; did you mean the command 'config'?"
        );
        assert_eq!(
            warning(&["a.conf", "-v"]),
            "argument 'a.conf' is ignored; name a configuration with -c a.conf"
        );
        assert_eq!(warning(&["-v", "help"]), "argument 'help' is ignored; did you mean --help?");
        assert!(matches!(ask(&["help"]), Ok(Request::Help(_))));
        assert!(matches!(ask(&["help", "config"]), Ok(Request::Help(_))));
        let Ok(Request::Config(line)) = ask(&["config", "--", "-a.conf", "b.conf"]) else {
            panic!("no command");
        };
        assert_eq!(line.config.as_deref(), Some("-a.conf".as_ref()));
        assert_eq!(shown(line.warnings), ["argument 'b.conf' is ignored; "]);
    }

    #[test]
    fn a_value_may_look_like_an_option() {
        let words = ["-i", "-o", "-p", "--x=-h", "-t", "--", "-p=a=b", "--prop=c=", "-m", "-V"];
        assert_eq!(sections(&words), ["INPUT name=-o --x=-h tag=-- a=b c="]);
        assert_eq!(run(&["-vc", "-h"]).config.as_deref(), Some("-h".as_ref()));
        assert_eq!(run(&["--config="]).config.as_deref(), Some("".as_ref()));
    }

    #[test]
    fn our_own_options_leave_abbreviations_as_they_are() {
        assert!(matches!(ask(&["--help-"]), Ok(Request::Json(None))));
        assert!(matches!(ask(&["--help-a"]), Ok(Request::Help(_))));
        for beginning in ["--l=a", "--lo=a", "--log=a"] {
            assert_eq!(sections(&[beginning]), ["SERVICE log_file=a"]);
        }
        assert_eq!(
            mistake(&["--hel"]),
            "option '--hel' is ambiguous: --help, --help-json; write more of it"
        );
        assert_eq!(
            mistake(&["--http_"]),
            "option '--http_' is ambiguous: --http_server, --http_listen, --http_port; write more of it"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf_8_is_refused_and_a_file_is_not() {
        use std::os::unix::ffi::OsStringExt as _;
        let wild = OsString::from_vec(b"a\xff".to_vec());
        let of = |words: [&OsStr; 2]| read(words.map(OsString::from), &REGISTRY);
        let refused = of(["-i".as_ref(), &wild]).unwrap_err();
        assert_eq!(refused.message, "'a\u{fffd}' behind -i (--input) is not UTF-8");
        let Ok(Request::Config(line)) = of(["config".as_ref(), &wild]) else {
            panic!("no command");
        };
        assert_eq!(line.config, Some(wild.into()));
    }

    #[test]
    fn clap_finds_nothing_wrong_with_the_tables() {
        for command in [
            grammar::offered(&REGISTRY),
            grammar::all(&REGISTRY),
            grammar::reader(&REGISTRY),
            grammar::options(&REGISTRY),
        ] {
            command.debug_assert();
        }
    }

    #[test]
    fn help_and_version_end_the_reading() {
        assert!(matches!(ask(&["-V", "--nonsense"]), Ok(Request::Version)));
        assert!(matches!(ask(&["-h", "--nonsense"]), Ok(Request::Help(_))));
        assert!(matches!(ask(&["-vV", "-c"]), Ok(Request::Version)));
        assert!(matches!(ask(&["-hx"]), Ok(Request::Help(_))));
        assert!(matches!(ask(&["--version=x"]), Ok(Request::Version)));
        assert!(matches!(ask(&["-J", "--", "-p"]), Ok(Request::Json(None))));
        for command in ["config", "completions", "man"] {
            assert!(matches!(ask(&[command, "-h"]), Ok(Request::Help(_))), "{command}");
        }
    }
}
