//! Native code in its engine, Wasmtime.

use std::sync::Arc;

use flb_artifact::ValueType;
use flb_artifact::contract::{MEMORY, START};
use wasmtime::{Instance, InstancePre, Store, TypedFunc, ValType, WasmParams, WasmResults};

use super::{FuncType, Import, Layout};
use crate::Signature;
use crate::backtrace::backtrace;
use crate::fault::{DIVISION_BY_ZERO, Ended, Fault, STACK_OVERFLOW, Trap, UNREACHABLE};
use crate::interrupt::{self, Leash};
use crate::space::{HOST_PAGES, PAGE};
use crate::state::State;

/// The functions that a module imports, in its order.
pub(super) fn imports(module: &wasmtime::Module) -> Vec<Import> {
    let functions = module.imports().filter_map(|import| {
        let ty = import.ty().func()?.clone();
        Some(Import {
            module: import.module().to_owned(),
            name: import.name().to_owned(),
            signature: Signature {
                params: ty.params().map(|ty| value_type(&ty)).collect(),
                results: ty.results().map(|ty| value_type(&ty)).collect(),
            },
            ty: FuncType::Native(ty),
        })
    });
    functions.collect()
}

fn value_type(ty: &ValType) -> ValueType {
    match ty {
        ValType::I32 => ValueType::I32,
        ValType::I64 => ValueType::I64,
        ValType::F32 => ValueType::F32,
        ValType::F64 => ValueType::F64,
        ValType::V128 => ValueType::V128,
        ValType::Ref(_) => ValueType::Ref,
    }
}

/// One guest's.
pub(crate) struct Machine {
    pub(super) store: Store<State>,
    pub(super) leash: Arc<Leash>,
    instance: Option<Instance>,
    pub(super) memory: Option<wasmtime::Memory>,
}

impl Machine {
    pub(super) fn new(pre: &InstancePre<State>, state: State) -> Self {
        let leash = Arc::clone(&state.leash);
        let mut store = Store::new(pre.module().engine(), state);
        store.limiter(|state| &mut state.bounds);
        interrupt::set_up(&mut store);
        Self { store, leash, instance: None, memory: None }
    }

    pub(super) fn instantiate(
        &mut self,
        pre: &InstancePre<State>,
        layout: Layout,
    ) -> Result<(), Ended> {
        let instance = self.leash.run(&mut self.store, |store| pre.instantiate(store));
        let instance = instance.map_err(|error| self.ended(&error))?;
        interrupt::find_flag(&mut self.store, &instance);
        self.instance = Some(instance);
        self.memory = instance.get_memory(&mut self.store, MEMORY);
        self.lay_out(layout).map_err(|error| self.ended(&error))?;
        match self.function::<(), ()>(START) {
            Some(start) => self.call(&start, ()),
            None => Ok(()),
        }
    }

    /// Gives the memory its end, and keeps the guest to its own part of it, which takes signals.
    fn lay_out(&mut self, layout: Layout) -> wasmtime::Result<()> {
        let store = &mut self.store;
        let Some(space) = store.data().bounds.space() else { return Ok(()) };
        let memory =
            self.memory.ok_or_else(|| wasmtime::Error::msg("the module has not got a memory"))?;
        let initial = memory.data_size(&*store) / PAGE;
        let end = space.end(layout.memory_limit, initial);
        store.data_mut().bounds.begin_layout(initial, end, end);
        let grown = memory.grow(&mut *store, (end + HOST_PAGES - initial) as u64);
        store.data_mut().bounds.end_layout();
        grown.map_err(|error| error.context("there is no address space for its memory"))?;
        let (base, length) = (memory.data_ptr(&*store), memory.data_size(&*store));
        let fence = &store.data().leash.fence;
        fence.put(base, length, layout.may_handle_signals);
        fence.close(initial * PAGE..length)?;
        Ok(())
    }

    pub(super) fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Option<TypedFunc<P, R>> {
        self.instance?.get_typed_func(&mut self.store, name).ok()
    }

    #[inline]
    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Ended> {
        let returned = self.leash.run(&mut self.store, |store| function.call(store, parameters));
        returned.map_err(|error| self.ended(&error))
    }

    #[cold]
    fn ended(&self, error: &wasmtime::Error) -> Ended {
        let backtrace = backtrace(error, &self.store.data().sources);
        Ended { fault: fault(error), backtrace }
    }
}

/// What the engine's error was. What `Leash::run` says of a call comes before how the guest itself ended it.
fn fault(error: &wasmtime::Error) -> Fault {
    use wasmtime::Trap as Engines;
    match (error.downcast_ref::<Engines>(), error.downcast_ref::<Fault>()) {
        (Some(Engines::Interrupt), _) => Trap::Interrupt.into(),
        (Some(Engines::UnreachableCodeReached), _) => Fault::said(UNREACHABLE),
        (Some(Engines::MemoryOutOfBounds), _) => Trap::MemoryOutOfBounds.into(),
        (Some(Engines::IntegerDivisionByZero), _) => Fault::said(DIVISION_BY_ZERO),
        (Some(Engines::StackOverflow), _) => Fault::said(STACK_OVERFLOW),
        (Some(other), _) => Fault::said(other.to_string()),
        (None, Some(fault)) => fault.clone(),
        (None, None) => Fault::said(error.root_cause().to_string()),
    }
}
