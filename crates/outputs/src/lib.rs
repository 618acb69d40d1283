//! Outputs: where records go.

use flb_plugin::{Output, Spec};

mod counter;
mod date;
mod file;
mod forward;
mod http;
mod json;
mod null;
mod opentelemetry;
mod stdout;

/// Every output, alphabetic.
pub static ALL: &[Spec<dyn Output>] = &[
    counter::SPEC,
    file::SPEC,
    forward::SPEC,
    http::SPEC,
    null::SPEC,
    opentelemetry::SPEC,
    stdout::SPEC,
];
