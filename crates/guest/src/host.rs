//! What the plugins that run WebAssembly have in common: the engine, the module's file, and the options that bound a guest.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flb_artifact::{PublicKey, Required, Trust, contract};
use flb_plugin::{BuildError, Kind, OptionSpec, Options, Secrecy, Service};
use flb_runtime::{
    Directory, EngineOptions, FilterEngine, GuestLog, GuestOutput, GuestStream, Heard, LogLevel,
    Sandbox, variable,
};

use flb_plugin::log::{Label, excerpt, name_only};

/// `Accessible_Paths`: the directories that a guest may see.
pub const ACCESSIBLE_PATHS: OptionSpec = OptionSpec::new(
    "accessible_paths",
    Kind::List,
    None,
    "Directories that the module may read and write; 'path:ro' only to read",
);
/// `Env`: a variable of its environment.
pub const ENV: OptionSpec =
    OptionSpec::new("env", Kind::Text, None, "A variable of the module's environment: KEY=VALUE")
        .repeated()
        .with(Secrecy::Named);
/// `Args`: its arguments.
pub const ARGS: OptionSpec = OptionSpec::new(
    "args",
    Kind::Words,
    None,
    "The module's arguments; one with blanks stands in double quotes",
)
.with(Secrecy::Command);
/// `Config.*`: a setting, which it finds in its environment.
pub const CONFIG: OptionSpec = OptionSpec::new(
    "config.*",
    Kind::Text,
    None,
    "A setting of the module: config.key is its variable FLB_CONFIG_KEY",
)
.with(Secrecy::Named);
/// `Guest_Output`: where goes what it prints.
pub const GUEST_OUTPUT: OptionSpec = OptionSpec::new(
    "guest_output",
    Kind::Choice(&["log", "inherit", "discard"]),
    Some("log"),
    "What the module prints: lines of the log, the agent's own output, or nothing",
);
/// `Memory_Limit`: how far its memory may grow.
pub const MEMORY_LIMIT: OptionSpec = OptionSpec::new(
    "memory_limit",
    Kind::Size,
    None,
    "Most bytes that the module's memory may grow to (default 256 MiB)",
);
/// `Required_Name`: what its artifact must be signed as.
pub const REQUIRED_NAME: OptionSpec = OptionSpec::new(
    "required_name",
    Kind::Text,
    None,
    "The name that the artifact must be signed with, and perhaps the first version that will do: redact 1.4",
);
/// `Wasm_Heap_Size`, which Fluent Bit needs.
pub const HEAP_SIZE: OptionSpec = OptionSpec::new(
    "wasm_heap_size",
    Kind::Size,
    None,
    "Accepted and not needed: memory grows as the module asks, up to memory_limit",
);
/// `Wasm_Stack_Size`, which Fluent Bit needs.
pub const STACK_SIZE: OptionSpec = OptionSpec::new(
    "wasm_stack_size",
    Kind::Size,
    None,
    "Accepted and not needed: the stack is bounded by the engine",
);

/// Most bytes that a module's memory may grow to.
pub fn memory_limit(options: &Options) -> u64 {
    options.size(MEMORY_LIMIT.name).unwrap_or(contract::MEMORY_LIMIT)
}

/// Which filter the artifact must be: as the section says, else as the service says. A name is worth what its signature is.
pub fn required(options: &Options, service: &Service) -> Result<Option<Required>, BuildError> {
    let given = options.text(REQUIRED_NAME.name).or(service.required_name.as_deref());
    let Some(text) = given else { return Ok(None) };
    if service.trusted_keys.is_none() {
        return Err(BuildError::new("a required name needs signatures, which are not asked for")
            .help("name the keys of those who may sign: wasm.trusted_keys in [SERVICE]"));
    }
    let required = text.parse().map_err(|error: flb_artifact::ReleaseError| {
        BuildError::new(format!("invalid value for property 'required_name': {error}"))
    })?;
    Ok(Some(required))
}

/// Lines of the log for the output of one plugin's guests, in a second.
const LINES: u32 = 10;

/// The engine of all plugins, and a module's file: its bytes, and its path for messages.
pub fn open(path: &str, service: &Service) -> Result<(FilterEngine, Vec<u8>, PathBuf), BuildError> {
    let path = find(Path::new(path), service);
    let bytes = std::fs::read(&path).map_err(|error| {
        BuildError::new(format!("cannot access wasm program at {}: {error}", path.display()))
            .help("give the path of a .wasm or .aot file that the agent may read")
    })?;
    Ok((engine(service)?, bytes, path))
}

