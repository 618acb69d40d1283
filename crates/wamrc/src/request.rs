//! What the compiler is asked for, once it is known that the words make sense together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use flb_artifact::{Interruption, Levels, Target};

use crate::commands::COMMANDS;
use crate::compile_options::OPTIONS;
use crate::features::Proposal;
use crate::help::USAGE;
use crate::nearest::nearest;
use crate::options::{Given, Order, UsageError, read};
use crate::targets;

/// What the user asks for.
#[derive(Debug)]
pub(crate) enum Asked {
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
    pub(crate) targets: Vec<Target>,
    pub(crate) levels: Levels,
    /// `None`: nothing was said.
    pub(crate) interruption: Option<Interruption>,
    pub(crate) jobs: usize,
    pub(crate) embed_wasm: bool,
    pub(crate) without: Vec<Proposal>,
    pub(crate) verbosity: u8,
    pub(crate) json: bool,
    /// What is worth knowing and no error.
    pub(crate) notes: Vec<String>,
}

/// Understands the compiler's command line.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Asked, UsageError> {
    let (given, words) = read(arguments, OPTIONS, Order::OptionsFirst)?;
    if let Some(show) = given.show {
        return show(&given).map(Asked::Show);
    }
    if let Some(word) = words.first().filter(|_| given.output.is_none()) {
        refuse_command(&word.to_string_lossy())?;
    }
    if let Some(extra) = words.get(1) {
        return Err(after_input(&extra.to_string_lossy()));
    }
    request(given, words.into_iter().next()).map(Asked::Compile)
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

/// A word of letters that is no file is meant for a command, and there is none of that name.
fn refuse_command(word: &str) -> Result<(), UsageError> {
    let is_word = word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    if !is_word || Path::new(word).exists() {
        return Ok(());
    }
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let help = match nearest(word, names.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("the commands are {}; without one it compiles: {USAGE}", names.join(", ")),
    };
    Err(UsageError::new(format!("unknown command '{word}'"), help))
}

fn request(mut given: Given, input: Option<OsString>) -> Result<Request, UsageError> {
    let output = given.output.take();
    let output = output.ok_or_else(|| UsageError::new("no output file was given", USAGE))?;
    let input = input.map(PathBuf::from);
    let input = input.ok_or_else(|| UsageError::new("no input file was given", USAGE))?;
    if same_file(&input, &output) {
        return Err(UsageError::new(
            "input file and output file are the same",
            "give the output another name",
        ));
    }
    if given.keep_sections && given.no_embed_wasm {
        return Err(UsageError::new(
            "--emit-custom-sections keeps what --no-embed-wasm leaves out",
            "leave one of them out",
        ));
    }
    let targets = targets::targets(&given)?;
    for note in targets::notes(&given, &targets) {
        given.note(note);
    }
    Ok(Request {
        input,
        output,
        targets,
        levels: given.levels,
        interruption: given.interruption,
        jobs: given.jobs.unwrap_or_else(cores),
        embed_wasm: !given.no_embed_wasm,
        without: given.without,
        verbosity: given.verbosity,
        json: given.json,
        notes: given.notes,
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn same_file(input: &Path, output: &Path) -> bool {
    input == output
        || matches!((input.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a command line and shows what it asks for, or what is wrong with it.
    fn check(line: &str, expected: &str) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let shown = match parse(&words) {
            Ok(Asked::Show(text)) => text.lines().next().unwrap_or_default().to_owned(),
            Ok(Asked::Compile(request)) => {
                let targets: Vec<String> = request.targets.iter().map(show_target).collect();
                let Levels { opt_level, size_level } = request.levels;
                format!(
                    "{} -> {} for {} opt {opt_level} size {size_level}",
                    request.input.display(),
                    request.output.display(),
                    targets.join(" + "),
                )
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{line}");
    }

    fn show_target(target: &Target) -> String {
        format!("{} cpu {}", target.triple, target.cpu_name)
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
        check(
            "--target=aarch64-apple-darwin --cpu=apple-m1 -o y x",
            "x -> y for aarch64-apple-darwin cpu apple-m1 opt 3 size 3",
        );
        check(
            "--target-abi=msvc --target=x86_64 -o y x",
            "x -> y for x86_64-pc-windows-msvc cpu x86-64 opt 3 size 3",
        );
    }

    #[test]
    fn several_targets_are_named_in_one_option() {
        check(
            "--target=x86_64:x86-64-v3,aarch64,x86_64 -o y x",
            "x -> y for x86_64-unknown-linux-gnu cpu x86-64-v3 + aarch64-unknown-linux-gnu cpu \
             generic + \
             x86_64-unknown-linux-gnu cpu x86-64 opt 3 size 3",
        );
        check(
            "--target=x86_64,aarch64 --cpu=x86-64-v3 -o y x",
            "option '--cpu' is for one target; help: write it behind its target: \
             --target=x86_64:x86-64-v3,aarch64",
        );
        check(
            "--target=x86_64,amd64 -o y x",
            "target 'amd64' gives the same code as 'x86_64'; help: name each target once, or give \
             each another CPU: \
             --target=x86_64,x86_64:x86-64-v3",
        );
    }

    #[test]
    fn usage_errors_say_what_to_do() {
        let usage = "help: flb-wamrc [options] -o output.aot input.wasm";
        check("x.wasm", &format!("no output file was given; {usage}"));
        check("-o x.aot", &format!("no input file was given; {usage}"));
        check("-o", "option '-o' needs a value; help: write -o FILE");
        check("-ox.aot x.wasm", "unknown option '-ox.aot'; help: see flb-wamrc --help");
        check("inspct x.aot", "unknown command 'inspct'; help: did you mean 'inspect'?");
        check(
            "--opt-level -o x y",
            "option '--opt-level' needs a value; help: write --opt-level=0..3",
        );
        check(
            "-o x x",
            "input file and output file are the same; help: give the output another name",
        );
    }
}
