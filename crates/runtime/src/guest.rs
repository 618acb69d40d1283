//! A running guest: its store and memory, and how its functions are run. How it is asked is for `abi` to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flb_artifact::contract::MEMORY;
use wasmtime::{Instance, Memory, Store, TypedFunc, WasmParams, WasmResults};

use crate::failure::failure;
use crate::interrupt::Leash;
use crate::leaves::Leaves;
use crate::ready::Ready;
use crate::state::State;
use crate::{FilterError, FilterOptions, LoadError, Recycle};

/// One instance of the module.
pub(crate) struct Guest {
    store: Store<State>,
    /// By which it is ended.
    pub(crate) leash: Arc<Leash>,
    instance: Instance,
    memory: Memory,
    /// Records that it was asked about.
    asked: u64,
    deadline: Duration,
    /// Where the time that it takes is added up, if anybody wants to know.
    time: Option<Arc<AtomicU64>>,
}

impl Guest {
    /// Instantiates the module, runs its start function and its constructors.
    pub(crate) fn start(ready: &Ready, options: &FilterOptions) -> Result<Self, LoadError> {
        let start_deadline = options.start_deadline.unwrap_or(options.deadline);
        let memory_limit = options.memory_limit;
        let leash = ready.leash(start_deadline, options.hurry.clone());
        let memories = ready.memories();
        let mut state = State::new(memories, memory_limit, &options.sandbox, Arc::clone(&leash))?;
        state.is_first = true;
        state.leaves = Leaves::new(options, Arc::clone(&ready.names));
        let mut store = Store::new(ready.pre.module().engine(), state);
        let instance = ready.instantiate(&mut store, memory_limit);
        let instance = instance.map_err(|error| failed(&error, &store))?;
        let memory = instance
            .get_memory(&mut store, MEMORY)
            .ok_or_else(|| missing("a memory, so its result can't be read"))?;
        let mut run = |name: &str| {
            let function = instance.get_typed_func::<(), ()>(&mut store, name).ok()?;
            leash.restart();
            let result = leash.run(&mut store, |store| function.call(store, ()));
            Some(result.map_err(|error| failed(&error, &store)))
        };
        ["_initialize", "__wasm_call_ctors"].into_iter().find_map(&mut run).transpose()?;
        let (deadline, time) = (options.deadline, options.guest_time.clone());
        Ok(Self { store, leash, instance, memory, asked: 0, deadline, time })
    }

    /// The exported function of this name and type.
    pub(crate) fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Option<TypedFunc<P, R>> {
        self.instance.get_typed_func(&mut self.store, name).ok()
    }

    /// From here on the guest has its whole time again, and nothing that it was refused before counts.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.leash.restart();
        self.store.data_mut().bounds.begin();
    }

    /// The guest is asked about so many more records.
    #[inline]
    pub(crate) fn is_asked(&mut self, records: u64) {
        self.asked += records;
        self.store.data_mut().is_asked = true;
    }

    /// Runs code of the guest.
    #[inline]
    pub(crate) fn run<R>(
        &mut self,
        f: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, FilterError> {
        let started = self.time.as_ref().map(|_| Instant::now());
        let returned = self.leash.run(&mut self.store, f);
        if let (Some(time), Some(started)) = (&self.time, started) {
            let taken = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            time.fetch_add(taken, Ordering::Relaxed);
        }
        returned.map_err(|error| failure(&error, self.store.data()))
    }

    /// Its whole memory, and the host's part of it.
    #[inline]
    pub(crate) fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// The same, to be written to.
    #[inline]
    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    /// How many bytes of its memory are the guest's own; behind them are the host's pages, where it has some.
    #[inline]
    pub(crate) fn own(&self) -> usize {
        let own = self.store.data().bounds.own();
        own.unwrap_or_else(|| self.memory.data_size(&self.store))
    }

    /// How many pages the guest may ever have, where the host's follow.
    pub(crate) fn end(&self) -> Option<usize> {
        self.store.data().bounds.end()
    }

    /// What the guest was refused since it began.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.store.data().bounds.refusal()
    }

    /// The first call is over: from now on a call has no more time than any other.
    #[inline]
    pub(crate) fn has_started(&mut self) {
        let state = self.store.data_mut();
        if state.is_first {
            state.is_first = false;
            state.leash.set_deadline(self.deadline);
        }
    }

    /// A file that the guest asked for and that the sandbox does not grant; told once.
    #[inline]
    pub(crate) fn take_denied(&mut self) -> Option<String> {
        self.store.data_mut().take_denied()
    }

    /// Bytes that the guest has taken for its memories; the host's pages don't count.
    pub(crate) fn memory_size(&self) -> u64 {
        self.store.data().bounds.memory()
    }

    /// Whether it is time for another guest.
    pub(crate) fn is_due(&self, recycle: Recycle) -> bool {
        recycle.calls.is_some_and(|calls| self.asked >= calls)
            || recycle.memory.is_some_and(|memory| self.memory_size() > memory)
    }
}

impl Drop for Guest {
    /// Nobody may read in a memory that is gone.
    fn drop(&mut self) {
        self.leash.fence.forget();
    }
}

/// Why a guest cannot be started.
fn failed(error: &wasmtime::Error, store: &Store<State>) -> LoadError {
    let reason = match failure(error, store.data()) {
        FilterError::Deadline { milliseconds, .. } => {
            return LoadError::StartDeadline {
                what: "its start",
                milliseconds,
                reason: String::new(),
            };
        }
        other => other.to_string(),
    };
    let reason = reason.strip_prefix("Exception: ").unwrap_or(&reason).to_owned();
    LoadError::Instantiate { reason }
}

/// The module lacks something that every guest needs.
pub(crate) fn missing(what: &str) -> LoadError {
    LoadError::Instantiate { reason: format!("the module has not got {what}") }
}
