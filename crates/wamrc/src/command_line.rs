//! From the words of the command line to what they ask for.
//!
//! The spelling is the original compiler's: `--name=value`, `-o FILE`, options before the single input. The commands are ours,
//! and less strict: their options may stand anywhere.

use std::ffi::OsString;

use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use flb_cli::with_help_option;
use flb_text::did_you_mean;

use crate::bench::BenchArgs;
use crate::check::CheckArgs;
use crate::compile_options::CompileArgs;
use crate::completions::CompletionsArgs;
use crate::dev::DevArgs;
use crate::disasm::DisasmArgs;
use crate::inspect::InspectArgs;
use crate::keys::{KeygenArgs, SignArgs};
use crate::man::ManArgs;
use crate::new::NewArgs;
use crate::original;
use crate::output::Outcome;
use crate::replay::ReplayArgs;
use crate::run::RunArgs;
use crate::test::TestArgs;
use crate::usage::UsageError;
use crate::verify::VerifyArgs;
use crate::{
    bench, check, completions, dev, disasm, inspect, keys, man, new, replay, run, test, verify,
};

/// How the compiler is called.
pub(crate) const USAGE: &str = "flb-wamrc [options] -o output.aot input.wasm";

const ABOUT: &str = "Compiles a WebAssembly filter to native code, ahead of time.";

/// Behind the options; the command there is the one that users of the original compiler know.
const REST: &str = "Exit codes: 0 done, 1 anything else, 3 more than bench --budget.\n\
    Example: flb-wamrc --size-level=3 --target=aarch64v8 --cpu=cortex-a57 -o x.aot x.wasm";

#[derive(Debug, Parser)]
#[command(name = "flb-wamrc", args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) compile: CompileArgs,
}

/// All commands, in the order of the help text.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(InspectArgs),
    New(NewArgs),
    Test(TestArgs),
    Bench(BenchArgs),
    Dev(DevArgs),
    Check(CheckArgs),
    Run(RunArgs),
    Replay(ReplayArgs),
    Disasm(DisasmArgs),
    Verify(VerifyArgs),
    Keygen(KeygenArgs),
    Sign(SignArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

impl Command {
    pub(crate) fn run(&self) -> anyhow::Result<Outcome> {
        match self {
            Self::Inspect(args) => inspect::run(args),
            Self::New(args) => new::run(args),
            Self::Test(args) => test::run(args),
            Self::Bench(args) => bench::run(args),
            Self::Dev(args) => dev::run(args),
            Self::Check(args) => check::run(args),
            Self::Run(args) => run::run(args),
            Self::Replay(args) => replay::run(args),
            Self::Disasm(args) => disasm::run(args),
            Self::Verify(args) => verify::run(args),
            Self::Keygen(args) => keys::keygen(args),
            Self::Sign(args) => keys::sign(args),
            Self::Completions(args) => completions::run(args, ours()),
            Self::Man(args) => man::run(args, all()),
        }
    }
}

/// What the words ask for.
#[derive(Debug)]
pub(crate) enum Understood {
    /// A help text.
    Help(clap::Error),
    /// Work, and what is to be said about options of the original compiler.
    Work(Box<CommandLine>, Vec<String>),
}

/// Every option that does something, as clap knows them.
pub(crate) fn ours() -> clap::Command {
    let help = |name: &'static str| Arg::new(name).long(name);
    CommandLine::command()
        .about(ABOUT)
        .override_usage(format!("{USAGE}\n       flb-wamrc COMMAND .."))
        .after_help(REST)
        .args_override_self(true)
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .subcommand_help_heading("Commands (see flb-wamrc COMMAND --help)")
        .arg(help("help-all").action(ArgAction::HelpLong).help(
            "Print this text, and the options of the original compiler that need no work or \
             cannot be",
        ))
        .arg(
            help("help")
                .short('h')
                .action(ArgAction::HelpShort)
                .global(true)
                .help("Print this text"),
        )
}

/// Every option.
pub(crate) fn all() -> clap::Command {
    ours().args(original::arguments())
}

/// Understands the command line.
pub(crate) fn read(words: &[OsString]) -> Result<Understood, UsageError> {
    let mut command = all();
    command.build();
    let program = OsString::from("flb-wamrc");
    if let [help, wanted, ..] = words
        && help == "help"
        && command.find_subcommand(wanted).is_none()
    {
        return Err(no_command(&wanted.to_string_lossy(), &command));
    }
    let words = rewritten(&with_help_option(words), &command)?;
    let matches = command.try_get_matches_from_mut(std::iter::once(&program).chain(&words));
    let understood =
        matches.and_then(|matches| Ok((CommandLine::from_arg_matches(&matches)?, matches)));
    match understood {
        Ok((line, matches)) => Ok(Understood::Work(Box::new(line), original::notes(&matches)?)),
        Err(error) if !error.use_stderr() => Ok(Understood::Help(error)),
        Err(error) => {
            let first = words.first().and_then(|word| word.to_str()).unwrap_or_default();
            let command = command.find_subcommand(first).unwrap_or(&command);
            Err(UsageError::explain(&error, command, &words))
        }
    }
}

/// Help is wanted for a command that there is not.
fn no_command(wanted: &str, program: &clap::Command) -> UsageError {
    let names = program.get_subcommands().map(clap::Command::get_name);
    let help = match did_you_mean(wanted, names) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "see flb-wamrc --help".to_owned(),
    };
    UsageError::new(format!("'{wanted}' is no command"), help)
}

/// The compiler's options in clap's spelling: a word with one dash is one option, and `-o` has its value in the next word.
fn rewritten(words: &[OsString], command: &clap::Command) -> Result<Vec<OsString>, UsageError> {
    let mut rewritten = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        match &*text {
            "-sgx" => rewritten.push("--sgx".into()),
            "-o" | "-j" => {
                rewritten.extend([Some(word), words.next()].into_iter().flatten().cloned())
            }
            _ if text.starts_with("-o=") => {
                let message = "option '-o' is written another way";
                return Err(UsageError::new(message, "write -o FILE"));
            }
            _ if text.starts_with("-o") => return Err(UsageError::unknown(&text, command)),
            _ if text.starts_with('-') && text != "--" => rewritten.push(word.clone()),
            _ => rewritten.extend(std::iter::once(word).chain(words.by_ref()).cloned()),
        }
    }
    Ok(rewritten)
}
