//! What the plugins that run WebAssembly have in common: the engine, the module's file, and the options that bound a guest.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use flb_artifact::Traps;
use flb_artifact::{PublicKey, Required, Trust};
use flb_plugin::keys::{Choice, Each, Key, List, Many, Options, Size, Text, Word, Words};
use flb_plugin::{BuildError, Secrecy, Service, keys};
use flb_runtime::{
    Directory, EngineOptions, FilterEngine, GuestLog, GuestOutput, GuestStream, Heard, LogLevel,
    Sandbox, variable,
};

use crate::service;
use flb_plugin::log::{Label, excerpt, name_only};

keys! {
    /// The options of whoever runs guests.
    pub const KEYS;
    ACCESSIBLE_PATHS: Option<List> = Key::new(
        "accessible_paths",
        "Directories that the module may read and write; 'path:ro' only to read",
    );
    pub ENV: Many<Text> = Key::new("env", "A variable of the module's environment: KEY=VALUE")
        .repeated()
        .hiding(Secrecy::Named);
    ARGS: Option<Words> = Key::new(
        "args",
        "The module's arguments; one with blanks stands in double quotes",
    )
    .hiding(Secrecy::Command);
    pub CONFIG: Each<Text> = Key::new(
        "config.*",
        "A setting of the module: config.key is its variable FLB_CONFIG_KEY",
    )
    .each()
    .hiding(Secrecy::Named);
    GUEST_OUTPUT: Choice<Printed> = Key::new(
        "guest_output",
        "What the module prints: lines of the log, the agent's own output, or nothing",
    )
    .default("log");
    MEMORY_LIMIT: Size = Key::new(
        "memory_limit",
        "Most bytes that the module's memory may grow to (256 MiB)",
    )
    .default("268435456");
    REQUIRED_NAME: Option<Text> = Key::new(
        "required_name",
        "The name that the artifact must be signed with, and perhaps the first version that will do: redact 1.4",
    );
    HEAP_SIZE: Option<Size> =
        Key::new("wasm_heap_size", "").idle("memory grows as the module asks, up to memory_limit");
    STACK_SIZE: Option<Size> =
        Key::new("wasm_stack_size", "").idle("the stack is bounded by the engine");
}

/// Where goes what a guest prints.
#[derive(Debug, Clone, Copy)]
enum Printed {
    Log,
    Inherited,
    Discarded,
}

impl Word for Printed {
    const ALL: &'static [(&'static str, Self)] =
        &[("log", Self::Log), ("inherit", Self::Inherited), ("discard", Self::Discarded)];
}

/// Most bytes that a module's memory may grow to.
pub fn memory_limit(options: &Options) -> u64 {
    options.get(MEMORY_LIMIT)
}

