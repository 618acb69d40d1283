//! Filter `wasm`: a function of a WebAssembly module, or of an artifact compiled from one, decides about every record.

use std::sync::Arc;

use flb_artifact::Sha256Hex;
use flb_event::{Chunk, Spares};
use flb_guest::filter::{self, Finished, Measures, Outcome, Policy, Source, Watch, module_options};
use flb_guest::host;
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec};
use flb_runtime::FilterInstance;

use flb_plugin::log::Label;

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "wasm",
    about: "Call a function of a WebAssembly module (.wasm or .aot) for every record",
    options: filter::ALL,
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
    measures: Measures,
    /// Where newer modules come from, if any may.
    watch: Option<Arc<Watch>>,
    /// Which of them is at work.
    number: u64,
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let label = Label::filter("wasm", build);
    let path = options.get(filter::WASM_PATH)?;
    let function = options.get(filter::FUNCTION_NAME)?;
    let (engine, bytes, path) = host::open(path, build.service, filter::traps(options))?;
    let refused =
        |error: flb_runtime::LoadError| BuildError::new(format!("{}: {error}", path.display()));
    let mut sandbox = host::sandbox(options, &path, &label)?;
    sandbox.meters = Some(filter::meters(build.metrics));
    let module_options =
        module_options(options, function, (build.service, build.instance), sandbox)?;
    let digest = Sha256Hex::of(&[&bytes]);
    let source =
        Source { engine, path: path.clone(), options: module_options, label: label.clone() };
    let module = source.load(bytes).map_err(refused)?;
    let mut measures = Measures::of(build.metrics);
    let policy = Arc::new(Policy::read(options, label, build, &module, &path)?);
    if build.service.dry_run {
        return Ok(Box::new(Checked));
    }
    let instance = module.instantiate().map_err(refused)?;
    let watches = options.get(filter::WATCH);
    let watch = watches.then(|| Watch::start(source, digest)).transpose()?;
    measures.begin(&instance);
    let spares = Spares::new(SPARES);
    Ok(Box::new(Wasm { instance, spares, policy, measures, watch, number: 0 }))
}

/// One that was built to be looked at: its module was read and its function found, but no instruction of it has run.
struct Checked;

impl Filter for Checked {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        outlet.keep(batch);
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self))
    }
}

impl Wasm {
    /// Takes the newest module, if there is one.
    fn renew(&mut self) {
        let newest = self.watch.as_ref().and_then(|watch| watch.newer_than(self.number));
        let Some((number, module)) = newest else { return };
        self.number = number;
        match module.instantiate() {
            Ok(instance) => {
                self.measures.begin(&instance);
                self.instance = instance;
            }
            Err(error) => {
                tracing::error!("the new module does not start, the old one stays: {error}")
            }
        }
    }

    /// Asks about those records of a batch that are meant, or about all if none are left out.
    fn ask(&mut self, batch: &Chunk, meant: &[bool], outlet: &mut Outlet) {
        self.renew();
        let output = self.spares.builder(batch.tag().clone());
        let source = self.instance.module().source();
        let place = (output, outlet.growth());
        let mut outcome = Outcome::new((batch, meant), (&self.policy, source), place);
        let now = outlet.now();
        self.instance.set_clock(u64::from(now.sec) * 1_000_000_000 + u64::from(now.nsec));
        if meant.is_empty() {
            self.instance.filter(batch, &mut outcome);
        } else {
            self.instance.filter(&batch.only(meant), &mut outcome);
        }
        if let Some(path) = self.instance.denied() {
            self.policy.denied(&path);
        }
        let Finished { chunk, tally, emitted } = outcome.finish(&mut self.spares);
        self.measures.look(&self.instance);
        outlet.count(&tally);
        outlet.pass(chunk);
        emitted.into_iter().for_each(|chunk| outlet.emit(chunk));
    }
}

impl Filter for Wasm {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        self.ask(&batch, &[], outlet);
    }

    fn filter_meant(&mut self, batch: &Chunk, meant: &[bool], outlet: &mut Outlet) -> bool {
        self.ask(batch, meant, outlet);
        true
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        let instance = self
            .instance
            .module()
            .instantiate()
            .map_err(|error| BuildError::new(error.to_string()))?;
        let mut measures = self.measures.clone();
        measures.begin(&instance);
        Ok(Box::new(Self {
            instance,
            measures,
            spares: Spares::new(SPARES),
            policy: Arc::clone(&self.policy),
            watch: self.watch.clone(),
            number: self.number,
        }))
    }
}
