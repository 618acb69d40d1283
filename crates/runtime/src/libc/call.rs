//! One call of the library: the guest's memory, what the host keeps for the guest, and what the call comes to.

use flb_artifact::contract::MEMORY;
use wasmtime::{AsContextMut, Caller, Extern, Memory, Trap};

use crate::state::State;

/// What most functions answer: an `i32`, or a trap.
pub(super) type Answer = wasmtime::Result<u32>;
/// What the others answer.
pub(super) type Done = wasmtime::Result<()>;

/// One call of the library.
pub(crate) struct Call<'a> {
    pub(super) caller: Caller<'a, State>,
    pub(super) memory: Memory,
}

impl<'a> Call<'a> {
    pub(crate) fn new(mut caller: Caller<'a, State>) -> wasmtime::Result<Self> {
        let known = caller.data().library.memory;
        let memory = known.or_else(|| caller.get_export(MEMORY).and_then(Extern::into_memory));
        let memory = memory.ok_or(Trap::MemoryOutOfBounds)?;
        caller.data_mut().library.memory = Some(memory);
        Ok(Self { caller, memory })
    }

    /// The guest's memory.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.caller)
    }

    /// The guest's memory, and what the host keeps for the guest.
    pub(crate) fn parts(&mut self) -> (&mut [u8], &mut State) {
        self.memory.data_and_store_mut(self.caller.as_context_mut())
    }

    pub(crate) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }
}
