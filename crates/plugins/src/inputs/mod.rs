//! Inputs: where records come from.

use flb_plugin::{Input, Spec};

mod clock;
mod cpu;
mod dummy;
mod exec;
#[cfg(feature = "wasi")]
mod exec_wasi;
mod forward;
mod http;
mod interval;
mod lines;
mod mem;
mod printed;
mod random;
mod records;
mod sampler;
mod served;
mod stdin;
mod tail;
mod tcp;
mod values;

/// Every input, alphabetic.
pub(crate) static ALL: &[Spec<dyn Input>] = &[
    cpu::SPEC,
    dummy::SPEC,
    exec::SPEC,
    #[cfg(feature = "wasi")]
    exec_wasi::SPEC,
    forward::SPEC,
    http::SPEC,
    mem::SPEC,
    random::SPEC,
    stdin::SPEC,
    tail::SPEC,
    tcp::SPEC,
];
