//! What runs a guest's code: the engine for native code, or the interpreter for portable code. Nothing above this room knows
//! which of them it is.
//!
//! A [`Module`] is code in its engine; with its imports provided it is [`Code`]; a [`Machine`] is one guest's: its store, its
//! instance and its memory.

mod call;
#[cfg(native)]
mod compiled;
mod interpreted;
mod link;
mod memory;

use std::ops::Range;

use flb_artifact::contract::{FLAG, FRAMES, PAGES};
use flb_artifact::{Arguments, Interruption};

use crate::Signature;
use crate::fault::Ended;
use crate::interrupt::Way;
use crate::space::{Memories, Space};
use crate::state::State;

pub(crate) use call::Call;
pub(crate) use link::{Linker, provide};
pub(crate) use memory::Memory;

/// Code in its engine.
#[derive(Clone)]
pub(crate) enum Module {
    /// For this CPU.
    #[cfg(native)]
    Native(wasmtime::Module),
    /// For the interpreter.
    Portable(interpreted::Module),
}

/// A function that a module imports.
pub(crate) struct Import {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) signature: Signature,
    /// The same as its engine has it.
    ty: FuncType,
}

/// A function's type, as an engine has it.
enum FuncType {
    #[cfg(native)]
    Native(wasmtime::FuncType),
    Portable(wasmi::FuncType),
}

impl Module {
    /// Portable code, whose calls can be ended or not.
    pub(crate) fn portable(wasm: &[u8], can_be_ended: bool) -> Result<Self, String> {
        interpreted::Module::new(wasm, can_be_ended).map(Self::Portable)
    }

    /// Whether it exports anything of this name.
    fn has_export(&self, name: &str) -> bool {
        match self {
            #[cfg(native)]
            Self::Native(module) => module.get_export(name).is_some(),
            Self::Portable(module) => module.wasm.get_export(name).is_some(),
        }
    }

    /// What of its memories is not the guest's.
    pub(crate) fn memories(&self, arguments: Arguments) -> Memories {
        let has_own = self.has_export(FLAG) || self.has_export(FRAMES);
        Memories { space: Space::new(self.pages_maximum(), arguments), has_own }
    }

    /// The maximum of the table that stands for its memory's size, if it has one.
    fn pages_maximum(&self) -> Option<u64> {
        match self {
            #[cfg(native)]
            Self::Native(module) => module.get_export(PAGES)?.table()?.maximum(),
            Self::Portable(module) => module.wasm.get_export(PAGES)?.table()?.maximum(),
        }
    }

    /// How its calls are ended, as it was compiled for; or why that cannot be here.
    pub(crate) fn way(&self, interruption: Interruption) -> Result<Way, String> {
        match (self, interruption) {
            #[cfg(native)]
            (Self::Native(module), _) => Way::of(interruption, module),
            (Self::Portable(_), Interruption::None) => Ok(Way::None),
            (Self::Portable(_), _) => Ok(Way::Sliced),
        }
    }

    /// The functions that it imports, in its order.
    pub(crate) fn imports(&self) -> Vec<Import> {
        match self {
            #[cfg(native)]
            Self::Native(module) => compiled::imports(module),
            Self::Portable(module) => module.imports(),
        }
    }
}

/// Code whose imports are provided.
pub(crate) enum Code {
    #[cfg(native)]
    Native(wasmtime::InstancePre<State>),
    Portable(interpreted::Code),
}

/// Where a guest's memory gets its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Most bytes that it may have by the operator's word.
    pub(crate) memory_limit: u64,
    /// Whether faults of the CPU may be handled.
    #[cfg_attr(not(native), expect(dead_code, reason = "only native code has any"))]
    pub(crate) may_handle_signals: bool,
    /// Pages that it may grow by before the machine is exchanged for a larger one, where it takes memory for all of them.
    pub(crate) room: usize,
}

/// One guest's.
pub(crate) enum Machine {
    #[cfg(native)]
    Native(compiled::Machine),
    Portable(Box<interpreted::Machine>),
}

/// A function of a guest with these parameters and results.
pub(crate) enum Function<P, R> {
    #[cfg(native)]
    Native(wasmtime::TypedFunc<P, R>),
    Portable(wasmi::TypedFunc<P, R>),
}

/// What functions take.
#[cfg(native)]
pub(crate) trait Parameters: wasmtime::WasmParams + wasmi::WasmParams {}
#[cfg(native)]
impl<T: wasmtime::WasmParams + wasmi::WasmParams> Parameters for T {}
/// What functions give.
#[cfg(native)]
pub(crate) trait Results: wasmtime::WasmResults + wasmi::WasmResults {}
#[cfg(native)]
impl<T: wasmtime::WasmResults + wasmi::WasmResults> Results for T {}
#[cfg(not(native))]
pub(crate) use wasmi::{WasmParams as Parameters, WasmResults as Results};

