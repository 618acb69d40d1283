//! How a filter is called, and what it may see of the host: the options that say so, and the filter loaded as they say.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use flb_artifact::{Artifact, Interface};
use flb_cli::offer;
use flb_runtime::{
    Abi, Directory, EngineOptions, EventFormat, FilterEngine, FilterModule, FilterOptions,
    GuestLog, GuestOutput, Heard, Sandbox, variable,
};

use crate::duration::deadline;
use crate::input::Filter;
use crate::module;
use crate::output::aside;
use crate::usage::UsageError;

// How a filter is called. No documentation comment: clap would take it for the command's.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Call {
    /// The exported function that is the filter
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) function: Option<String>,
    /// How the record is handed over (default json)
    #[arg(long, value_name = "json|msgpack", allow_hyphen_values = true, hide_possible_values = true,
        value_parser = offer(format, ["json", "msgpack"]))]
    pub(crate) format: Option<EventFormat>,
    /// Longest time for one call, as Deadline, such as 20ms (default 1s)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Longest time for the start and for the first call, as Start_Deadline (default: the deadline)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = deadline)]
    pub(crate) start_deadline: Option<Duration>,
    /// One of its settings, as the property Config.KEY; may be given several times
    #[arg(long = "config", value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub(crate) settings: Vec<String>,
}

// What a filter may see of the host.
#[derive(Debug, Default, Args)]
pub(crate) struct Grants {
    /// A directory that it may use, as in Accessible_Paths; may be given several times
    #[arg(long = "dir", value_name = "DIR[:ro]", allow_hyphen_values = true)]
    directories: Vec<String>,
    /// A variable of its environment; may be given several times
    #[arg(long = "env", value_name = "KEY=VALUE", allow_hyphen_values = true)]
    variables: Vec<String>,
    /// One of its arguments; may be given several times
    #[arg(long = "arg", value_name = "TEXT", allow_hyphen_values = true)]
    arguments: Vec<String>,
}

const JSON: EventFormat = EventFormat::Json { escape_unicode: true };

pub(crate) fn format(value: &str) -> Result<EventFormat, UsageError> {
    match value {
        "json" => Ok(JSON),
        "msgpack" => Ok(EventFormat::Msgpack),
        _ => {
            let message = format!("'{value}' is not a record format");
            Err(UsageError::new(message, "give json or msgpack"))
        }
    }
}

/// Loads the file as the agent would. Without a name the function is the only one with a filter's type.
pub(crate) fn load(file: &Path, call: &Call, grants: &Grants) -> anyhow::Result<FilterModule> {
    let code = Code::read(file)?;
    let options = code.options(call, grants)?;
    code.load(options)
}

/// A filter's file, compiled, to be loaded once or several times.
pub(crate) struct Code<'f> {
    file: &'f Path,
    engine: FilterEngine,
    bytes: Vec<u8>,
    interface: Interface,
}

impl<'f> Code<'f> {
    /// Reads the file, and compiles it if it is a module.
    pub(crate) fn read(file: &'f Path) -> anyhow::Result<Self> {
        let named = || file.display().to_string();
        let bytes = match Filter::read(file)? {
            Filter::Wasm(wasm) => module::compile(&wasm).with_context(named)?,
            Filter::Aot(artifact) => artifact.bytes().to_vec(),
        };
        let interface = Artifact::parse(bytes.clone())?.metadata().interface.clone();
        let engine =
            FilterEngine::new(EngineOptions::default()).context("cannot start the clock")?;
        Ok(Self { file, engine, bytes, interface })
    }

    /// How its function is called. Without a name that is the only one with a filter's type.
    pub(crate) fn options(&self, call: &Call, grants: &Grants) -> anyhow::Result<FilterOptions> {
        let function = match &call.function {
            Some(name) => name.clone(),
            None => {
                only_filter(&self.interface).with_context(|| self.file.display().to_string())?
            }
        };
        Ok(options(function, self.file, call, grants, printed())?)
    }

