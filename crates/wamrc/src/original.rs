//! Options of the original compiler that need no work, and those that cannot be: one row each.

use clap::{Arg, ArgAction, ArgMatches};

use crate::usage::UsageError;

const NOTED: &str = "Options of the original compiler that change nothing here";
const REFUSED: &str = "Options of the original compiler that are refused";

/// One option.
struct Row {
    /// As it is written, without its value.
    name: &'static str,
    form: Form,
    act: Act,
}

/// How an option takes its value; the text is what stands for the value in the help.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `--enable-simd`
    Flag,
    /// `--bounds-checks=0`
    Switch,
    /// `--mllvm=OPTION`
    Equals(&'static str),
    /// `--enable-segue` or `--enable-segue=LIST`
    Optional(&'static str),
}

/// What is done about an option.
#[derive(Clone, Copy)]
enum Act {
    /// It changes nothing: why. Said once.
    Note(&'static str),
    /// It cannot be: why, and what to do instead.
    Refuse(&'static str, &'static str),
}

impl Row {
    const fn note(name: &'static str, form: Form, reason: &'static str) -> Self {
        Self { name, form, act: Act::Note(reason) }
    }

    const fn refuse(
        name: &'static str,
        form: Form,
        reason: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, form, act: Act::Refuse(reason, help) }
    }

    /// The option as clap knows it: only the long help shows it.
    fn argument(&self) -> Arg {
        let (heading, help) = match self.act {
            Act::Note(reason) => (NOTED, format!("Accepted: it {reason}")),
            Act::Refuse(reason, help) => (REFUSED, format!("Refused: it {reason}; {help}")),
        };
        let argument = Arg::new(self.name)
            .long(self.name.trim_start_matches('-'))
            .help_heading(heading)
            .long_help(help)
            .hide_short_help(true)
            .require_equals(self.form != Form::Flag);
        match self.form {
            Form::Flag => argument.action(ArgAction::SetTrue),
            Form::Switch => argument.value_name("0/1").value_parser(switch),
            Form::Equals(value) => argument.value_name(value),
            Form::Optional(value) => {
                argument.value_name(value).num_args(0..=1).default_missing_value("")
            }
        }
    }

    /// What is to be said about it, if it was given.
    fn judge(&self, matches: &ArgMatches) -> Option<Result<String, UsageError>> {
        if matches.value_source(self.name) != Some(clap::parser::ValueSource::CommandLine) {
            return None;
        }
        let value = match self.form {
            Form::Switch => matches.get_one::<String>(self.name).map(|value| format!("={value}")),
            _ => None,
        };
        let option = format!("option '{}{}'", self.name, value.unwrap_or_default());
        Some(match self.act {
            Act::Note(reason) => Ok(format!("{option} {reason}")),
            Act::Refuse(reason, help) => Err(UsageError::new(format!("{option} {reason}"), help)),
        })
    }
}

fn switch(value: &str) -> Result<String, UsageError> {
    match value {
        "0" | "1" => Ok(value.to_owned()),
        _ => Err(UsageError::new(format!("'{value}' is not a switch"), "give 0 or 1")),
    }
}

/// The options, for clap.
pub(crate) fn arguments() -> impl Iterator<Item = Arg> {
    OPTIONS.iter().map(Row::argument)
}

/// What is to be said about those that were given.
pub(crate) fn notes(matches: &ArgMatches) -> Result<Vec<String>, UsageError> {
    OPTIONS.iter().filter_map(|row| row.judge(matches)).collect()
}

static OPTIONS: &[Row] = &[
    Row::note(
        "--bounds-checks",
        Form::Switch,
        "changes nothing: every memory access is checked, by guard pages where the target has them, \
         else by code; there is no artifact without",
    ),
    Row::note(
        "--stack-bounds-checks",
        Form::Switch,
        "changes nothing: the stack is checked at every function's entry, there is no artifact \
         without",
    ),
    Row::note("--enable-simd", Form::Flag, "is not needed: SIMD is on for every target"),
    Row::note(
        "--enable-bulk-memory-opt",
        Form::Flag,
        "is not needed: bulk memory operations are on",
    ),
    Row::note(
        "--enable-extended-const",
        Form::Flag,
        "is not needed: extended constant expressions are on",
    ),
    Row::note("--enable-tail-call", Form::Flag, "is not needed: tail calls are on"),
    Row::note(
        "--enable-call-indirect-overlong",
        Form::Flag,
        "is not needed: overlong table indices of call_indirect are understood",
    ),
    Row::note("--enable-lime1", Form::Flag, "is not needed: all features of lime1 are on"),
    Row::note(
        "--enable-multi-thread",
        Form::Flag,
        "changes nothing: atomics and shared memories compile for native targets, but a filter \
         cannot start threads: the agent \
         runs one instance in each of its own",
    ),
    Row::note(
        "--disable-aux-stack-check",
        Form::Flag,
        "changes nothing: the guest's own stack lies in its memory, where every access is checked",
    ),
    Row::note(
        "--enable-dump-call-stack",
        Form::Flag,
        "is not needed: an error names the guest's function it happened in",
    ),
    Row::note(
        "--call-stack-features",
        Form::Equals("LIST"),
        "changes nothing: an error names the guest's function it happened in, and no more",
    ),
    Row::note(
        "--enable-perf-profiling",
        Form::Flag,
        "changes nothing: code has no counters; look at it with flb-wamrc disasm",
    ),
    Row::note(
        "--enable-memory-profiling",
        Form::Flag,
        "changes nothing: flb-wamrc check runs the filter and says what memory it takes",
    ),
    Row::note(
        "--enable-linux-perf",
        Form::Flag,
        "changes nothing: whether code is shown to perf is decided where it is loaded",
    ),
    Row::note(
        "--invoke-c-api-import",
        Form::Flag,
        "is not needed: unknown imports compile, and trap when they are called",
    ),
    Row::note(
        "--enable-segue",
        Form::Optional("i32.load,.."),
        "changes nothing: memory accesses need no segment register, their base is kept in a \
         general one",
    ),
    Row::note(
        "--disable-llvm-intrinsics",
        Form::Flag,
        "is for LLVM, which this compiler does without",
    ),
    Row::note(
        "--enable-builtin-intrinsics",
        Form::Equals("FLAGS"),
        "is for LLVM, which this compiler does without",
    ),
    Row::note(
        "--disable-llvm-jump-tables",
        Form::Flag,
        "is for LLVM, which this compiler does without",
    ),
    Row::note("--disable-llvm-lto", Form::Flag, "is for LLVM, which this compiler does without"),
    Row::refuse(
        "-sgx",
        Form::Flag,
        "is for enclaves, in which the engine does not run",
        "leave it out",
    ),
    Row::refuse(
        "--xip",
        Form::Flag,
        "is for code that runs from flash memory in place; artifacts are loaded into memory",
        "leave it out",
    ),
    Row::refuse(
        "--enable-indirect-mode",
        Form::Flag,
        "is for code that runs from flash memory in place; artifacts are loaded into memory",
        "leave it out",
    ),
    Row::refuse(
        "--enable-gc",
        Form::Flag,
        "is for WasmGC, which filters cannot use: the engine has it switched off",
        "build the filter in a language that brings its own memory management, such as Rust, C or \
         TinyGo",
    ),
    Row::refuse(
        "--stack-usage",
        Form::Equals("FILE"),
        "is not known to the code generator",
        "leave it out: a guest that needs more than the agent's stack limit traps, it does no \
         harm; flb-wamrc disasm \
         shows each function's frame",
    ),
    Row::refuse(
        "--mllvm",
        Form::Equals("OPTION"),
        "is for LLVM, which this compiler does without",
        "use --opt-level and --cpu-features",
    ),
    Row::refuse(
        "--enable-llvm-passes",
        Form::Equals("A,B"),
        "is for LLVM, which this compiler does without",
        "use --opt-level",
    ),
    Row::refuse(
        "--enable-llvm-pgo",
        Form::Flag,
        "would instrument the code with LLVM, which this compiler does without",
        "leave it out, or optimise the .wasm itself with your toolchain's profile-guided build",
    ),
    Row::refuse(
        "--use-prof-file",
        Form::Equals("FILE"),
        "is a profile of LLVM, which this compiler does without",
        "leave it out, or optimise the .wasm itself with your toolchain's profile-guided build",
    ),
    Row::refuse(
        "--native-lib",
        Form::Equals("SO"),
        "would let the filter call native code outside its sandbox",
        "link what it needs into the .wasm; WASI is there",
    ),
    Row::refuse(
        "--enable-shared-heap",
        Form::Flag,
        "is for memory that host and guest share; the agent hands records over in the guest's own \
         memory",
        "leave it out",
    ),
    Row::refuse(
        "--enable-shared-chain",
        Form::Flag,
        "is for memory that host and guest share; the agent hands records over in the guest's own \
         memory",
        "leave it out",
    ),
];
