//! Filter `wasm`: a function of a WebAssembly module, or of an artifact compiled from one, decides about every record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flb_artifact::{PublicKey, Trust};
use flb_event::{Chunk, ChunkBuilder, Event, Verdict};
use flb_plugin::{
    Build, BuildError, Failure, Filter, Filtered, Kind, OptionSpec, Options, Service, Spec, Tally,
};
use flb_runtime::{
    EngineOptions, EventFormat, FilterEngine, FilterError, FilterInstance, FilterModule,
    FilterOptions,
};

use crate::log::{Label, Mishaps};

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "wasm",
    about: "Call a function of a WebAssembly module (.wasm or .aot) for every record",
    options: &[
        OptionSpec::new(
            "event_format",
            Kind::Choice(&["json", "msgpack"]),
            Some("json"),
            "How records are given to the function",
        ),
        OptionSpec::new("wasm_path", Kind::Text, None, "The module: a .wasm or .aot file"),
        OptionSpec::new(
            "accessible_paths",
            Kind::List,
            None,
            "Directories that the module may read and write",
        ),
        OptionSpec::new("function_name", Kind::Text, None, "The exported function to call"),
        OptionSpec::new(
            "wasm_heap_size",
            Kind::Size,
            None,
            "Accepted and not needed: records of any size reach the function",
        ),
        OptionSpec::new(
            "wasm_stack_size",
            Kind::Size,
            None,
            "Accepted and not needed: the stack is bounded by the engine",
        ),
        OptionSpec::new(
            "deadline",
            Kind::Double,
            Some("1"),
            "Longest time for one call, in seconds",
        ),
        OptionSpec::new(
            "memory_limit",
            Kind::Size,
            None,
            "Most bytes that the module's memory may grow to (default 256 MiB)",
        ),
        OptionSpec::new(
            "on_error",
            Kind::Choice(&["keep", "drop"]),
            Some("keep"),
            "What becomes of a record that the function fails on",
        ),
    ],
    build,
};

/// What becomes of a record that the function fails on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnError {
    Keep,
    Drop,
}

/// One instance of the module with the policy around it.
struct Wasm {
    instance: FilterInstance,
    on_error: OnError,
    label: Label,
    mishaps: Arc<Mishaps>,
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let label = Label::filter("wasm", build);
    let path = options
        .text("wasm_path")
        .ok_or_else(|| BuildError::new("no WASM 'program path' was given").help("add Wasm_Path"))?;
    let function = options.text("function_name").ok_or_else(|| {
        BuildError::new("no WASM 'function name' was given").help("add Function_Name")
    })?;
    let path = find(Path::new(path), build.service);
    let bytes = std::fs::read(&path).map_err(|error| {
        BuildError::new(format!("cannot access wasm program at {}: {error}", path.display()))
            .help("give the path of a .wasm or .aot file that the agent may read")
    })?;
    let refused =
        |error: flb_runtime::LoadError| BuildError::new(format!("{}: {error}", path.display()));
    let engine = build.service.shared.get_or_make(|| engine(build.service))?;
    let module =
        FilterModule::load(&engine, bytes, module_options(options, function, build.service)?)
            .map_err(refused)?;
    for note in module.notes() {
        tracing::warn!("{label} {}: {note}", path.display());
    }
    for import in module.unknown_imports() {
        tracing::warn!("{label} {}: nobody provides {import}; calling it traps", path.display());
    }
    let instance = module.instantiate().map_err(refused)?;
    let on_error =
        if options.text("on_error") == Some("drop") { OnError::Drop } else { OnError::Keep };
    Ok(Box::new(Wasm { instance, on_error, label, mishaps: Arc::default() }))
}

/// A path that is not there as it is may be meant from the configuration's directory.
fn find(path: &Path, service: &Service) -> PathBuf {
    match &service.config_dir {
        Some(directory) if path.is_relative() && !path.exists() => directory.join(path),
        _ => path.to_owned(),
    }
}

