//! The commands beside compiling, one row each, and their options.

use std::ffi::OsString;
use std::time::Duration;

use crate::compile_options::set_json;
use crate::options::{Given, UsageError};
use crate::output::Outcome;
use crate::table::{Form, Row};
use crate::{completions, disasm, help, inspect, keys, man, run, verify};

/// One command: the first word of the command line.
#[derive(Debug)]
pub(crate) struct Command {
    /// The word.
    pub(crate) name: &'static str,
    /// What follows it, beside options.
    pub(crate) operands: &'static str,
    /// What it does, in one sentence.
    pub(crate) about: &'static str,
    /// Its options.
    pub(crate) options: &'static [Row],
    /// Does it.
    pub(crate) run: fn(&Given, &[OsString]) -> anyhow::Result<Outcome>,
}

impl Command {
    /// How it is written.
    pub(crate) fn usage(&self) -> String {
        let options = if self.options.len() > 1 { " [options]" } else { "" };
        format!("flb-wamrc {}{options} {}", self.name, self.operands).trim_end().to_owned()
    }
}

/// All commands, in the order of the help text.
pub(crate) static COMMANDS: &[Command] = &[
    Command {
        name: "inspect",
        operands: "FILE",
        about: "Show what an artifact or a module is made of",
        options: INSPECT,
        run: inspect::run,
    },
    Command {
        name: "check",
        operands: "FILE.wasm|FILE.aot",
        about: "Prove before deploying that a filter fits the agent, by its interface and by a \
            trial run",
        options: CHECK,
        run: run::check,
    },
    Command {
        name: "run",
        operands: "FILE.wasm|FILE.aot",
        about: "Run a filter on one record and print its verdict",
        options: RUN,
        run: run::run,
    },
    Command {
        name: "replay",
        operands: "FILE.jsonl",
        about: "Run the records of a quarantine again and say what becomes of each",
        options: REPLAY,
        run: run::replay,
    },
    Command {
        name: "disasm",
        operands: "FILE.aot [FUNCTION]",
        about: "Show an artifact's machine code, function by function",
        options: DISASM,
        run: disasm::run,
    },
    Command {
        name: "verify",
        operands: "FILE.aot",
        about: "Check that an artifact is whole; with --key who signed it, with --rebuild that \
            its code comes from its module",
        options: VERIFY,
        run: verify::run,
    },
    Command {
        name: "keygen",
        operands: "FILE",
        about: "Make a key: FILE for signing, FILE.pub for verifying",
        options: NONE,
        run: keys::keygen,
    },
    Command {
        name: "sign",
        operands: "FILE.aot",
        about: "Sign an artifact, in place",
        options: SIGN,
        run: keys::sign,
    },
    Command {
        name: "completions",
        operands: "bash|zsh|fish",
        about: "Print a shell's completions",
        options: NONE,
        run: completions::run,
    },
    Command {
        name: "man",
        operands: "",
        about: "Print the manual page",
        options: NONE,
        run: man::run,
    },
];

const HELP: Row = Row::new("--help", Form::Flag, "Print this text", |given, _| {
    given.show = Some(|_| Ok(help::compiler()));
    Ok(())
})
.alias(&["-h"]);

static NONE: &[Row] = &[HELP];

static INSPECT: &[Row] = &[Row::new("--json", Form::Flag, "Print one JSON object", set_json), HELP];

static VERIFY: &[Row] = &[
    Row::new(
        "--key",
        Form::Either("FILE.pub"),
        "Require a signature by this key; may be given several times",
        add_key,
    ),
    Row::new(
        "--rebuild",
        Form::Flag,
        "Compile the module inside again, as it is recorded, and compare byte for byte",
        |given, _| {
            given.rebuild = true;
            Ok(())
        },
    ),
    Row::new(
        "--wasm",
        Form::Either("FILE.wasm"),
        "Rebuild from this file, for an artifact without its module inside",
        |given, value| {
            given.wasm = Some(value.into());
            given.rebuild = true;
            Ok(())
        },
    ),
    HELP,
];

static SIGN: &[Row] = &[
    Row::new("--key", Form::Either("FILE"), "Sign with this key, made by keygen", add_key),
    Row::new(
        "--name",
        Form::Either("NAME"),
        "Say in the signed part which filter it is, for agents that require a name",
        |given, value| {
            given.name = Some(value.parse()?);
            Ok(())
        },
    ),
    Row::new(
        "--version",
        Form::Either("VERSION"),
        "Say which version of the filter it is: 1.4.0",
        |given, value| {
            given.version = Some(value.parse()?);
            Ok(())
        },
    ),
    HELP,
];