    /// Loads it.
    pub(crate) fn load(&self, options: FilterOptions) -> anyhow::Result<FilterModule> {
        FilterModule::load(&self.engine, self.bytes.clone(), options)
            .with_context(|| self.file.display().to_string())
    }
}

/// What the guest prints: lines on stderr that say so, as stdout is for what the program says of the guest.
fn printed() -> GuestOutput {
    GuestOutput::Lines(GuestLog::new(u32::MAX, |heard| match heard {
        Heard::Line { stream, text } => {
            aside(format_args!("{}: {}", stream.name(), String::from_utf8_lossy(text)));
        }
        Heard::Said { level, text } => {
            aside(format_args!("{}: {}", level.name(), String::from_utf8_lossy(text)));
        }
        Heard::Suppressed(_) => {}
    }))
}

/// How a filter is called, and what it may see of the host.
pub(crate) fn options(
    function: String,
    file: &Path,
    call: &Call,
    grants: &Grants,
    output: GuestOutput,
) -> Result<FilterOptions, UsageError> {
    let sandbox = sandbox(file, grants, output)?;
    let defaults = FilterOptions::new(function);
    Ok(FilterOptions {
        format: call.format.unwrap_or(JSON),
        sandbox,
        config: settings(call)?,
        name: "flb-wamrc".to_owned(),
        deadline: call.deadline.unwrap_or(defaults.deadline),
        start_deadline: call.start_deadline,
        ..defaults
    })
}

/// The settings, their keys in lower case as those of properties are.
fn settings(call: &Call) -> Result<Vec<(String, String)>, UsageError> {
    let setting = |text: &String| {
        let refused = |error| UsageError::new(format!("'{text}': {error}"), "--config limit=7");
        variable(text).map(|(key, value)| (key.to_ascii_lowercase(), value)).map_err(refused)
    };
    call.settings.iter().map(setting).collect()
}

fn sandbox(file: &Path, grants: &Grants, output: GuestOutput) -> Result<Sandbox, UsageError> {
    let variables = grants.variables.iter().map(|text| {
        let refused = |error| UsageError::new(format!("'{text}': {error}"), "--env LEVEL=debug");
        variable(text).map_err(refused)
    });
    let name = file.file_name().filter(|_| !grants.arguments.is_empty());
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let log = match &output {
        GuestOutput::Lines(log) => Some(log.clone()),
        GuestOutput::Discard | GuestOutput::Inherit => None,
    };
    Ok(Sandbox {
        log,
        meters: None,
        directories: grants.directories.iter().map(|text| Directory::from(text.as_str())).collect(),
        environment: variables.collect::<Result<_, _>>()?,
        arguments: name.into_iter().chain(grants.arguments.iter().cloned()).collect(),
        output,
    })
}

/// The first names of a list: a module may have a hundred thousand.
pub(crate) fn few(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    match names.len() {
        0..=SHOWN => names.join(", "),
        all => format!("{}, and {} more", names[..SHOWN].join(", "), all - SHOWN),
    }
}

/// The function that is meant when none is named: the only one with a filter's type.
pub(crate) fn only_filter(interface: &Interface) -> Result<String, UsageError> {
    let filters: Vec<&str> = interface
        .exports
        .iter()
        .filter(|export| Abi::of(export, interface).is_some())
        .map(|export| export.name.as_str())
        .collect();
    match filters.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => {
            let all: Vec<&str> =
                interface.exports.iter().map(|export| export.name.as_str()).collect();
            Err(UsageError::new(
                format!(
                    "no exported function has a filter's type; exported functions: {}",
                    few(&all)
                ),
                "see what is wrong with flb-wamrc check --function NAME",
            ))
        }
        several => Err(UsageError::new(
            format!("several functions have a filter's type: {}", few(several)),
            "name one with --function",
        )),
    }
}

/// What to do about a file that a filter asked for and was not granted. Its path is not always known.
pub(crate) fn denied(path: &str) -> String {
    let asked = if path.is_empty() { "a file".to_owned() } else { format!("'{path}'") };
    format!(
        "it asked for {asked}, which is not granted; help: give its folder with --dir, and the agent with Accessible_Paths"
    )
}
