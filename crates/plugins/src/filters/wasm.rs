//! Filter `wasm`: a function of a WebAssembly module, or of an artifact compiled from one, decides about every record.

use std::sync::Arc;

use flb_event::{Chunk, Event, Spares, Verdict};
use flb_plugin::{
    Build, BuildError, Failure, Filter, Filtered, Kind, OptionSpec, Options, Service, Spec, Tally,
};
use flb_runtime::{EventFormat, FilterError, FilterInstance, FilterModule, FilterOptions, Sandbox};

use crate::guest;
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
        guest::ACCESSIBLE_PATHS,
        guest::ENV,
        guest::ARGS,
        guest::CONFIG,
        guest::GUEST_OUTPUT,
        OptionSpec::new("function_name", Kind::Text, None, "The exported function to call"),
        guest::HEAP_SIZE,
        guest::STACK_SIZE,
        OptionSpec::new(
            "deadline",
            Kind::Double,
            Some("1"),
            "Longest time for one call, in seconds",
        ),
        guest::MEMORY_LIMIT,
        OptionSpec::new(
            "on_error",
            Kind::Choice(&["keep", "drop"]),
            Some("keep"),
            "What becomes of a record that the function fails on",
        ),
    ],
    build,
};

/// Batches whose memory is kept for later ones. The lane has one at a time.
const SPARES: usize = 1;

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
    /// What went on from here, until the lane is through with it.
    spares: Spares,
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
    let (engine, bytes, path) = guest::open(path, build.service)?;
    let refused =
        |error: flb_runtime::LoadError| BuildError::new(format!("{}: {error}", path.display()));
    let sandbox = guest::sandbox(options, &path, &label)?;
    let module_options = module_options(options, function, build.service, sandbox)?;
    let module = FilterModule::load(&engine, bytes, module_options).map_err(refused)?;
    guest::log_notes(&label, &path, module.notes(), module.unknown_imports());
    let instance = module.instantiate().map_err(refused)?;
    let on_error =
        if options.text("on_error") == Some("drop") { OnError::Drop } else { OnError::Keep };
    let (spares, mishaps) = (Spares::new(SPARES), Arc::default());
    Ok(Box::new(Wasm { instance, on_error, spares, label, mishaps }))
}

fn module_options(
    options: &Options,
    function: &str,
    service: &Service,
    sandbox: Sandbox,
) -> Result<FilterOptions, BuildError> {
    Ok(FilterOptions {
        format: match options.text("event_format") {
            Some("msgpack") => EventFormat::Msgpack,
            _ => EventFormat::Json { escape_unicode: service.escape_unicode },
        },
        deadline: guest::deadline(options)?,
        memory_limit: guest::memory_limit(options),
        sandbox,
        ..FilterOptions::new(function)
    })
}

impl Filter for Wasm {
    fn filter(&mut self, batch: Chunk) -> Filtered {
        let mut tally = Tally::default();
        let mut output = self.spares.builder(batch.tag().clone());
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
        let built = output.build();
        self.spares.keep(built.clone());
        let chunk = if tally.kept == tally.records() { batch } else { built };
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
            spares: Spares::new(SPARES),
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
