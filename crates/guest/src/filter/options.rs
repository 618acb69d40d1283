//! The options of the filter, and what they tell the runtime.

use flb_plugin::{BuildError, Kind, OptionSpec, Options, Service};
use flb_runtime::{Abi, EventFormat, FilterOptions, Recycle, Sandbox};

use crate::host;

/// Every option of the filter.
pub const ALL: &[OptionSpec] = &[
    OptionSpec::new(
        "event_format",
        Kind::Choice(&["json", "msgpack"]),
        Some("json"),
        "How records are given to the function",
    ),
    OptionSpec::new(
        "abi_version",
        Kind::Choice(&["1", "2"]),
        None,
        "What the function returns: 1 the answer's address, 2 its length, too (default: as its type says)",
    ),
    OptionSpec::new("wasm_path", Kind::Text, None, "The module: a .wasm or .aot file"),
    host::ACCESSIBLE_PATHS,
    host::ENV,
    host::ARGS,
    host::CONFIG,
    host::GUEST_OUTPUT,
    OptionSpec::new("function_name", Kind::Text, None, "The exported function to call"),
    host::REQUIRED_NAME,
    host::HEAP_SIZE,
    host::STACK_SIZE,
    OptionSpec::new("deadline", Kind::Double, Some("1"), "Longest time for one call, in seconds"),
    OptionSpec::new(
        "start_deadline",
        Kind::Double,
        None,
        "Longest time for an instance's start and for its first call, in seconds (default: deadline)",
    ),
    host::MEMORY_LIMIT,
    OptionSpec::new(
        "on_error",
        Kind::Choice(&["keep", "drop", "quarantine"]),
        Some("keep"),
        "What becomes of a record that the function fails on",
    ),
    OptionSpec::new(
        "quarantine_path",
        Kind::Text,
        Some("quarantine"),
        "The folder for records that the function failed on",
    ),
    OptionSpec::new(
        "quarantine_limit",
        Kind::Size,
        Some("64M"),
        "Most bytes that this filter's quarantine may take",
    ),
    OptionSpec::new(
        "recycle",
        Kind::Int,
        None,
        "Replace an instance after so many calls (default: never)",
    ),
    OptionSpec::new(
        "recycle_memory",
        Kind::Size,
        None,
        "Replace an instance when its memory has grown past so many bytes (default: never)",
    ),
    OptionSpec::new(
        "watch",
        Kind::Bool,
        Some("off"),
        "Take the module anew when its file changes; a bad one leaves the old one at work",
    ),
];

/// What the runtime is told. `name` is what the filter is called in logs.
pub fn module_options(
    options: &Options,
    function: &str,
    (service, name): (&Service, &str),
    sandbox: Sandbox,
) -> Result<FilterOptions, BuildError> {
    Ok(FilterOptions {
        format: match options.text("event_format") {
            Some("msgpack") => EventFormat::Msgpack,
            _ => EventFormat::Json { escape_unicode: service.escape_unicode },
        },
        abi: options.text("abi_version").and_then(|number| Abi::numbered(number.parse().ok()?)),
        deadline: host::deadline(options, "deadline")?,
        start_deadline: match options.double("start_deadline") {
            Some(_) => Some(host::deadline(options, "start_deadline")?),
            None => None,
        },
        memory_limit: host::memory_limit(options),
        recycle: Recycle {
            calls: calls(options.int("recycle"))?,
            memory: options.size("recycle_memory"),
        },
        required: host::required(options, service)?,
        sandbox,
        name: name.to_owned(),
        config: host::config(options),
        ..FilterOptions::new(function)
    })
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
