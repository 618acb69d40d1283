//! What the compiler is asked for, once it is known that the words make sense together.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use flb_artifact::{Interruption, Levels, TARGET_NAMES, Target, Traps};
use flb_text::did_you_mean;

use crate::command_line::{CommandLine, USAGE};
use crate::compile_options::{ABIS, CompileArgs};
use crate::features::Proposal;
use crate::targets;
use crate::usage::UsageError;
use crate::versions;

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
    pub(crate) traps: Traps,
    pub(crate) jobs: usize,
    pub(crate) embed_wasm: bool,
    pub(crate) without: Vec<Proposal>,
    pub(crate) verbosity: u8,
    pub(crate) json: bool,
    /// What is worth knowing and no error.
    pub(crate) notes: Vec<String>,
}

/// What the compiler's options ask for; `notes` are those of the original compiler.
pub(crate) fn asked(mut given: CompileArgs, notes: Vec<String>) -> Result<Asked, UsageError> {
    if let Some(text) = shown(&mut given) {
        return text.map(Asked::Show);
    }
    let words: Vec<_> = given.words.iter().map(|word| word.to_string_lossy()).collect();
    if let Some(word) = words.first().filter(|_| given.output.is_none()) {
        refuse_command(word)?;
    }
    if let Some(extra) = words.get(1) {
        return Err(after_input(extra));
    }
    request(given, notes).map(Asked::Compile)
}

/// The text that is asked for in place of work.
fn shown(given: &mut CompileArgs) -> Option<Result<String, UsageError>> {
    let is_help = |value: &mut String| matches!(value.as_str(), "help" | "+help");
    let list = |names: &[&str]| names.join("\n") + "\n";
    let [target, abi, cpu, features] =
        [&mut given.target, &mut given.abi, &mut given.cpu, &mut given.cpu_features]
            .map(|option| option.take_if(is_help).is_some());
    Some(match () {
        () if given.version => Ok(versions::version()),
        () if given.llvm_version => Ok(versions::code_generator()),
        () if target => Ok(list(&TARGET_NAMES)),
        () if abi => Ok(list(&ABIS)),
        () if cpu => targets::list_cpus(given),
        () if features => targets::list_features(given),
        () => return None,
    })
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
    let commands = CommandLine::command();
    let names: Vec<&str> = commands.get_subcommands().map(|command| command.get_name()).collect();
    if names.contains(&word) {
        let message = format!("command '{word}' stands behind options");
        return Err(UsageError::new(message, "put it first, its options behind it"));
    }
    let help = match did_you_mean(word, names.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("the commands are {}; without one it compiles: {USAGE}", names.join(", ")),
    };
    Err(UsageError::new(format!("unknown command '{word}'"), help))
}

fn request(given: CompileArgs, mut notes: Vec<String>) -> Result<Request, UsageError> {
    let missing = |what: &str| UsageError::new(format!("no {what} file was given"), USAGE);
    let output = given.output.as_ref().ok_or_else(|| missing("output"))?;
    let input = given.words.first().ok_or_else(|| missing("input"))?;
    if same_file(input, output) {
        return Err(UsageError::new(
            "input file and output file are the same",
            "give the output another name",
        ));
    }
    if given.keep_sections.is_some() && given.no_embed_wasm {
        return Err(UsageError::new(
            "--emit-custom-sections keeps what --no-embed-wasm leaves out",
            "leave one of them out",
        ));
    }
    let traps = given.traps.unwrap_or_default();
    if (traps, given.interruption) == (Traps::Explicit, Some(Interruption::Signal)) {
        return Err(UsageError::new(
            "--traps=explicit makes code that needs no signals, --interruption=signal code that does",
            "leave --interruption out: then it is epoch",
        ));
    }
    let targets = targets::targets(&given)?;
    notes.extend(unending(given.interruption));
    notes.extend(targets::abi_note(&given));
    notes.extend(targets::notes(&given, &targets));
    Ok(Request {
        input: input.clone(),
        output: output.clone(),
        targets,
        levels: Levels {
            opt_level: given.opt_level.unwrap_or(3),
            size_level: given.size_level.unwrap_or(3),
        },
        interruption: given.interruption,
        traps,
        jobs: given.jobs.unwrap_or_else(cores),
        embed_wasm: !given.no_embed_wasm,
        without: without(&given),
        verbosity: given.verbosity.unwrap_or(2),
        json: given.json,
        notes,
    })
}

fn unending(interruption: Option<Interruption>) -> Option<String> {
    (interruption? == Interruption::None).then(|| {
        "option '--interruption=none' leaves calls without end: an agent that runs the filter \
         hangs where the filter hangs"
            .to_owned()
    })
}

/// What the module must not use.
fn without(given: &CompileArgs) -> Vec<Proposal> {
    let switched_off = [
        (given.disable_simd, Proposal::Simd),
        (given.disable_bulk_memory, Proposal::BulkMemory),
        (given.disable_ref_types, Proposal::ReferenceTypes),
    ];
    switched_off.into_iter().filter_map(|(is_off, proposal)| is_off.then_some(proposal)).collect()
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
    use std::ffi::OsString;

    use super::*;
    use crate::command_line;

    fn parse(words: &[OsString]) -> Result<Asked, UsageError> {
        match command_line::read(words)? {
            command_line::Understood::Work(line, notes) => asked(line.compile, notes),
            command_line::Understood::Help(text) => Ok(Asked::Show(text.to_string())),
        }
    }

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
