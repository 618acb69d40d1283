//! From a file's bytes to code that is linked and whose calls can be ended.

use std::sync::Arc;
use std::time::Duration;

use flb_artifact::contract::START;
use flb_artifact::{Artifact, Interface, Interruption, Metadata, Required, Sources, Traps};
use wasmtime::{Instance, InstancePre, Store};

use crate::imports::link;
use crate::interrupt::{self, Leash, Way};
use crate::layout::lay_out;
use crate::load::{Loaded, load, load_without_signals};
use crate::meters::Names;
use crate::space::Memories;
use crate::state::State;
use crate::{FilterEngine, Hurry, LoadError, Sandbox};

/// Code ready to be instantiated.
pub(crate) struct Ready {
    /// Keeps the watchdog as long as there is code that needs it.
    engine: FilterEngine,
    pub(crate) pre: InstancePre<State>,
    /// How calls are ended.
    way: Way,
    metadata: Metadata,
    /// Which files the code was made from.
    sources: Arc<Sources>,
    /// What its guests count.
    pub(crate) names: Arc<Names>,
    /// Imports that nobody provides.
    pub(crate) unknown_imports: Vec<String>,
    /// What had to be done, and what an operator may want to know.
    pub(crate) notes: Vec<String>,
}

impl Ready {
    /// Loads WebAssembly or an artifact.
    pub(crate) fn load(
        engine: &FilterEngine,
        bytes: Vec<u8>,
        required: Option<&Required>,
    ) -> Result<Self, LoadError> {
        let wasm = (!Artifact::is_artifact(&bytes)).then(|| bytes.clone());
        let loaded = load(engine, bytes, required)?;
        if loaded.interruption == Interruption::None && engine.requires_interruption() {
            return Err(LoadError::NoDeadline);
        }
        let (pre, unknown_imports) = link(&loaded.module)?;
        match way(engine, &loaded, &pre) {
            Ok(way) => Ok(Self::new(engine, loaded, way, pre, unknown_imports)),
            Err(reason) => {
                let loaded = load_without_signals(engine, loaded, wasm, &reason)?;
                let (pre, unknown_imports) = link(&loaded.module)?;
                let way = Way::Epoch(loaded.module.engine().clone());
                Ok(Self::new(engine, loaded, way, pre, unknown_imports))
            }
        }
    }

    fn new(
        engine: &FilterEngine,
        loaded: Loaded,
        way: Way,
        pre: InstancePre<State>,
        unknown_imports: Vec<String>,
    ) -> Self {
        let Loaded { artifact, interruption, mut notes, .. } = loaded;
        if interruption == Interruption::None {
            notes.push(
                "it is compiled with --interruption=none: no deadline ends its calls".to_owned(),
            );
        }
        let metadata = artifact.metadata().clone();
        Self {
            engine: engine.clone(),
            pre,
            way,
            sources: Arc::new(metadata.sources.clone()),
            metadata,
            names: Arc::default(),
            unknown_imports,
            notes,
        }
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn interface(&self) -> &Interface {
        &self.metadata().interface
    }

    /// What of the module's memories is not the guest's.
    pub(crate) fn memories(&self) -> Memories {
        Memories::of(self.pre.module(), self.interface().arguments)
    }

    /// A new guest's leash.
    pub(crate) fn leash(&self, deadline: Duration, hurry: Option<Hurry>) -> Arc<Leash> {
        self.engine.watchdog().leash(deadline, self.way.clone(), hurry)
    }

    /// Instantiates the module in a fresh store, and runs its start function.
    pub(crate) fn instantiate(
        &self,
        store: &mut Store<State>,
        memory_limit: u64,
    ) -> wasmtime::Result<Instance> {
        store.data_mut().sources = Arc::clone(&self.sources);
        store.limiter(|state| &mut state.bounds);
        interrupt::set_up(store);
        let leash = Arc::clone(&store.data().leash);
        let instance = leash.run(store, |store| self.pre.instantiate(store)).map_err(|error| {
            let bounds = &mut store.data_mut().bounds;
            let Some(too_large) = bounds.too_large() else { return error };
            // That is all there is to say.
            bounds.begin();
            wasmtime::Error::msg(too_large)
        })?;
        interrupt::find_flag(store, &instance);
        lay_out(store, &instance, memory_limit, self.engine.traps() == Traps::Signal)?;
        if let Ok(start) = instance.get_typed_func::<(), ()>(&mut *store, START) {
            leash.run(store, |store| start.call(store, ()))?;
        }
        Ok(instance)
    }
}

/// How the code's calls are ended; or why they cannot be, though the code was compiled for it.
fn way(engine: &FilterEngine, loaded: &Loaded, pre: &InstancePre<State>) -> Result<Way, String> {
    if loaded.interruption == Interruption::Signal && !engine.may_signal() {
        return Err("they are switched off".to_owned());
    }
    let way = Way::of(loaded.interruption, &loaded.module)?;
    if let Way::Signal(_) = way {
        let leash = engine.watchdog().leash(Duration::ZERO, way.clone(), None);
        let arguments = loaded.artifact.metadata().interface.arguments;
        let memories = Memories::of(pre.module(), arguments);
        let state = State::new(memories, u64::MAX, &Sandbox::default(), leash);
        let state = state.map_err(|error| error.to_string())?;
        interrupt::prove(pre, state)?;
    }
    Ok(way)
}
