//! From the words of the command line to what they ask for, by the table.
//!
//! The spelling is the original compiler's: `--name=value`, `-o FILE`, options before the single input.

use std::ffi::OsString;
use std::path::PathBuf;

use flb_artifact::{Architecture, CpuTable, Levels, Target, TargetError};

use crate::table::{Act, OPTIONS, Row};

/// What the user asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print this text and be done.
    Show(String),
    /// Compile a module.
    Compile(Request),
}

/// One compilation.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) target: Target,
    pub(crate) levels: Levels,
    pub(crate) verbosity: u8,
    /// Options that were given and change nothing, each with its reason.
    pub(crate) notes: Vec<String>,
}

/// What is wrong with the command line. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}; help: {help}")]
pub(crate) struct UsageError {
    message: String,
    help: String,
}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// What the options said, before it is known whether it makes sense together.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) output: Option<PathBuf>,
    pub(crate) target: Option<String>,
    pub(crate) cpu: Option<String>,
    pub(crate) cpu_features: Option<String>,
    pub(crate) levels: Levels,
    pub(crate) verbosity: u8,
    pub(crate) show: Option<fn(&Given) -> Result<String, UsageError>>,
    notes: Vec<String>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            output: None,
            target: None,
            cpu: None,
            cpu_features: None,
            levels: Levels { opt_level: 3, size_level: 3 },
            verbosity: 2,
            show: None,
            notes: Vec::new(),
        }
    }
}

const SEE_HELP: &str = "see flb-wamrc --help";

/// Understands the command line.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Command, UsageError> {
    let mut given = Given::default();
    let mut words = arguments.iter();
    let mut input = None;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if !text.starts_with('-') || text == "-" {
            input = Some(PathBuf::from(word));
            break;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&*text, None),
        };
        let row = find(name)?;
        let value = if row.separate {
            if value.is_some() {
                return Err(wrong_form(row));
            }
            let next = words.next().ok_or_else(|| {
                UsageError::new(format!("option '{name}' needs a value"), row.usage())
            })?;
            // A path that is not UTF-8 is kept as it is.
            if row.name == "-o" {
                given.output = Some(PathBuf::from(next));
                continue;
            }
            Some(next.to_string_lossy().into_owned())
        } else {
            value
        };
        apply(row, value, &mut given)?;
    }
    if let Some(show) = given.show {
        return show(&given).map(Command::Show);
    }
    if let Some(extra) = words.next() {
        return Err(after_input(&extra.to_string_lossy()));
    }
    request(given, input).map(Command::Compile)
}

fn find(name: &str) -> Result<&'static Row, UsageError> {
    OPTIONS.iter().find(|row| row.name == name || row.aliases.contains(&name)).ok_or_else(|| {
        let names = OPTIONS.iter().map(|row| row.name);
        let near = nearest(name, names);
        UsageError::new(
            format!("unknown option '{name}'"),
            near.map_or_else(|| SEE_HELP.to_owned(), |near| format!("did you mean '{near}'?")),
        )
    })
}

fn wrong_form(row: &Row) -> UsageError {
    UsageError::new(format!("option '{}' is written another way", row.name), row.usage())
}

fn apply(row: &Row, value: Option<String>, given: &mut Given) -> Result<(), UsageError> {
    match (row.value, value) {
        (Some(_), None) => {
            Err(UsageError::new(format!("option '{}' needs a value", row.name), row.usage()))
        }
        (None, Some(_)) => Err(wrong_form(row)),
        (_, value) => match row.act {
            Act::Set(set) => set(given, value.as_deref().unwrap_or_default()),
            Act::Refuse(reason, help) => {
                Err(UsageError::new(format!("option '{}' {reason}", row.name), help))
            }
            Act::Note(reason) => {
                given.notes.push(format!("option '{}' {reason}", row.name));
                Ok(())
            }
        },
    }
}

fn after_input(extra: &str) -> UsageError {
    if extra.starts_with('-') {
        UsageError::new(
            format!("option '{extra}' stands after the input file"),
            "put all options before it",
        )
    } else {
        UsageError::new(format!("a second input file '{extra}'"), "compile one module at a time")
    }
}

fn request(given: Given, input: Option<PathBuf>) -> Result<Request, UsageError> {
    let usage = "flb-wamrc [options] -o output.aot input.wasm";
    let output = given
        .output
        .as_ref()
        .ok_or_else(|| UsageError::new("no output file was given", usage))?
        .clone();
    let input = input.ok_or_else(|| UsageError::new("no input file was given", usage))?;
    if same_file(&input, &output) {
        return Err(UsageError::new(
            "input file and output file are the same",
            "give the output another name",
        ));
    }
    let target = target(&given)?;
    let Given { levels, verbosity, notes, .. } = given;
    Ok(Request { input, output, target, levels, verbosity, notes })
}

