//! A running guest: its machine, and how its functions are run. How it is asked is for `abi` to know.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::failure::failure;
use crate::fault::Ended;
use crate::interrupt::Leash;
use crate::leaves::Leaves;
use crate::machine::{Function, Machine, Parameters, Results};
use crate::ready::Ready;
use crate::state::State;
use crate::{FilterError, FilterOptions, LoadError, Recycle};

/// One instance of the module.
pub(crate) struct Guest {
    machine: Machine,
    /// By which it is ended.
    pub(crate) leash: Arc<Leash>,
    /// Records that it was asked about.
    asked: u64,
    deadline: Duration,
    /// Where the time that it takes is added up, if anybody wants to know.
    time: Option<Arc<AtomicU64>>,
}

impl Guest {
    /// Instantiates the module, runs its start function and its constructors. One that finds no room for that is exchanged for one
    /// with more.
    pub(crate) fn start(ready: &Ready, options: &FilterOptions) -> Result<Self, LoadError> {
        loop {
            let mut guest = Self::new(ready, options)?;
            let started = guest.run_start(ready, options.memory_limit);
            match guest.missing() {
                Some(missing) => ready.make_room(missing),
                None => return started.map(|()| guest),
            }
        }
    }

    fn new(ready: &Ready, options: &FilterOptions) -> Result<Self, LoadError> {
        let start_deadline = options.start_deadline.unwrap_or(options.deadline);
        let leash = ready.leash(start_deadline, options.hurry.clone());
        let (memories, limit) = (ready.memories(), options.memory_limit);
        let mut state = State::new(memories, limit, &options.sandbox, Arc::clone(&leash))?;
        state.is_first = true;
        state.leaves = Leaves::new(options, Arc::clone(&ready.names));
        let machine = ready.machine(state);
        let (deadline, time) = (options.deadline, options.guest_time.clone());
        Ok(Self { machine, leash, asked: 0, deadline, time })
    }

    fn run_start(&mut self, ready: &Ready, memory_limit: u64) -> Result<(), LoadError> {
        let made = ready.instantiate(&mut self.machine, memory_limit);
        made.map_err(|ended| self.not_started(ended))?;
        if !self.machine.has_memory() {
            return Err(missing("a memory, so its result can't be read"));
        }
        for name in ["_initialize", "__wasm_call_ctors"] {
            if let Some(function) = self.function::<(), ()>(name) {
                self.leash.restart();
                let result = self.machine.call(&function, ());
                return result.map_err(|ended| self.not_started(ended));
            }
        }
        Ok(())
    }

    /// The exported function of this name and type.
    pub(crate) fn function<P: Parameters, R: Results>(
        &mut self,
        name: &str,
    ) -> Option<Function<P, R>> {
        self.machine.function(name)
    }

    /// From here on the guest has its whole time again, and nothing that it was refused before counts.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.leash.restart();
        self.machine.state_mut().bounds.begin();
    }

    /// The guest is asked about so many more records.
    #[inline]
    pub(crate) fn is_asked(&mut self, records: u64) {
        self.asked += records;
        self.machine.state_mut().is_asked = true;
    }

    /// Calls a function of the guest.
    #[inline]
    pub(crate) fn call<P: Parameters, R: Results>(
        &mut self,
        function: &Function<P, R>,
        parameters: P,
    ) -> Result<R, FilterError> {
        let started = self.time.as_ref().map(|_| Instant::now());
        let returned = self.machine.call(function, parameters);
        if let (Some(time), Some(started)) = (&self.time, started) {
            let taken = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            time.fetch_add(taken, Ordering::Relaxed);
        }
        returned.map_err(|ended| failure(ended, self.machine.state()))
    }

    /// Its whole memory, and the host's part of it.
    #[inline]
    pub(crate) fn memory(&self) -> &[u8] {
        self.machine.memory()
    }

    /// The same, to be written to.
    #[inline]
    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        self.machine.memory_mut()
    }

    /// Makes these bytes of the host's part accessible; or says why not.
    pub(crate) fn open(&mut self, bytes: Range<usize>) -> Result<(), String> {
        self.machine.open(bytes)
    }

    /// Gives back what these bytes of the host's part take; says whether they are no longer accessible.
    pub(crate) fn empty(&mut self, bytes: Range<usize>) -> bool {
        self.machine.empty(bytes)
    }

    /// How many pages it was refused only because it has no room for them. It does not know that, so nothing of what it does from then
    /// on is to be believed.
    pub(crate) fn missing(&self) -> Option<usize> {
        self.machine.state().bounds.missing()
    }

    /// How many bytes of its memory are the guest's own; behind them are the host's pages, where it has some.
    #[inline]
    pub(crate) fn own(&self) -> usize {
        self.machine.state().bounds.own().unwrap_or_else(|| self.memory().len())
    }

    /// How many pages the guest may ever have, where the host's follow.
    pub(crate) fn end(&self) -> Option<usize> {
        self.machine.state().bounds.end()
    }

    /// What the guest was refused since it began.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.machine.state().bounds.refusal()
    }

    /// The first call is over: from now on a call has no more time than any other.
    #[inline]
    pub(crate) fn has_started(&mut self) {
        let state = self.machine.state_mut();
        if state.is_first {
            state.is_first = false;
            state.leash.set_deadline(self.deadline);
        }
    }

    /// A file that the guest asked for and that the sandbox does not grant; told once.
    #[inline]
    pub(crate) fn take_denied(&mut self) -> Option<String> {
        self.machine.state_mut().take_denied()
    }

    /// Bytes that the guest has taken for its memories; the host's pages don't count.
    pub(crate) fn memory_size(&self) -> u64 {
        self.machine.state().bounds.memory()
    }

    /// Why it cannot be started.
    fn not_started(&self, ended: Ended) -> LoadError {
        let reason = match failure(ended, self.machine.state()) {
            FilterError::Deadline { milliseconds, .. } => {
                let reason = String::new();
                return LoadError::StartDeadline { what: "its start", milliseconds, reason };
            }
            other => other.to_string(),
        };
        let reason = reason.strip_prefix("Exception: ").unwrap_or(&reason).to_owned();
        LoadError::Instantiate { reason }
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

/// The module lacks something that every guest needs.
pub(crate) fn missing(what: &str) -> LoadError {
    LoadError::Instantiate { reason: format!("the module has not got {what}") }
}