/// A path that is not there as it is may be meant from the configuration's directory.
fn find(path: &Path, service: &Service) -> PathBuf {
    match &service.config_dir {
        Some(directory) if path.is_relative() && !path.exists() => directory.join(path),
        _ => path.to_owned(),
    }
}

/// The engine of all plugins. A new configuration that trusts others, or keeps code elsewhere, is given another one.
#[derive(Default)]
struct Current(Mutex<Option<FilterEngine>>);

fn engine(service: &Service) -> Result<FilterEngine, BuildError> {
    let current = service.shared.get_or_make(|| Ok::<_, BuildError>(Current::default()))?;
    let mut current = current.0.lock().unwrap_or_else(PoisonError::into_inner);
    let trust = match &service.trusted_keys {
        None => Trust::anyone(),
        Some(files) => Trust::only(files.iter().map(|file| key(file)).collect::<Result<_, _>>()?),
    };
    let cache = service.code_cache.clone();
    let require_interruption = service.require_interruption;
    let fits = |engine: &&FilterEngine| {
        *engine.trust() == trust
            && engine.cache() == cache.as_deref()
            && engine.requires_interruption() == require_interruption
    };
    if let Some(engine) = current.as_ref().filter(fits) {
        return Ok(engine.clone());
    }
    let options = EngineOptions { trust, cache, require_interruption, ..EngineOptions::default() };
    let engine = FilterEngine::new(options)
        .map_err(|error| BuildError::new(format!("cannot start the filter watchdog: {error}")))?;
    *current = Some(engine.clone());
    Ok(engine)
}