fn same_file(input: &std::path::Path, output: &std::path::Path) -> bool {
    input == output
        || matches!((input.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The target that the options name together; this host when they name none.
pub(crate) fn target(given: &Given) -> Result<Target, UsageError> {
    let (cpu, features) = (given.cpu.as_deref(), given.cpu_features.as_deref());
    let parsed = match given.target.as_deref() {
        Some(name) => Target::parse(name, cpu, features),
        None => {
            let host = Target::host().ok_or_else(|| {
                UsageError::new(
                    "there is no native back end for this machine",
                    "name a target: --target=x86_64",
                )
            })?;
            if cpu.is_none() && features.is_none() {
                return Ok(host);
            }
            Target::parse(&host.name, cpu.or(Some("native")), features)
        }
    };
    parsed.map_err(|error| UsageError::new(error.to_string(), target_help(&error)))
}

fn target_help(error: &TargetError) -> String {
    let table = |name: &str| {
        let known = Architecture::ALL.into_iter().find(|known| known.name() == name);
        known.map(CpuTable::of)
    };
    match error {
        TargetError::Unknown { name } => {
            match nearest(name, crate::table::TARGETS.iter().copied()) {
                Some(near) => format!("did you mean '{near}'? See --target=help"),
                None => "see --target=help".to_owned(),
            }
        }
        TargetError::NoBackEnd { .. } => {
            "name a 64-bit target (see --target=help), or give the agent the .wasm itself"
                .to_owned()
        }
        TargetError::Cpu { name, architecture } => {
            let near = table(architecture).and_then(|table| nearest(name, table.cpu_names()));
            let see = format!("see --target={architecture} --cpu=help");
            near.map_or_else(|| see.clone(), |near| format!("did you mean '{near}'? Or {see}"))
        }
        TargetError::Feature { name, architecture } => {
            let names = |table: &'static CpuTable| table.features.iter().map(|one| one.name);
            let near = table(architecture).and_then(|table| nearest(name, names(table)));
            let see = format!("see --target={architecture} --cpu-features=+help");
            near.map_or_else(|| see.clone(), |near| format!("did you mean '{near}'? Or {see}"))
        }
        TargetError::NotNative { .. } => "name one of the target's CPUs".to_owned(),
        _ => SEE_HELP.to_owned(),
    }
}

/// The known name that was probably meant.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a command line and shows what it asks for, or what is wrong with it.
    fn check(line: &str, expected: &str) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let shown = match parse(&words) {
            Ok(Command::Show(text)) => text.lines().next().unwrap_or_default().to_owned(),
            Ok(Command::Compile(request)) => format!(
                "{} -> {} for {} cpu {} opt {} size {}",
                request.input.display(),
                request.output.display(),
                request.target.triple,
                request.target.cpu_name,
                request.levels.opt_level,
                request.levels.size_level
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn the_known_command_line_is_understood() {
        check(
            "--size-level=3 --target=aarch64v8 --cpu=cortex-a57 -o x.aot x.wasm",
            "x.wasm -> x.aot for aarch64-unknown-linux-gnu cpu cortex-a57 opt 3 size 3",
        );
        check(
            "--target=x86_64 --opt-level=1 --size-level=0 -o y x",
            "x -> y for x86_64-unknown-linux-gnu cpu x86-64 opt 1 size 0",
        );
    }

    #[test]
    fn usage_errors_say_what_to_do() {
        let usage = "help: flb-wamrc [options] -o output.aot input.wasm";
        check("x.wasm", &format!("no output file was given; {usage}"));
        check("-o x.aot", &format!("no input file was given; {usage}"));
        check("-o", "option '-o' needs a value; help: write -o FILE");
        check("-ox.aot x.wasm", "unknown option '-ox.aot'; help: see flb-wamrc --help");
        check(
            "--opt-levl=3 -o x y",
            "unknown option '--opt-levl'; help: did you mean '--opt-level'?",
        );
        check("--opt-level=9 -o x y", "'9' is not a level; help: give 0, 1, 2 or 3");
        check(
            "--opt-level -o x y",
            "option '--opt-level' needs a value; help: write --opt-level=0..3",
        );
        check(
            "-o x y --opt-level=3",
            "option '--opt-level=3' stands after the input file; help: put all options before it",
        );
        check("-o x y z", "a second input file 'z'; help: compile one module at a time");
        check(
            "-o x x",
            "input file and output file are the same; help: give the output another name",
        );
        check(
            "--target=aarch46 -o x y",
            "unknown target 'aarch46'; help: did you mean 'aarch64'? See --target=help",
        );
        check(
            "--target=aarch64 --cpu=cortex-a75x -o x y",
            "unknown CPU 'cortex-a75x' for aarch64; help: did you mean 'cortex-a75'? Or see --target=aarch64 --cpu=help",
        );
        check("-v=6 -o x y", "'6' is not a verbosity; help: give 0 to 5");
        check(
            "--format=object -o x y",
            "'object' is not a format that can be loaded; help: leave it out, or give --format=aot",
        );
    }

    #[test]
    fn lists_are_shown() {
        check("--help", "Usage: flb-wamrc [options] -o output.aot input.wasm");
        check("--target=help", "x86_64");
        check("--target=aarch64 --cpu=help", "generic");
        check("--target=aarch64 --cpu-features=+help", "dotprod");
    }
}
