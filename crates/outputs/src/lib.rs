//! Outputs: where records go.

use flb_plugin::{Output, Spec};

mod counter;
mod date;
mod es;
mod file;
mod forward;
mod http;
mod json;
mod null;
mod opentelemetry;
mod prometheus_exporter;
#[cfg(test)]
mod scripted;
mod stdout;

/// Every output, alphabetic.
pub static ALL: &[Spec<dyn Output>] = &[
    counter::SPEC,
    es::SPEC,
    file::SPEC,
    forward::SPEC,
    http::SPEC,
    null::SPEC,
    es::OPENSEARCH,
    opentelemetry::SPEC,
    prometheus_exporter::SPEC,
    stdout::SPEC,
];
