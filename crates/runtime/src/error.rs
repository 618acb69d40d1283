//! Why a module cannot be loaded, and why a call came to nothing.

use flb_artifact::contract::BATCH;
use flb_artifact::{ArtifactError, BatchError};
use flb_event::RecordTooLarge;

use crate::abi::{Abi, PARAMETERS, Signature};
use crate::class::Failure;

/// Why a module cannot be loaded. Messages say what to do; whoever knows the file's name puts it before them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The artifact is damaged, foreign, or does not fit this host.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Neither WebAssembly nor an artifact.
    #[error("WASM bytecode or AOT object is expected but other file format: {0}")]
    Format(ArtifactError),
    /// The WebAssembly module cannot be compiled.
    #[error("{reason}")]
    Compile {
        /// What the compiler said.
        reason: String,
    },
    /// A raw module, and no compiler in this program.
    #[error(
        "it is a WebAssembly module, and this program is built without a compiler; help: compile it with \
         flb-wamrc -o filter.aot filter.wasm"
    )]
    NoCompiler,
    /// No export has the function's name.
    #[error(
        "the function '{name}' is not exported; exported functions: {}{}",
        list(exports),
        near.as_ref().map(|near| format!("; help: did you mean '{near}'?")).unwrap_or_default()
    )]
    FunctionMissing {
        /// The name that was asked for.
        name: String,
        /// The functions there are.
        exports: Vec<String>,
        /// The one that was probably meant.
        near: Option<String>,
    },
    /// The module is no program: it has nowhere to start.
    #[error(
        "WASI main function is not found; exported functions: {}; help: build a program with a main function, which \
         exports _start, and not a library",
        list(exports)
    )]
    StartMissing {
        /// The functions there are.
        exports: Vec<String>,
    },
    /// The function has another type than a filter.
    #[error(
        "the function '{name}' has the type {found}, a filter has {}; help: give it the parameters \
         ({}) and one result, a pointer",
        Abi::One.signature(), PARAMETERS.join(", ")
    )]
    FunctionType {
        /// The function.
        name: String,
        /// Its type.
        found: Signature,
    },
    /// The function speaks another ABI than the configuration says.
    #[error(
        "the function '{name}' returns as {found} does, {}, and ABI_Version says {}; help: leave ABI_Version out: \
         the function's type says it",
        found.signature(), wanted.number().unwrap_or_default()
    )]
    AbiVersion {
        /// The function.
        name: String,
        /// The ABI that it speaks.
        found: Abi,
        /// The ABI that was asked for.
        wanted: Abi,
    },
    /// The function has the type of the batch ABI, and the module does not say that it speaks it.
    #[error(
        "the function '{name}' has the type (i32) -> i32, that of the batch ABI, and the module does not export \
         '{BATCH}', by which it says what it expects; help: export that function, () -> (), or give '{name}' the \
         parameters ({})",
        PARAMETERS.join(", ")
    )]
    NoBatchMarker {
        /// The function.
        name: String,
    },
    /// The module's marker of the batch ABI means nothing here.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The function that frees answers has another type than `free`.
    #[error(
        "the function '{name}' has the type {found}, it must have (i32) -> (); help: give it one parameter, the answer's \
         address",
        name = flb_artifact::contract::FREE_RESULT
    )]
    FreeResultType {
        /// Its type.
        found: Signature,
    },
    /// The engine refuses its settings or the code.
    #[error(
        "the engine refuses the code: {reason}; help: compile again with this release: flb-wamrc -o filter.aot filter.wasm"
    )]
    Engine {
        /// What it said.
        reason: String,
    },
    /// Signals cannot end the code's calls here, and there is no module to compile anew.
    #[error(
        "signals cannot end its calls here: {reason}; help: compile it with flb-wamrc --interruption=epoch"
    )]
    Signals {
        /// Why not.
        reason: String,
    },
    /// The code needs signals, and the configuration forbids it.
    #[error(
        "it is compiled for traps or deadlines by signals, and Traps says explicit; help: compile it with \
         flb-wamrc --traps=explicit, or leave Traps out"
    )]
    Traps,
    /// No deadline ends the code's calls, and one that does is required.
    #[error(
        "it is compiled with --interruption=none, so no deadline ends its calls, and that one does is required; help: \
         compile it without --interruption=none"
    )]
    NoDeadline,
    /// The module cannot be started.
    #[error("Instantiate wasm module failed. error: {reason}")]
    Instantiate {
        /// What went wrong.
        reason: String,
    },
    /// The module did not start in time.
    #[error(
        "Instantiate wasm module failed. error: {what} took longer than its deadline of {milliseconds} ms; help: raise \
         Start_Deadline{reason}"
    )]
    StartDeadline {
        /// Which part of its start.
        what: &'static str,
        /// The deadline.
        milliseconds: u128,
        /// What the module said of it, if anything, behind a colon.
        reason: String,
    },
    /// A directory of `accessible_paths` cannot be opened.
    #[error(
        "Instantiate wasm module failed. error: error while pre-opening directory {path}: {reason}; help: create it, or \
         take it out of accessible_paths"
    )]
    Directory {
        /// The directory.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The module imports WASI, and this program is built without it.
    #[error(
        "the module imports WASI, which this program is built without; help: build the filter without WASI"
    )]
    NoWasi,
}

