//! One a process: the engines that code runs on, and the watchdog that ends calls which run too long.

#[cfg(native)]
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(native)]
use std::sync::{Mutex, PoisonError};

#[cfg(native)]
use flb_artifact::EngineSettings;
use flb_artifact::{Host, Traps, Trust};
#[cfg(native)]
use wasmtime::Engine;

#[cfg(native)]
use crate::LoadError;
use crate::fence;
use crate::interrupt::Watchdog;

/// What holds for all modules of an engine.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Whose artifacts may run.
    pub trust: Trust,
    /// The folder where compiled code is kept; without it modules are compiled at each start.
    pub cache: Option<PathBuf>,
    /// Whether code is refused whose calls no deadline ends.
    pub require_interruption: bool,
    /// How traps are raised. Where they are explicit, only code runs that needs no signals at all, and no handler is installed; what a
    /// guest touches between its own memory's end and its limit is then no trap.
    pub traps: Traps,
    /// Whether calls may not be ended by signals, for programs that leave no signal to it.
    pub no_signals: bool,
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
    /// Those for native code.
    #[cfg(native)]
    engines: Mutex<HashMap<EngineSettings, Engine>>,
    watchdog: Watchdog,
}

impl FilterEngine {
    /// An engine for this host. Starts the watchdog's thread, which ends with the last clone.
    pub fn new(options: EngineOptions) -> std::io::Result<Self> {
        if options.traps == Traps::Signal {
            fence::prepare();
        }
        let shared = Shared {
            host: Host::detect(),
            options,
            #[cfg(native)]
            engines: Mutex::default(),
            watchdog: Watchdog::start()?,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The machine that code must fit.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// Whose artifacts may run.
    pub fn trust(&self) -> &Trust {
        &self.shared.options.trust
    }

    /// Whether code is refused whose calls no deadline ends.
    pub fn requires_interruption(&self) -> bool {
        self.shared.options.require_interruption
    }

    /// How traps are raised.
    pub fn traps(&self) -> Traps {
        self.shared.options.traps
    }

    /// Whether calls may be ended by signals.
    pub(crate) fn may_signal(&self) -> bool {
        !self.shared.options.no_signals
    }

    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.shared.watchdog
    }

    /// The folder where compiled code is kept.
    pub fn cache(&self) -> Option<&Path> {
        self.shared.options.cache.as_deref()
    }

    /// The engine with these settings for native code, made on first use.
    #[cfg(native)]
    pub(crate) fn with(&self, settings: &EngineSettings) -> Result<Engine, LoadError> {
        let mut engines = self.shared.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(settings) {
            return Ok(engine.clone());
        }
        let mut config = flb_engine::config(settings);
        config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32));
        let engine = Engine::new(&config)
            .map_err(|error| LoadError::Engine { reason: format!("{error:#}") })?;
        engines.insert(settings.clone(), engine.clone());
        Ok(engine)
    }
}
