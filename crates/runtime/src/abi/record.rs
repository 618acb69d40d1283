//! One call a record: tag, time and record go in as six numbers, and what comes out says where the answer is.

use wasmtime::{AsContextMut, Instance, Store, TypedFunc};

use crate::state::State;

/// Tag's address and length, seconds, nanoseconds, record's address and length.
pub(crate) type Arguments = (u32, u32, u32, u32, u32, u32);

/// The filter's function in an instance.
pub(crate) enum Function {
    One(TypedFunc<Arguments, u32>),
    Two(TypedFunc<Arguments, u64>),
}

/// What the function returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Returned {
    /// Where the answer is; 0 for none.
    pub(crate) address: u32,
    /// How long it is, where the function says so.
    pub(crate) length: Option<u32>,
}

impl Function {
    /// The function of this name. Its type was checked when the module was loaded.
    pub(crate) fn find(
        store: &mut Store<State>,
        instance: &Instance,
        name: &str,
    ) -> wasmtime::Result<Self> {
        match instance.get_typed_func(&mut *store, name) {
            Ok(function) => Ok(Self::One(function)),
            Err(_) => instance.get_typed_func(store, name).map(Self::Two),
        }
    }

    #[inline]
    pub(crate) fn call(
        &self,
        store: impl AsContextMut,
        arguments: Arguments,
    ) -> wasmtime::Result<Returned> {
        match self {
            Self::One(function) => {
                function.call(store, arguments).map(|address| Returned { address, length: None })
            }
            Self::Two(function) => function.call(store, arguments).map(|both| Returned {
                // The lower half of it.
                address: both as u32,
                length: Some((both >> 32) as u32),
            }),
        }
    }
}