/// So many names are shown of a list: a module may have a hundred thousand.
const SHOWN: usize = 20;

fn list(names: &[String]) -> String {
    match names.len() {
        0 => "none".to_owned(),
        1..=SHOWN => names.join(", "),
        all => format!("{}, and {} more", names[..SHOWN].join(", "), all - SHOWN),
    }
}

/// Why a call gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The guest trapped; its instance is replaced.
    #[error("Exception: {reason}{}{}", within(backtrace), after(printed))]
    Trap {
        /// Which trap.
        reason: String,
        /// What the guest's language said about it on stderr.
        printed: Option<String>,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
    /// The call ran past its deadline; its instance is replaced.
    #[error(
        "{} took longer than its deadline of {milliseconds} ms{}{}",
        if *first { "the first call" } else { "the call" },
        within(backtrace),
        if *first { "; help: if it loads something first, raise Start_Deadline" } else { "" }
    )]
    Deadline {
        /// The deadline.
        milliseconds: u128,
        /// Whether it was the first call of its instance, or its start.
        first: bool,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
    /// There was no call: whoever asks for verdicts gave up waiting.
    #[error("not called, because {reason}")]
    GivenUp {
        /// Why.
        reason: String,
    },
    /// The guest was refused memory during the call, and then failed; its instance is replaced.
    #[error("Exception: {reason}{}{}", within(backtrace), after(printed))]
    OutOfMemory {
        /// What it was refused, and how it failed.
        reason: String,
        /// What the guest's language said about it on stderr.
        printed: Option<String>,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
    /// The record does not fit into the guest, or the guest has no memory left for it.
    #[error("{reason}")]
    Memory {
        /// What does not fit where.
        reason: String,
    },
    /// The guest's answer cannot be understood.
    #[error("{reason}")]
    BadOutput {
        /// What is wrong with it.
        reason: String,
    },
    /// The filter itself says that it failed on the record.
    #[error("the filter refuses the record{}", because(reason))]
    Refused {
        /// Why, in the filter's words.
        reason: String,
    },
    /// The guest ended itself; its instance is replaced.
    #[error("wasi proc exit: the guest called exit({code}){}{}", within(backtrace), after(printed))]
    Exit {
        /// The exit code.
        code: i32,
        /// What the guest's language said about it on stderr.
        printed: Option<String>,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
}

/// The function that failed.
fn within(backtrace: &[String]) -> String {
    backtrace.first().map(|function| format!(" (in {function})")).unwrap_or_default()
}

/// A reason, if one was given.
fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// What was printed before.
fn after(printed: &Option<String>) -> String {
    printed.as_ref().map(|text| format!(": {text}")).unwrap_or_default()
}

impl From<RecordTooLarge> for FilterError {
    fn from(error: RecordTooLarge) -> Self {
        Self::Memory { reason: error.to_string() }
    }
}

impl FilterError {
    /// The class that it is counted under.
    pub fn class(&self) -> Failure {
        match self {
            Self::Trap { .. } => Failure::Trap,
            Self::Deadline { .. } | Self::GivenUp { .. } => Failure::Deadline,
            Self::Memory { .. } | Self::OutOfMemory { .. } => Failure::Memory,
            Self::BadOutput { .. } => Failure::BadOutput,
            Self::Exit { .. } => Failure::Exit,
            Self::Refused { .. } => Failure::Refused,
        }
    }

    /// The guest's functions that were running, innermost first; empty where none was.
    pub fn backtrace(&self) -> &[String] {
        match self {
            Self::Trap { backtrace, .. }
            | Self::Deadline { backtrace, .. }
            | Self::OutOfMemory { backtrace, .. }
            | Self::Exit { backtrace, .. } => backtrace,
            Self::GivenUp { .. }
            | Self::Memory { .. }
            | Self::BadOutput { .. }
            | Self::Refused { .. } => &[],
        }
    }
}