/// Reads a public key.
fn key(file: &Path) -> Result<PublicKey, BuildError> {
    let refused =
        |reason: String| BuildError::new(format!("trusted key {}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    text.parse().map_err(|error: flb_artifact::KeyError| refused(error.to_string()))
}

/// Says what an operator may want to know of a module that was loaded.
pub fn log_notes(label: &Label, path: &Path, notes: &[String], unknown_imports: &[String]) {
    for note in notes {
        tracing::warn!("{label} {}: {note}", path.display());
    }
    for import in unknown_imports {
        tracing::warn!("{label} {}: nobody provides {import}; calling it traps", path.display());
    }
}

/// Says that a module asked for a file that it was not granted. The path is not always known.
pub fn log_denied(label: &Label, path: &str) {
    let help = "help: grant its folder, as in Accessible_Paths /etc/lists:ro";
    match path {
        "" => tracing::warn!(
            "{label} the module asked for a file, and Accessible_Paths grants no folder; {help}"
        ),
        path => tracing::warn!(
            "{label} the module asked for '{}', which Accessible_Paths does not grant; {help}",
            excerpt(path.as_bytes())
        ),
    }
}

/// The deadline that a property says, between a millisecond and an hour: less ends every call, more ends none.
pub fn deadline(options: &Options, property: &str) -> Result<Duration, BuildError> {
    options
        .double(property)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(time))
        .ok_or_else(|| {
            BuildError::new(format!("invalid value for property '{property}'"))
                .help("give seconds between 0.001 and 3600")
        })
}

/// What the options let a guest see of the host. `path` is the module's.
pub fn sandbox(options: &Options, path: &Path, label: &Label) -> Result<Sandbox, BuildError> {
    let log = log(label);
    Ok(Sandbox {
        directories: directories(options)?,
        environment: environment(options)?,
        arguments: arguments(options, path),
        output: match options.text(GUEST_OUTPUT.name) {
            Some("inherit") => GuestOutput::Inherit,
            Some("discard") => GuestOutput::Discard,
            _ => GuestOutput::Lines(log.clone()),
        },
        log: Some(log),
        meters: None,
    })
}

/// The properties `Config.*` as a module of the batch ABI is told them.
pub(crate) fn config(options: &Options) -> Vec<(String, String)> {
    options.keyed(CONFIG.name).map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
}

/// Each must be there already, or the agent does not start.
fn directories(options: &Options) -> Result<Vec<Directory>, BuildError> {
    let refused = |directory: &Directory, reason: String| {
        let path = directory.path.display();
        BuildError::new(format!("error while pre-opening directory {path}: {reason}"))
            .help("create it, or take it out of Accessible_Paths")
    };
    let paths = options.list(ACCESSIBLE_PATHS.name).iter();
    let directories: Vec<Directory> = paths.map(|path| Directory::from(path.as_str())).collect();
    for directory in &directories {
        std::fs::read_dir(&directory.path)
            .map_err(|error| refused(directory, error.to_string()))?;
    }
    Ok(directories)
}

/// The variables of `Env`, and those of `Config.*` behind them.
fn environment(options: &Options) -> Result<Vec<(String, String)>, BuildError> {
    let given = options.texts(ENV.name).map(|text| {
        variable(text).map_err(|error| {
            BuildError::new(format!("invalid value for property 'env'{}: {error}", name_only(text)))
                .help("write Env LEVEL=debug, one variable a line")
        })
    });
    let mut variables = given.collect::<Result<Vec<_>, _>>()?;
    for (key, text) in options.keyed(CONFIG.name) {
        variables.push((config_variable(key), text.to_owned()));
    }
    for (index, (key, _)) in variables.iter().enumerate() {
        if variables[..index].iter().any(|(other, _)| other == key) {
            return Err(BuildError::new(format!("the variable {key} is set twice"))
                .help("leave one of them out"));
        }
    }
    Ok(variables)
}

/// `max.length` is `FLB_CONFIG_MAX_LENGTH`.
fn config_variable(key: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("FLB_CONFIG_{}", key.chars().map(letter).collect::<String>())
}

/// No arguments at all, or the module's name and those of `Args`.
fn arguments(options: &Options, path: &Path) -> Vec<String> {
    let given = options.list(ARGS.name);
    let name = path.file_name().filter(|_| !given.is_empty());
    let name = name.map(|name| name.to_string_lossy().into_owned());
    name.into_iter().chain(given.iter().cloned()).collect()
}

/// The plugin's log, as a log of its guests. Their lines may come from any thread, so the plugin's span is kept.
fn log(label: &Label) -> GuestLog {
    let label = label.clone();
    let span = tracing::Span::current();
    GuestLog::new(LINES, move |heard| {
        span.in_scope(|| match heard {
            Heard::Line { stream: GuestStream::Stdout, text } => {
                tracing::info!("{label} stdout: {}", String::from_utf8_lossy(text));
            }
            Heard::Line { stream: GuestStream::Stderr, text } => {
                tracing::warn!("{label} stderr: {}", String::from_utf8_lossy(text));
            }
            Heard::Said { level, text } => {
                let text = String::from_utf8_lossy(text);
                match level {
                    LogLevel::Error => tracing::error!("{label} {text}"),
                    LogLevel::Warn => tracing::warn!("{label} {text}"),
                    LogLevel::Info => tracing::info!("{label} {text}"),
                    LogLevel::Debug => tracing::debug!("{label} {text}"),
                    LogLevel::Trace => tracing::trace!("{label} {text}"),
                }
            }
            Heard::Suppressed(lines) => tracing::warn!(
                "{label} {lines} more lines of the module's output were suppressed, at {LINES} a second"
            ),
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::options;

    static SPECS: &[OptionSpec] = &[ACCESSIBLE_PATHS, ENV, ARGS, CONFIG];

    #[test]
    fn a_guest_is_granted_what_the_help_says() {
        assert_eq!(memory_limit(&options(&[MEMORY_LIMIT], &[])), contract::MEMORY_LIMIT);
        let default = format!("(default {} MiB)", contract::MEMORY_LIMIT >> 20);
        assert!(MEMORY_LIMIT.about.ends_with(&default), "{}", MEMORY_LIMIT.about);
    }

    fn check_environment(given: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>) {
        let found = environment(&options(SPECS, given)).map_err(|error| error.message);
        let owned = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
        let expected = expected.map(|all| all.iter().map(owned).collect::<Vec<_>>());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn variables_come_from_env_and_config() {
        check_environment(
            &[("env", "A=1"), ("config.max.length-2", "7"), ("env", "B=x = y")],
            Ok(&[("A", "1"), ("B", "x = y"), ("FLB_CONFIG_MAX_LENGTH_2", "7")]),
        );
        check_environment(
            &[("env", "A")],
            Err("invalid value for property 'env': a variable is KEY=VALUE"),
        );
        check_environment(
            &[("config.a.b", "1"), ("config.a_b", "2")],
            Err("the variable FLB_CONFIG_A_B is set twice"),
        );
    }

    #[test]
    fn arguments_begin_with_the_module_s_name_or_there_are_none() {
        let path = Path::new("/filters/f.wasm");
        assert_eq!(arguments(&options(SPECS, &[]), path), [""; 0]);
        let given = options(SPECS, &[("args", r#"-v "a b""#)]);
        assert_eq!(arguments(&given, path), ["f.wasm", "-v", "a b"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let given = options(SPECS, &[("accessible_paths", ".,/no/such/place:ro")]);
        let error = directories(&given).unwrap_err();
        assert!(error.message.contains("directory /no/such/place: "), "{error}");
    }
}
