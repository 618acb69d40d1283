//! One a process: the engines that code runs on, and the clock that ends calls which run too long.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use flb_artifact::{EngineSettings, Host, Trust};
use wasmtime::Engine;

use crate::LoadError;

/// How often the clock of all engines moves on: deadlines are as fine as this.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What holds for all modules of an engine.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Whose artifacts may run.
    pub trust: Trust,
    /// The folder where compiled code is kept; without it modules are compiled at each start.
    pub cache: Option<PathBuf>,
}

/// Engines by their settings, and the host they run on. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct FilterEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: Host,
    options: EngineOptions,
    engines: Mutex<HashMap<EngineSettings, Engine>>,
}

impl FilterEngine {
    /// An engine for this host. Starts the clock's thread, which ends with the last clone.
    pub fn new(options: EngineOptions) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { host: Host::detect(), options, engines: Mutex::default() });
        let clock = Arc::downgrade(&shared);
        thread::Builder::new().name("filter clock".to_owned()).spawn(move || tick(&clock))?;
        Ok(Self { shared })
    }

    /// The machine that code must fit.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// Whose artifacts may run.
    pub fn trust(&self) -> &Trust {
        &self.shared.options.trust
    }

    /// The folder where compiled code is kept.
    pub fn cache(&self) -> Option<&Path> {
        self.shared.options.cache.as_deref()
    }

    /// The engine with these settings, made on first use.
    pub(crate) fn with(&self, settings: &EngineSettings) -> Result<Engine, LoadError> {
        let mut engines = self.shared.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(settings) {
            return Ok(engine.clone());
        }
        let mut config = flb_engine::config(settings);
        config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
        let engine = Engine::new(&config)
            .map_err(|error| LoadError::Engine { reason: format!("{error:#}") })?;
        engines.insert(settings.clone(), engine.clone());
        Ok(engine)
    }
}

/// Moves the clock of all engines until their owner is gone.
fn tick(shared: &Weak<Shared>) {
    loop {
        thread::sleep(TICK);
        let Some(shared) = shared.upgrade() else { return };
        let engines = shared.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.values().for_each(Engine::increment_epoch);
    }
}
