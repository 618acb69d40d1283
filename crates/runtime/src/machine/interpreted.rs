//! Portable code in its interpreter, wasmi.
//!
//! A call is granted so many instructions, and when these are through the guest's own thread looks whether its deadline has
//! passed, and how far the guest has come. So nothing has to reach into it from outside.
//!
//! The interpreter takes memory for every page that there is, so nothing lies between a guest's own part and the host's pages but
//! some room to grow into. A guest that wants more than that is told that there is none, and whoever called it exchanges it for one
//! with more room, and asks again (`guests.rs`).

use std::sync::Arc;

use flb_artifact::ValueType;
use flb_artifact::contract::{DEPTH, FRAMES, MEMORY, NAMES, START};
use wasmi::{
    CompilationMode, Config, Engine, Instance, Store, TrapCode, TypedFunc, TypedResumableCall, Val,
    ValType, WasmParams, WasmResults,
};

use super::{FuncType, Import, Layout};
use crate::Signature;
use crate::backtrace::{Frame, shown};
use crate::fault::{DIVISION_BY_ZERO, Ended, Fault, STACK_OVERFLOW, Trap, UNREACHABLE};
use crate::interrupt::Leash;
use crate::space::PAGE;
use crate::state::State;

/// Instructions between two looks at the deadline: a fraction of a millisecond on any machine. Where the interpreter is built without tail
/// calls by mistake, no more of its own stack is in use than for so many.
const SLICE: u64 = 10_000;
/// Functions that may be nested; there is room for the notes of as many (`compiler/src/passes/frames.rs`).
const NESTED: usize = 10_000;
/// Bytes of values that functions may have in hand.
const STACK: usize = 1 << 20;
/// Most functions of a backtrace.
const SHOWN: usize = 32;

/// Portable code.
#[derive(Clone)]
pub(crate) struct Module {
    pub(super) wasm: wasmi::Module,
    /// Whether its calls can be ended.
    can_be_ended: bool,
    /// The functions' names, as the compiler writes them.
    names: Arc<[u8]>,
}

impl Module {
    /// Every module has an engine of its own, which goes with it.
    pub(super) fn new(wasm: &[u8], can_be_ended: bool) -> Result<Self, String> {
        let mut config = Config::default();
        config
            .consume_fuel(can_be_ended)
            .compilation_mode(CompilationMode::Eager)
            .set_max_recursion_depth(NESTED)
            .set_max_stack_height(STACK);
        let engine = Engine::new(&config);
        let wasm = wasmi::Module::new(&engine, wasm).map_err(|error| error.to_string())?;
        let names = wasm.custom_sections().find(|section| section.name() == NAMES);
        let names = names.map_or(&[][..], |section| section.data());
        Ok(Self { can_be_ended, names: names.into(), wasm })
    }

    pub(super) fn imports(&self) -> Vec<Import> {
        let functions = self.wasm.imports().filter_map(|import| {
            let ty = import.ty().func()?.clone();
            Some(Import {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
                signature: Signature {
                    params: ty.params().iter().map(value_type).collect(),
                    results: ty.results().iter().map(value_type).collect(),
                },
                ty: FuncType::Portable(ty),
            })
        });
        functions.collect()
    }

    /// The name of the function of this number.
    fn name(&self, function: u32) -> Option<String> {
        let name = self.names.split(|byte| *byte == 0).nth(function as usize)?;
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    }
}

fn value_type(ty: &ValType) -> ValueType {
    match ty {
        ValType::I32 => ValueType::I32,
        ValType::I64 => ValueType::I64,
        ValType::F32 => ValueType::F32,
        ValType::F64 => ValueType::F64,
        ValType::V128 => ValueType::V128,
        ValType::FuncRef | ValType::ExternRef => ValueType::Ref,
    }
}

/// Portable code whose imports are provided.
pub(crate) struct Code {
    pub(super) module: Module,
    pub(super) linker: wasmi::Linker<State>,
}

/// One guest's.
pub(crate) struct Machine {
    pub(super) store: Store<State>,
    leash: Arc<Leash>,
    module: Module,
    instance: Option<Instance>,
    pub(super) memory: Option<wasmi::Memory>,
    /// Where functions note their numbers, and how far these notes go.
    notes: Option<(wasmi::Memory, wasmi::Global)>,
}

impl Machine {
    pub(super) fn new(code: &Code, state: State) -> Self {
        let leash = Arc::clone(&state.leash);
        let module = code.module.clone();
        let mut store = Store::new(module.wasm.engine(), state);
        store.limiter(|state| &mut state.bounds);
        Self { store, leash, module, instance: None, memory: None, notes: None }
    }

    pub(super) fn instantiate(&mut self, code: &Code, layout: Layout) -> Result<(), Ended> {
        // Nothing of the guest's runs here.
        self.refuel(u64::MAX);
        let made = code.linker.instantiate_and_start(&mut self.store, &self.module.wasm);
        let instance = made.map_err(|error| self.ended(fault(&error)))?;
        self.instance = Some(instance);
        self.memory = instance.get_memory(&self.store, MEMORY);
        let notes = instance.get_memory(&self.store, FRAMES);
        self.notes = notes.zip(instance.get_global(&self.store, DEPTH));
        self.lay_out(layout)?;
        match self.function::<(), ()>(START) {
            Some(start) => self.call(&start, ()),
            None => Ok(()),
        }
    }