static DISASM: &[Row] = &[
    Row::new(
        "--target",
        Form::Either("TRIPLE"),
        "Show the code for this target (default: all)",
        |given, value| {
            given.target = Some(value.to_owned());
            Ok(())
        },
    ),
    HELP,
];

const FUNCTION: Row = Row::new(
    "--function",
    Form::Either("NAME"),
    "The exported function that is the filter",
    |given, value| {
        given.function = Some(value.to_owned());
        Ok(())
    },
);

const FORMAT: Row = Row::new(
    "--format",
    Form::Either("json|msgpack"),
    "How the record is handed over (default json)",
    format,
);

const DEADLINE: Row = Row::new(
    "--deadline",
    Form::Either("SECONDS"),
    "Longest time for one call, as Deadline (default 1)",
    |given, value| {
        given.deadline = Some(seconds(value)?);
        Ok(())
    },
);

const START_DEADLINE: Row = Row::new(
    "--start-deadline",
    Form::Either("SECONDS"),
    "Longest time for the start and for the first call, as Start_Deadline (default: the deadline)",
    |given, value| {
        given.start_deadline = Some(seconds(value)?);
        Ok(())
    },
);

const RECORD: &str =
    "The record's body, a JSON object; @FILE takes it from a file, - from standard input";

const DIR: Row = Row::new(
    "--dir",
    Form::Either("DIR[:ro]"),
    "A directory that it may use, as in Accessible_Paths; may be given several times",
    |given, value| {
        given.directories.push(value.to_owned());
        Ok(())
    },
);

const ENV: Row = Row::new(
    "--env",
    Form::Either("KEY=VALUE"),
    "A variable of its environment; may be given several times",
    |given, value| {
        given.variables.push(value.to_owned());
        Ok(())
    },
);

const ARG: Row = Row::new(
    "--arg",
    Form::Either("TEXT"),
    "One of its arguments; may be given several times",
    |given, value| {
        given.arguments.push(value.to_owned());
        Ok(())
    },
);

static CHECK: &[Row] = &[
    FUNCTION,
    FORMAT,
    DEADLINE,
    START_DEADLINE,
    DIR,
    ENV,
    ARG,
    Row::new("--record", Form::Either("JSON"), RECORD, set_record),
    Row::new("--json", Form::Flag, "Print one JSON object", set_json),
    HELP,
];

static RUN: &[Row] = &[
    FUNCTION,
    Row::new("--record", Form::Either("JSON"), RECORD, set_record),
    Row::new(
        "--tag",
        Form::Either("TAG"),
        "The record's tag (default: flb-wamrc)",
        |given, value| {
            given.tag = Some(value.to_owned());
            Ok(())
        },
    ),
    Row::new(
        "--time",
        Form::Either("SEC[.FRACTION]"),
        "The record's time (default: 0)",
        |given, value| {
            given.time = Some(value.to_owned());
            Ok(())
        },
    ),
    FORMAT,
    DEADLINE,
    START_DEADLINE,
    DIR,
    ENV,
    ARG,
    HELP,
];

static REPLAY: &[Row] = &[
    Row::new(
        "--module",
        Form::Either("FILE"),
        "Run them through this .wasm or .aot file (default: the one they failed in)",
        |given, value| {
            given.module = Some(value.into());
            Ok(())
        },
    ),
    FUNCTION,
    FORMAT,
    DEADLINE,
    START_DEADLINE,
    Row::new("--json", Form::Flag, "Print one JSON object a record", set_json),
    HELP,
];

fn add_key(given: &mut Given, value: &str) -> Result<(), UsageError> {
    given.keys.push(value.into());
    Ok(())
}

fn set_record(given: &mut Given, value: &str) -> Result<(), UsageError> {
    given.record = Some(value.to_owned());
    Ok(())
}

/// Between a millisecond and an hour, as in the agent's configuration.
fn seconds(value: &str) -> Result<Duration, UsageError> {
    let time = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(time))
        .ok_or_else(|| {
            let message = format!("'{value}' is no deadline");
            UsageError::new(message, "give seconds between 0.001 and 3600")
        })
}

fn format(given: &mut Given, value: &str) -> Result<(), UsageError> {
    given.msgpack = match value {
        "json" => false,
        "msgpack" => true,
        _ => {
            let message = format!("'{value}' is not a record format");
            return Err(UsageError::new(message, "give json or msgpack"));
        }
    };
    Ok(())
}
