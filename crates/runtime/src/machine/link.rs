//! Where functions that modules import are provided, for either engine alike.

use super::{Code, FuncType, Import, Module, interpreted};
use crate::LoadError;
use crate::fault::Fault;
use crate::machine::Call;
use crate::state::State;

/// What a module's imports are looked up in.
pub(crate) enum Linker {
    #[cfg(native)]
    Native(wasmtime::Linker<State>),
    Portable(wasmi::Linker<State>),
}

/// Provides a function of the host, by the module's and its own name: what it does with a [`Call`] and its arguments. It fails for
/// what is there already, which is then left as it is.
macro_rules! provide {
    ($linker:expr, $module:expr, $name:expr, $function:expr $(, $argument:ident: $ty:ty)* $(,)?) => {
        match $linker {
            #[cfg(native)]
            $crate::machine::Linker::Native(linker) => {
                type Caller<'c> = wasmtime::Caller<'c, $crate::state::State>;
                let _ = linker.func_wrap(
                    $module,
                    $name,
                    move |caller: Caller<'_> $(, $argument: $ty)*| {
                        let mut call = $crate::machine::Call::native(caller)?;
                        Ok::<_, wasmtime::Error>(($function)(&mut call $(, $argument)*)?)
                    },
                );
            }
            $crate::machine::Linker::Portable(linker) => {
                type Caller<'c> = wasmi::Caller<'c, $crate::state::State>;
                let _ = linker.func_wrap(
                    $module,
                    $name,
                    move |caller: Caller<'_> $(, $argument: $ty)*| {
                        let mut call =
                            $crate::machine::Call::portable(caller).map_err(wasmi::Error::host)?;
                        ($function)(&mut call $(, $argument)*).map_err(wasmi::Error::host)
                    },
                );
            }
        }
    };
}

pub(crate) use provide;

impl Linker {
    /// An empty one for this module.
    pub(crate) fn of(module: &Module) -> Self {
        match module {
            #[cfg(native)]
            Module::Native(module) => Self::Native(wasmtime::Linker::new(module.engine())),
            Module::Portable(module) => Self::Portable(wasmi::Linker::new(module.wasm.engine())),
        }
    }

    /// An empty one for no module, to see what there is.
    pub(crate) fn unused() -> Self {
        Self::Portable(wasmi::Linker::new(&wasmi::Engine::default()))
    }

    /// Provides a function that ends the guest, with a fault that is made of its arguments, where these are `i32`. Whether nothing
    /// was there before.
    pub(crate) fn refuse(
        &mut self,
        import: &Import,
        fault: impl Fn(Option<Call<'_>>, &[Option<i32>]) -> Fault + Send + Sync + 'static,
    ) -> bool {
        match (self, &import.ty) {
            #[cfg(native)]
            (Self::Native(linker), FuncType::Native(ty)) => linker
                .func_new(&import.module, &import.name, ty.clone(), move |caller, arguments, _| {
                    let arguments: Vec<_> = arguments.iter().map(wasmtime::Val::i32).collect();
                    Err(fault(Call::native(caller).ok(), &arguments).into())
                })
                .is_ok(),
            (Self::Portable(linker), FuncType::Portable(ty)) => linker
                .func_new(&import.module, &import.name, ty.clone(), move |caller, arguments, _| {
                    let arguments: Vec<_> = arguments.iter().map(wasmi::Val::i32).collect();
                    Err(wasmi::Error::host(fault(Call::portable(caller).ok(), &arguments)))
                })
                .is_ok(),
            #[cfg(native)]
            _ => false,
        }
    }

    /// The module with what is provided here.
    pub(crate) fn finish(self, module: &Module) -> Result<Code, LoadError> {
        match (self, module) {
            #[cfg(native)]
            (Self::Native(linker), Module::Native(module)) => {
                let pre = linker.instantiate_pre(module);
                pre.map(Code::Native).map_err(|error| refused(format!("{error:#}")))
            }
            (Self::Portable(linker), Module::Portable(module)) => {
                Ok(Code::Portable(interpreted::Code { module: module.clone(), linker }))
            }
            #[cfg(native)]
            _ => Err(refused("its imports are provided for another engine".to_owned())),
        }
    }
}

#[cfg(native)]
fn refused(reason: String) -> LoadError {
    LoadError::Instantiate { reason }
}
