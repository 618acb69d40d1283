//! Inputs: where records come from.

use flb_plugin::{Input, Spec};

mod cpu;
mod dummy;
mod exec;
#[cfg(feature = "wasi")]
mod exec_wasi;
mod fluentbit_metrics;
mod forward;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod mem;
mod opentelemetry;
mod random;
mod shared;
mod stdin;
mod syslog;
mod systemd;
mod tail;
mod tcp;
mod udp;
mod unix_socket;

/// Every input, alphabetic.
pub static ALL: &[Spec<dyn Input>] = &[
    cpu::SPEC,
    dummy::SPEC,
    exec::SPEC,
    #[cfg(feature = "wasi")]
    exec_wasi::SPEC,
    fluentbit_metrics::SPEC,
    forward::SPEC,
    http::SPEC,
    #[cfg(feature = "kafka")]
    kafka::SPEC,
    mem::SPEC,
    opentelemetry::SPEC,
    random::SPEC,
    stdin::SPEC,
    syslog::SPEC,
    systemd::SPEC,
    tail::SPEC,
    tcp::SPEC,
    udp::SPEC,
    unix_socket::SPEC,
];
