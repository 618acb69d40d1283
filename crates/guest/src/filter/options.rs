//! The options of the filter, and what they tell the runtime.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flb_artifact::Traps;
use flb_plugin::keys::{
    Bool, Choice, Double, Int, Key, Options, Required, Size, Table, Text, Word,
};
use flb_plugin::{BuildError, Service, keys};
use flb_runtime::{Abi, EventFormat, FilterOptions, Hurry, Recycle, Sandbox};

use crate::host;

keys! {
    /// The options of the filter that no other guest has.
    pub const OWN;
    EVENT_FORMAT: Choice<Format> =
        Key::new("event_format", "How records are given to the function").default("json");
    ABI_VERSION: Option<Choice<AbiVersion>> = Key::new(
        "abi_version",
        "What the function returns: 1 the answer's address, 2 its length, too (default: as its type says)",
    );
    pub WASM_PATH: Required<Text> = Key::new("wasm_path", "The module: a .wasm or .aot file")
        .required("no WASM 'program path' was given", "add Wasm_Path");
    pub FUNCTION_NAME: Required<Text> = Key::new("function_name", "The exported function to call")
        .required("no WASM 'function name' was given", "add Function_Name");
    DEADLINE: Double = Key::new("deadline", "Longest time for one call, in seconds").default("1");
    START_DEADLINE: Option<Double> = Key::new(
        "start_deadline",
        "Longest time for an instance's start and for its first call, in seconds (default: deadline)",
    );
    TRAPS: Choice<TrapsWord> = Key::new(
        "traps",
        "How the module's traps are raised: signal, or explicit, by code that needs no signal handlers",
    )
    .default("signal");
    pub(super) ON_ERROR: Choice<OnError> =
        Key::new("on_error", "What becomes of a record that the function fails on").default("keep");
    pub(super) QUARANTINE_PATH: Text = Key::new(
        "quarantine_path",
        "The folder for records that the function failed on",
    )
    .default("quarantine");
    pub(super) QUARANTINE_LIMIT: Size = Key::new(
        "quarantine_limit",
        "Most bytes that this filter's quarantine may take",
    )
    .default("64M");
    RECYCLE: Option<Int> =
        Key::new("recycle", "Replace an instance after so many calls (default: never)");
    RECYCLE_MEMORY: Option<Size> = Key::new(
        "recycle_memory",
        "Replace an instance when its memory has grown past so many bytes (default: never)",
    );
    pub WATCH: Bool = Key::new(
        "watch",
        "Take the module anew when its file changes; a bad one leaves the old one at work",
    )
    .default("off");
}

/// Every option of the filter.
pub const ALL: Table = Table(&[OWN, host::KEYS]);

/// How records are given to the function.
#[derive(Debug, Clone, Copy)]
enum Format {
    Json,
    Msgpack,
}

impl Word for Format {
    const ALL: &'static [(&'static str, Self)] =
        &[("json", Self::Json), ("msgpack", Self::Msgpack)];
}

/// What the function returns.
#[derive(Debug, Clone, Copy)]
struct AbiVersion(Abi);

impl Word for AbiVersion {
    const ALL: &'static [(&'static str, Self)] = &[("1", Self(Abi::One)), ("2", Self(Abi::Two))];
}

/// How the module's traps are raised.
#[derive(Debug, Clone, Copy)]
struct TrapsWord(Traps);

impl Word for TrapsWord {
    const ALL: &'static [(&'static str, Self)] =
        &[("signal", Self(Traps::Signal)), ("explicit", Self(Traps::Explicit))];
}

/// How the module's traps are raised.
pub fn traps(options: &Options) -> Traps {
    options.get(TRAPS).0
}

/// What becomes of a record that the function fails on.
#[derive(Debug, Clone, Copy)]
pub(super) enum OnError {
    Keep,
    Drop,
    Quarantine,
}

impl Word for OnError {
    const ALL: &'static [(&'static str, Self)] =
        &[("keep", Self::Keep), ("drop", Self::Drop), ("quarantine", Self::Quarantine)];
}

/// What the runtime is told. `name` is what the filter is called in logs.
pub fn module_options(
    options: &Options,
    function: &str,
    (service, name): (&Service, &str),
    sandbox: Sandbox,
) -> Result<FilterOptions, BuildError> {
    Ok(FilterOptions {
        format: match options.get(EVENT_FORMAT) {
            Format::Msgpack => EventFormat::Msgpack,
            Format::Json => EventFormat::Json { escape_unicode: service.escape_unicode() },
        },
        abi: options.get(ABI_VERSION).map(|AbiVersion(abi)| abi),
        deadline: host::deadline(DEADLINE.name(), options.get(DEADLINE))?,
        start_deadline: options
            .get(START_DEADLINE)
            .map(|seconds| host::deadline(START_DEADLINE.name(), seconds))
            .transpose()?,
        memory_limit: host::memory_limit(options),
        recycle: Recycle {
            calls: calls(options.get(RECYCLE))?,
            memory: options.get(RECYCLE_MEMORY),
        },
        required: host::required(options, service)?,
        sandbox,
        name: name.to_owned(),
        config: host::config(options),
        hurry: Some(hurry(service)),
        ..FilterOptions::new(function)
    })
}

/// Once nobody waits for filters any longer.
fn hurry(service: &Service) -> Hurry {
    let overdue = Arc::clone(&service.overdue);
    Hurry::when(move || overdue.load(Ordering::Relaxed))
}

/// At least one: a guest that is replaced before its first call never answers.
fn calls(number: Option<i64>) -> Result<Option<u64>, BuildError> {
    let Some(number) = number else { return Ok(None) };
    let calls = u64::try_from(number).ok().filter(|calls| *calls > 0);
    calls.map(Some).ok_or_else(|| {
        BuildError::new("invalid value for property 'recycle'")
            .help("give a number of calls from 1, or leave it out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_artifact::contract;

    #[test]
    fn the_deadline_is_the_runtime_s_where_none_is_given() {
        let seconds = Options::default().get(DEADLINE);
        assert_eq!(host::deadline(DEADLINE.name(), seconds).unwrap(), contract::DEADLINE);
    }
}
