//! The guests of one filter: the one at work, and the next when that one has failed or its time is up.

use crate::guest::Guest;
use crate::ready::Ready;
use crate::{FilterError, FilterModule, FilterOptions, LoadError};

/// What an ABI uses of a guest: its functions, and where it keeps what it hands over.
pub(crate) trait Entry: Sized {
    /// Finds it in a guest that was just started.
    fn find(guest: &mut Guest, ready: &Ready, options: &FilterOptions) -> Result<Self, LoadError>;
}

/// A guest, and what the ABI uses of it.
pub(crate) struct Live<E> {
    pub(crate) guest: Guest,
    pub(crate) entry: E,
}

impl<E: Entry> Live<E> {
    pub(crate) fn start(module: &FilterModule) -> Result<Self, LoadError> {
        let (ready, options) = (module.ready(), module.options());
        loop {
            let mut guest = Guest::start(ready, options)?;
            let entry = E::find(&mut guest, ready, options);
            match guest.missing() {
                Some(missing) => ready.make_room(missing),
                None => return Ok(Self { guest, entry: entry? }),
            }
        }
    }
}

/// One guest after the other.
pub(crate) struct Guests<E> {
    module: FilterModule,
    /// `None` after a failure: the next call starts another. It moves at every call, so it is a pointer.
    live: Option<Box<Live<E>>>,
    /// How often a sound guest was replaced.
    recycled: u64,
    /// A file that a guest asked for and that the sandbox does not grant.
    denied: Option<String>,
}

impl<E: Entry> Guests<E> {
    /// Starts the first one.
    pub(crate) fn start(module: &FilterModule) -> Result<Self, LoadError> {
        let mut live = Live::start(module)?;
        let denied = live.guest.take_denied();
        Ok(Self { module: module.clone(), live: Some(Box::new(live)), recycled: 0, denied })
    }

    /// The guest for the next call: the last one, unless it failed or its time is up.
    pub(crate) fn take(&mut self) -> Result<Box<Live<E>>, FilterError> {
        let recycle = self.module.options().recycle;
        if self.live.as_ref().is_some_and(|live| live.guest.is_due(recycle)) {
            self.live = None;
            self.recycled += 1;
        }
        match self.live.take() {
            Some(live) => Ok(live),
            None => Live::start(&self.module).map(Box::new).map_err(not_started),
        }
    }

    /// Takes the guest back after its call. One that is not alive is dropped; and one that found no room, for which there will be
    /// one with more: then this says so, and the guest is to be asked again.
    pub(crate) fn give_back(&mut self, mut live: Box<Live<E>>, is_alive: bool) -> bool {
        live.guest.has_started();
        if let Some(denied) = live.guest.take_denied() {
            self.denied.get_or_insert(denied);
        }
        let missing = live.guest.missing();
        if let Some(missing) = missing {
            self.module.ready().make_room(missing);
        }
        self.live = (is_alive && missing.is_none()).then_some(live);
        missing.is_some()
    }

    /// Bytes of memory that the guest has taken so far; 0 after a call that ended it.
    pub(crate) fn memory_size(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.guest.memory_size())
    }

    /// How often a sound guest was replaced.
    pub(crate) fn recycled(&self) -> u64 {
        self.recycled
    }

    /// A file that a guest asked for and that the sandbox does not grant; told once.
    pub(crate) fn denied(&mut self) -> Option<String> {
        self.denied.take()
    }
}

/// What becomes of a record for which no guest starts.
fn not_started(error: LoadError) -> FilterError {
    let backtrace = Vec::new();
    match error {
        LoadError::StartDeadline { milliseconds, .. } => {
            FilterError::Deadline { milliseconds, first: true, backtrace }
        }
        error => FilterError::Trap { reason: error.to_string(), printed: None, backtrace },
    }
}
