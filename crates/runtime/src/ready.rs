//! From a file's bytes to code that is linked and whose calls can be ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flb_artifact::{Artifact, Interface, Interruption, Metadata, Required, Sources, Traps};

use crate::fault::Ended;
use crate::imports::link;
use crate::interrupt::{Leash, Way};
use crate::load::{Loaded, load, load_without_signals};
use crate::machine::{Code, Layout, Machine};
use crate::meters::Names;
use crate::space::Memories;
use crate::state::State;
use crate::{FilterEngine, Hurry, LoadError};

/// Pages that a guest has room to grow by at first, where room takes memory.
const ROOM: usize = 16;

/// Code ready to be instantiated.
pub(crate) struct Ready {
    /// Keeps the watchdog as long as there is code that needs it.
    engine: FilterEngine,
    code: Code,
    /// What of its memories is not its guests'.
    memories: Memories,
    /// Pages that its guests have room to grow by: as many as one of them wanted.
    room: AtomicUsize,
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
        let (code, unknown_imports) = link(&loaded.module)?;
        match way(engine, &loaded, &code) {
            Ok(way) => Ok(Self::new(engine, loaded, way, code, unknown_imports)),
            Err(reason) => {
                let loaded = load_without_signals(engine, loaded, wasm, &reason)?;
                let (code, unknown_imports) = link(&loaded.module)?;
                let way = loaded.module.way(loaded.interruption);
                let way = way.map_err(|reason| LoadError::Signals { reason })?;
                Ok(Self::new(engine, loaded, way, code, unknown_imports))
            }
        }
    }

    fn new(
        engine: &FilterEngine,
        loaded: Loaded,
        way: Way,
        code: Code,
        unknown_imports: Vec<String>,
    ) -> Self {
        let Loaded { artifact, interruption, mut notes, module } = loaded;
        if interruption == Interruption::None {
            notes.push(
                "it is compiled with --interruption=none: no deadline ends its calls".to_owned(),
            );
        }
        let metadata = artifact.metadata().clone();
        Self {
            engine: engine.clone(),
            code,
            memories: module.memories(metadata.interface.arguments),
            room: AtomicUsize::new(ROOM),
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
        self.memories
    }

    /// A new guest's leash.
    pub(crate) fn leash(&self, deadline: Duration, hurry: Option<Hurry>) -> Arc<Leash> {
        self.engine.watchdog().leash(deadline, self.way.clone(), hurry)
    }

    /// A machine for a guest with this state, which is still to be instantiated.
    pub(crate) fn machine(&self, mut state: State) -> Machine {
        state.sources = Arc::clone(&self.sources);
        Machine::new(&self.code, state)
    }

    /// Instantiates the module in a fresh machine, and runs its start function.
    pub(crate) fn instantiate(
        &self,
        machine: &mut Machine,
        memory_limit: u64,
    ) -> Result<(), Ended> {
        let may_handle_signals = self.engine.traps() == Traps::Signal;
        let room = self.room.load(Ordering::Relaxed);
        machine.instantiate(&self.code, Layout { memory_limit, may_handle_signals, room })
    }

    /// From now on guests have room for as many more pages, at least.
    pub(crate) fn make_room(&self, missing: usize) {
        let room = self.room.load(Ordering::Relaxed).saturating_add(missing);
        let room = room.checked_next_power_of_two().unwrap_or(room);
        self.room.fetch_max(room, Ordering::Relaxed);
    }
}

/// How the code's calls are ended; or why they cannot be, though the code was compiled for it.
fn way(engine: &FilterEngine, loaded: &Loaded, code: &Code) -> Result<Way, String> {
    if loaded.interruption == Interruption::Signal && !engine.may_signal() {
        return Err("they are switched off".to_owned());
    }
    let way = loaded.module.way(loaded.interruption)?;
    #[cfg(native)]
    if let (Way::Signal(_), Code::Native(pre)) = (&way, code) {
        let leash = engine.watchdog().leash(Duration::ZERO, way.clone(), None);
        let memories = loaded.module.memories(loaded.artifact.metadata().interface.arguments);
        let state = State::new(memories, u64::MAX, &crate::Sandbox::default(), leash);
        let state = state.map_err(|error| error.to_string())?;
        crate::interrupt::prove(pre, state)?;
    }
    #[cfg(not(native))]
    let _ = code;
    Ok(way)
}