impl Machine {
    /// A machine for a guest with this state, which is still to be instantiated.
    pub(crate) fn new(code: &Code, state: State) -> Self {
        match code {
            #[cfg(native)]
            Code::Native(pre) => Self::Native(compiled::Machine::new(pre, state)),
            Code::Portable(code) => {
                Self::Portable(Box::new(interpreted::Machine::new(code, state)))
            }
        }
    }

    /// Makes the instance, lays its memory out, and runs its start function.
    pub(crate) fn instantiate(&mut self, code: &Code, layout: Layout) -> Result<(), Ended> {
        let made = match (&mut *self, code) {
            #[cfg(native)]
            (Self::Native(machine), Code::Native(pre)) => machine.instantiate(pre, layout),
            (Self::Portable(machine), Code::Portable(code)) => machine.instantiate(code, layout),
            #[cfg(native)]
            _ => Err(Ended::said("its code is another engine's")),
        };
        let bounds = &mut self.state_mut().bounds;
        match (made, bounds.too_large()) {
            (Err(_), Some(too_large)) => {
                // That is all there is to say.
                bounds.begin();
                Err(Ended::said(too_large))
            }
            (made, _) => made,
        }
    }

    pub(crate) fn state(&self) -> &State {
        match self {
            #[cfg(native)]
            Self::Native(machine) => machine.store.data(),
            Self::Portable(machine) => machine.store.data(),
        }
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        match self {
            #[cfg(native)]
            Self::Native(machine) => machine.store.data_mut(),
            Self::Portable(machine) => machine.store.data_mut(),
        }
    }

    /// The exported function of this name and type.
    pub(crate) fn function<P: Parameters, R: Results>(
        &mut self,
        name: &str,
    ) -> Option<Function<P, R>> {
        match self {
            #[cfg(native)]
            Self::Native(machine) => machine.function(name).map(Function::Native),
            Self::Portable(machine) => machine.function(name).map(Function::Portable),
        }
    }

    /// Calls a function of this very guest.
    #[inline]
    pub(crate) fn call<P: Parameters, R: Results>(
        &mut self,
        function: &Function<P, R>,
        parameters: P,
    ) -> Result<R, Ended> {
        match (self, function) {
            #[cfg(native)]
            (Self::Native(machine), Function::Native(function)) => {
                machine.call(function, parameters)
            }
            (Self::Portable(machine), Function::Portable(function)) => {
                machine.call(function, parameters)
            }
            #[cfg(native)]
            _ => Err(Ended::said("the function is another guest's")),
        }
    }

    /// Whether there is a memory.
    pub(crate) fn has_memory(&self) -> bool {
        match self {
            #[cfg(native)]
            Self::Native(machine) => machine.memory.is_some(),
            Self::Portable(machine) => machine.memory.is_some(),
        }
    }

    /// The guest's whole memory, and the host's part of it.
    #[inline]
    pub(crate) fn memory(&self) -> &[u8] {
        match self {
            #[cfg(native)]
            Self::Native(machine) => {
                machine.memory.map_or(&[][..], |memory| memory.data(&machine.store))
            }
            Self::Portable(machine) => {
                machine.memory.map_or(&[][..], |memory| memory.data(&machine.store))
            }
        }
    }

    /// The same, to be written to.
    #[inline]
    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        match self {
            #[cfg(native)]
            Self::Native(machine) => match machine.memory {
                Some(memory) => memory.data_mut(&mut machine.store),
                None => &mut [],
            },
            Self::Portable(machine) => match machine.memory {
                Some(memory) => memory.data_mut(&mut machine.store),
                None => &mut [],
            },
        }
    }

    /// Makes these bytes of the host's part accessible; or says why not.
    pub(crate) fn open(&mut self, bytes: Range<usize>) -> Result<(), String> {
        match self {
            #[cfg(native)]
            Self::Native(machine) => {
                machine.leash.fence.open(bytes).map_err(|error| error.to_string())
            }
            Self::Portable(machine) => machine.open(bytes.end),
        }
    }

    /// Gives back what these bytes of the host's part take; says whether they are no longer accessible.
    pub(crate) fn empty(&mut self, bytes: Range<usize>) -> bool {
        match self {
            #[cfg(native)]
            Self::Native(machine) => machine.leash.fence.empty(bytes).is_ok(),
            // It has no less memory once it has more.
            Self::Portable(_) => bytes.is_empty(),
        }
    }
}
