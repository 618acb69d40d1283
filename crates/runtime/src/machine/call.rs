//! One call of a function of the host's: the guest's memory, what the host keeps for the guest, and what grows the one.

use flb_artifact::contract::{MEMORY, PAGES};
#[cfg(native)]
use wasmtime::AsContextMut as _;

use super::Memory;
use crate::fault::{Fault, Trap};
use crate::state::State;

/// One call of a function of the host's.
pub(crate) struct Call<'a>(Caller<'a>);

enum Caller<'a> {
    #[cfg(native)]
    Native(wasmtime::Caller<'a, State>, wasmtime::Memory),
    Portable(wasmi::Caller<'a, State>, wasmi::Memory),
}

impl<'a> Call<'a> {
    /// A call from native code. A guest without a memory has nothing that it could speak of.
    #[cfg(native)]
    pub(crate) fn native(mut caller: wasmtime::Caller<'a, State>) -> Result<Self, Fault> {
        let memory = match caller.data().memory {
            Some(Memory::Native(memory)) => Some(memory),
            _ => caller.get_export(MEMORY).and_then(wasmtime::Extern::into_memory),
        };
        let memory = memory.ok_or(Trap::MemoryOutOfBounds)?;
        caller.data_mut().memory = Some(Memory::Native(memory));
        Ok(Self(Caller::Native(caller, memory)))
    }

    /// The same from portable code.
    pub(crate) fn portable(mut caller: wasmi::Caller<'a, State>) -> Result<Self, Fault> {
        let memory = match caller.data().memory {
            Some(Memory::Portable(memory)) => Some(memory),
            _ => caller.get_export(MEMORY).and_then(wasmi::Extern::into_memory),
        };
        let memory = memory.ok_or(Trap::MemoryOutOfBounds)?;
        caller.data_mut().memory = Some(Memory::Portable(memory));
        // What it waits for here may take as long as it has for a record.
        caller.data().leash.report(memory.data(&caller));
        Ok(Self(Caller::Portable(caller, memory)))
    }

    /// The guest's memory.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        match &mut self.0 {
            #[cfg(native)]
            Caller::Native(caller, memory) => memory.data_mut(caller),
            Caller::Portable(caller, memory) => memory.data_mut(caller),
        }
    }

    /// The guest's memory, and what the host keeps for the guest.
    pub(crate) fn parts(&mut self) -> (&mut [u8], &mut State) {
        match &mut self.0 {
            #[cfg(native)]
            Caller::Native(caller, memory) => memory.data_and_store_mut(caller.as_context_mut()),
            Caller::Portable(caller, memory) => memory.data_and_store_mut(caller),
        }
    }

    /// What the host keeps for the guest.
    pub(crate) fn state(&mut self) -> &mut State {
        match &mut self.0 {
            #[cfg(native)]
            Caller::Native(caller, _) => caller.data_mut(),
            Caller::Portable(caller, _) => caller.data_mut(),
        }
    }

    /// Takes pages in the guest's name, as its own `memory.grow` would: the size in pages before, or `None` where the guest would
    /// get -1. They are contiguous with what there was only if the guest has not grown in between.
    pub(crate) fn grow(&mut self, pages: u32) -> Option<u32> {
        let before = match &mut self.0 {
            #[cfg(native)]
            Caller::Native(caller, memory) => match caller.get_export(PAGES) {
                Some(wasmtime::Extern::Table(table)) => {
                    let none = wasmtime::Ref::Func(None);
                    table.grow(caller.as_context_mut(), pages.into(), none).ok()?
                }
                _ => memory.grow(caller.as_context_mut(), pages.into()).ok()?,
            },
            Caller::Portable(caller, memory) => match caller.get_export(PAGES) {
                Some(wasmi::Extern::Table(table)) => {
                    let none = wasmi::Ref::Func(wasmi::Nullable::Null);
                    table.grow(caller, pages.into(), none).ok()?
                }
                _ => memory.grow(caller, pages.into()).ok()?,
            },
        };
        u32::try_from(before).ok()
    }

    /// An exported global that is an `i32`.
    pub(crate) fn global(&mut self, name: &str) -> Option<u32> {
        let value = match &mut self.0 {
            #[cfg(native)]
            Caller::Native(caller, _) => {
                let global = caller.get_export(name).and_then(wasmtime::Extern::into_global)?;
                global.get(caller).i32()?
            }
            Caller::Portable(caller, _) => {
                let global = caller.get_export(name).and_then(wasmi::Extern::into_global)?;
                global.get(caller).i32()?
            }
        };
        Some(value.cast_unsigned())
    }
}