    /// Makes room for the guest to grow into, behind which the host's pages come.
    fn lay_out(&mut self, layout: Layout) -> Result<(), Ended> {
        let Some(space) = self.store.data().bounds.space() else { return Ok(()) };
        let memory = self.memory.ok_or_else(|| Ended::said("the module has not got a memory"))?;
        let initial = memory.data_size(&self.store) / PAGE;
        let most = space.end(layout.memory_limit, initial);
        let end = most.min(initial.saturating_add(layout.room));
        self.store.data_mut().bounds.begin_layout(initial, end, most);
        let grown = memory.grow(&mut self.store, (end - initial) as u64);
        self.store.data_mut().bounds.end_layout();
        grown.map(drop).map_err(|_| Ended::said("there is no memory for it"))
    }

    /// Makes the memory reach to this byte.
    pub(super) fn open(&mut self, end: usize) -> Result<(), String> {
        let Some(memory) = self.memory else { return Ok(()) };
        let missing = end.saturating_sub(memory.data_size(&self.store)).div_ceil(PAGE);
        self.store.data_mut().bounds.resume_layout();
        let grown = memory.grow(&mut self.store, missing as u64);
        self.store.data_mut().bounds.end_layout();
        grown.map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn function<P: WasmParams, R: WasmResults>(
        &self,
        name: &str,
    ) -> Option<TypedFunc<P, R>> {
        self.instance?.get_typed_func(&self.store, name).ok()
    }

    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Ended> {
        if let Some((_, depth)) = self.notes {
            // It is there, and of this type.
            let _ = depth.set(&mut self.store, Val::I32(0));
        }
        let leash = Arc::clone(&self.leash);
        let returned = leash.run_sliced(|| self.slices(function, parameters));
        returned.map_err(|fault| self.ended(fault))
    }

    /// Runs a function, slice by slice, until it returns or its deadline has passed.
    fn slices<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Fault> {
        if !self.module.can_be_ended {
            return function.call(&mut self.store, parameters).map_err(|error| fault(&error));
        }
        self.refuel(SLICE);
        let mut call = function.call_resumable(&mut self.store, parameters);
        loop {
            call = match call.map_err(|error| fault(&error))? {
                TypedResumableCall::Finished(results) => return Ok(results),
                TypedResumableCall::HostTrap(trap) => return Err(fault(trap.host_error())),
                TypedResumableCall::OutOfFuel(rest) => {
                    if let Some(memory) = self.memory {
                        self.leash.report(memory.data(&self.store));
                    }
                    self.leash.look()?;
                    self.refuel(SLICE.max(rest.required_fuel()));
                    rest.resume(&mut self.store)
                }
            }
        }
    }

    fn refuel(&mut self, fuel: u64) {
        if self.module.can_be_ended {
            // Its engine counts.
            let _ = self.store.set_fuel(fuel);
        }
    }

    #[cold]
    fn ended(&self, fault: Fault) -> Ended {
        let frames = self.functions().into_iter().map(|index| Frame {
            name: self.module.name(index),
            index,
            line: None,
        });
        Ended { fault, backtrace: shown(frames, &self.store.data().sources) }
    }

    /// The numbers of the functions that were running, innermost first.
    fn functions(&self) -> Vec<u32> {
        let Some((notes, depth)) = self.notes else { return Vec::new() };
        let depth = depth.get(&self.store).i32().and_then(|depth| usize::try_from(depth).ok());
        let end = depth.map_or(0, |depth| depth.saturating_add(4));
        let notes = notes.data(&self.store).get(4..end).unwrap_or_default();
        let (notes, _) = notes.as_chunks();
        notes.iter().rev().take(SHOWN).map(|note| u32::from_le_bytes(*note)).collect()
    }
}

/// What the interpreter's error was.
fn fault(error: &wasmi::Error) -> Fault {
    match (error.downcast_ref::<Fault>(), error.as_trap_code()) {
        (Some(fault), _) => fault.clone(),
        (None, Some(TrapCode::UnreachableCodeReached)) => Fault::said(UNREACHABLE),
        (None, Some(TrapCode::MemoryOutOfBounds)) => Trap::MemoryOutOfBounds.into(),
        (None, Some(TrapCode::IntegerDivisionByZero)) => Fault::said(DIVISION_BY_ZERO),
        (None, Some(TrapCode::StackOverflow)) => Fault::said(STACK_OVERFLOW),
        (None, Some(TrapCode::IndirectCallToNull)) => Fault::said("uninitialized element"),
        (None, Some(TrapCode::OutOfFuel)) => Trap::Interrupt.into(),
        (None, _) => Fault::said(error.to_string()),
    }
}
