//! Inputs: where records come from.

use flb_plugin::{Input, Spec};

mod clock;
mod dummy;
#[cfg(feature = "wasi")]
mod exec_wasi;
mod lines;
mod records;
mod stdin;
mod tail;
mod values;

/// Every input, alphabetic.
pub(crate) static ALL: &[Spec<dyn Input>] = &[
    dummy::SPEC,
    #[cfg(feature = "wasi")]
    exec_wasi::SPEC,
    stdin::SPEC,
    tail::SPEC,
];
