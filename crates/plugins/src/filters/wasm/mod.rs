//! Filter `wasm`: a function of a WebAssembly module, or of an artifact compiled from one, decides about every record.

mod options;
mod outcome;
mod policy;
mod quarantine;

use std::sync::Arc;

use flb_event::{Chunk, Spares};
use flb_plugin::{Build, BuildError, Filter, Filtered, Options, Spec};
use flb_runtime::{FilterInstance, FilterModule};

use crate::guest;
use crate::log::Label;
use options::module_options;
use outcome::Outcome;
use policy::{Policy, class};

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "wasm",
    about: "Call a function of a WebAssembly module (.wasm or .aot) for every record",
    options: options::ALL,
    build,
};

/// Batches whose memory is kept for later ones. The lane has one at a time.
const SPARES: usize = 1;

/// One instance of the module with the policy around it.
struct Wasm {
    instance: FilterInstance,
    /// What went on from here, until the lane is through with it.
    spares: Spares,
    policy: Arc<Policy>,
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
    let policy = Policy::read(options, label, build.instance, &module, &path)?;
    Ok(Box::new(Wasm { instance, spares: Spares::new(SPARES), policy: Arc::new(policy) }))
}

impl Filter for Wasm {
    fn filter(&mut self, batch: Chunk) -> Filtered {
        let mut outcome = Outcome::new(self.spares.builder(batch.tag().clone()));
        let recycled = self.instance.recycled();
        for event in batch.records() {
            let answered = match self.instance.call(batch.tag(), event) {
                Ok(verdict) => outcome.answer(verdict, event),
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                let fate = self.policy.apply(&error, batch.tag(), event, &mut outcome.tally);
                outcome.fail(class(&error), fate, event);
            }
        }
        outcome.tally.recycled = self.instance.recycled() - recycled;
        outcome.finish(batch, &mut self.spares)
    }

    fn guest_memory(&mut self) -> Option<u64> {
        Some(self.instance.memory_size())
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        let instance = self
            .instance
            .module()
            .instantiate()
            .map_err(|error| BuildError::new(error.to_string()))?;
        Ok(Box::new(Self {
            instance,
            spares: Spares::new(SPARES),
            policy: Arc::clone(&self.policy),
        }))
    }
}