/// Which filter the artifact must be: as the section says, else as the service says. A name is worth what its signature is.
pub fn required(options: &Options, service: &Service) -> Result<Option<Required>, BuildError> {
    let given = options.get(REQUIRED_NAME).or_else(|| service::required_name(service));
    let Some(text) = given else { return Ok(None) };
    if service::signers(service).is_none() {
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

/// The engine of all plugins whose traps are raised so, and a module's file: its bytes, and its path for messages.
pub fn open(
    path: &str,
    service: &Service,
    traps: Traps,
) -> Result<(FilterEngine, Vec<u8>, PathBuf), BuildError> {
    let (bytes, path) = read(path, service);
    let bytes = bytes.map_err(|error| {
        BuildError::new(format!("cannot access wasm program at {}: {error}", path.display()))
            .help("give the path of a .wasm or .aot file that the agent may read")
    })?;
    Ok((engine(service, traps)?, bytes, path))
}

/// A file that an option names: its bytes, and where it is.
pub fn read(path: &str, service: &Service) -> (io::Result<Vec<u8>>, PathBuf) {
    let path = find(Path::new(path), service);
    (std::fs::read(&path), path)
}

/// A path that is not there as it is may be meant from the configuration's directory.
fn find(path: &Path, service: &Service) -> PathBuf {
    match &service.config_dir {
        Some(directory) if path.is_relative() && !path.exists() => directory.join(path),
        _ => path.to_owned(),
    }
}

/// The engines of all plugins, one for each way of traps. A new configuration that trusts others, or keeps code elsewhere, is given
/// others.
#[derive(Default)]
struct Current(Mutex<[Option<FilterEngine>; Traps::ALL.len()]>);

fn engine(service: &Service, traps: Traps) -> Result<FilterEngine, BuildError> {
    let current = service.shared.get_or_make(|| Ok::<_, BuildError>(Current::default()))?;
    let mut current = current.0.lock().unwrap_or_else(PoisonError::into_inner);
    let current = &mut current[traps as usize];
    let trust = match service::signers(service) {
        None => Trust::anyone(),
        Some(files) => Trust::only(files.iter().map(|file| key(file)).collect::<Result<_, _>>()?),
    };
    let cache = service::cache(service);
    let require_interruption = service::requires_interruption(service);
    let fits = |engine: &&FilterEngine| {
        *engine.trust() == trust
            && engine.cache() == cache.as_deref()
            && engine.requires_interruption() == require_interruption
    };
    if let Some(engine) = current.as_ref().filter(fits) {
        return Ok(engine.clone());
    }
    let options =
        EngineOptions { trust, cache, require_interruption, traps, ..EngineOptions::default() };
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
pub fn deadline(property: &str, seconds: f64) -> Result<Duration, BuildError> {
    Duration::try_from_secs_f64(seconds)
        .ok()
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
        output: match options.get(GUEST_OUTPUT) {
            Printed::Inherited => GuestOutput::Inherit,
            Printed::Discarded => GuestOutput::Discard,
            Printed::Log => GuestOutput::Lines(log.clone()),
        },
        log: Some(log),
        meters: None,
    })
}

/// The properties `Config.*` as a module of the batch ABI is told them.
pub(crate) fn config(options: &Options) -> Vec<(String, String)> {
    options.get(CONFIG).into_iter().map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
}

/// Each must be there already, or the agent does not start.
fn directories(options: &Options) -> Result<Vec<Directory>, BuildError> {
    let refused = |directory: &Directory, reason: String| {
        let path = directory.path.display();
        BuildError::new(format!("error while pre-opening directory {path}: {reason}"))
            .help("create it, or take it out of Accessible_Paths")
    };
    let paths = options.get(ACCESSIBLE_PATHS).unwrap_or_default().into_iter();
    let directories: Vec<Directory> = paths.map(|path| Directory::from(path.as_str())).collect();
    for directory in &directories {
        std::fs::read_dir(&directory.path)
            .map_err(|error| refused(directory, error.to_string()))?;
    }
    Ok(directories)
}

/// The variables of `Env`, and those of `Config.*` behind them.
fn environment(options: &Options) -> Result<Vec<(String, String)>, BuildError> {
    let given = options.get(ENV).into_iter().map(|text| {
        variable(text).map_err(|error| {
            BuildError::new(format!("invalid value for property 'env'{}: {error}", name_only(text)))
                .help("write Env LEVEL=debug, one variable a line")
        })
    });
    let mut variables = given.collect::<Result<Vec<_>, _>>()?;
    for (key, text) in options.get(CONFIG) {
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
    let given = options.get(ARGS).unwrap_or_default();
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
    use flb_artifact::contract;
    use flb_harness::options;
    use flb_plugin::Table;

    #[test]
    fn a_guest_is_granted_what_the_help_says() {
        assert_eq!(memory_limit(&Options::default()), contract::MEMORY_LIMIT);
        let (about, size) = (MEMORY_LIMIT.row().about, contract::MEMORY_LIMIT >> 20);
        assert!(about.ends_with(&format!("({size} MiB)")), "{about}");
    }

    fn check_environment(given: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>) {
        let found = environment(&options(Table(&[KEYS]), given)).map_err(|error| error.message);
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
        assert_eq!(arguments(&options(Table(&[KEYS]), &[]), path), [""; 0]);
        let given = options(Table(&[KEYS]), &[("args", r#"-v "a b""#)]);
        assert_eq!(arguments(&given, path), ["f.wasm", "-v", "a b"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let given = options(Table(&[KEYS]), &[("accessible_paths", ".,/no/such/place:ro")]);
        let error = directories(&given).unwrap_err();
        assert!(error.message.contains("directory /no/such/place: "), "{error}");
    }
}