/// The engine of all wasm filters.
fn engine(service: &Service) -> Result<FilterEngine, BuildError> {
    let trust = match &service.trusted_keys {
        None => Trust::anyone(),
        Some(files) => Trust::only(files.iter().map(|file| key(file)).collect::<Result<_, _>>()?),
    };
    FilterEngine::new(EngineOptions { trust, cache: service.code_cache.clone() })
        .map_err(|error| BuildError::new(format!("cannot start the filter clock: {error}")))
}

/// Reads a public key.
fn key(file: &Path) -> Result<PublicKey, BuildError> {
    let refused =
        |reason: String| BuildError::new(format!("trusted key {}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    text.parse().map_err(|error: flb_artifact::KeyError| refused(error.to_string()))
}

fn module_options(
    options: &Options,
    function: &str,
    service: &Service,
) -> Result<FilterOptions, BuildError> {
    let defaults = FilterOptions::new(function);
    Ok(FilterOptions {
        format: match options.text("event_format") {
            Some("msgpack") => EventFormat::Msgpack,
            _ => EventFormat::Json { escape_unicode: service.escape_unicode },
        },
        deadline: deadline(options.double("deadline"))?,
        memory_limit: options.size("memory_limit").unwrap_or(defaults.memory_limit),
        accessible_paths: options.list("accessible_paths").iter().map(PathBuf::from).collect(),
        ..defaults
    })
}

/// Between a millisecond and an hour: less ends every call, more ends none.
fn deadline(seconds: Option<f64>) -> Result<Duration, BuildError> {
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(time))
        .ok_or_else(|| {
            BuildError::new("invalid value for property 'deadline'")
                .help("give seconds between 0.001 and 3600")
        })
}

impl Filter for Wasm {
    fn filter(&mut self, batch: Chunk) -> Filtered {
        let mut tally = Tally::default();
        let mut output = ChunkBuilder::new(batch.tag().clone());
        for event in batch.records() {
            let decided = match self.instance.call(batch.tag(), event) {
                Ok(verdict) => verdict,
                Err(error) => {
                    tally.fail(class(&error));
                    self.log(&error);
                    match self.on_error {
                        OnError::Keep => Verdict::Keep,
                        OnError::Drop => {
                            tally.dropped_by_failure += 1;
                            continue;
                        }
                    }
                }
            };
            let (body, count) = match decided {
                Verdict::Keep => (event.body, &mut tally.kept),
                Verdict::Replace(body) => (body, &mut tally.replaced),
                Verdict::Drop => {
                    tally.dropped += 1;
                    continue;
                }
            };
            match output.push(Event { body, ..event }) {
                Ok(()) => *count += 1,
                Err(error) => {
                    tally.fail(Failure::Memory);
                    tally.dropped_by_failure += 1;
                    tracing::error!("{} {error}", self.label);
                }
            }
        }
        let chunk = if tally.kept == tally.records() { batch } else { output.build() };
        Filtered { chunk, tally }
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        let instance = self
            .instance
            .module()
            .instantiate()
            .map_err(|error| BuildError::new(error.to_string()))?;
        Ok(Box::new(Self {
            instance,
            on_error: self.on_error,
            label: self.label.clone(),
            mishaps: Arc::clone(&self.mishaps),
        }))
    }
}

impl Wasm {
    /// Says what went wrong, ever less often.
    fn log(&self, error: &FilterError) {
        let Some(total) = self.mishaps.another() else { return };
        let words = match error {
            FilterError::BadOutput { .. } => "",
            _ => "Got exception running wasm code: ",
        };
        let fate = match self.on_error {
            OnError::Keep => "kept as it was",
            OnError::Drop => "dropped",
        };
        tracing::error!("{} {words}{error}; the record is {fate} (failure {total})", self.label);
    }
}

fn class(error: &FilterError) -> Failure {
    match error {
        FilterError::Deadline { .. } => Failure::Deadline,
        FilterError::Memory { .. } => Failure::Memory,
        FilterError::BadOutput { .. } => Failure::BadOutput,
        FilterError::Exit { .. } => Failure::Exit,
        _ => Failure::Trap,
    }
}
