//! Outputs: where records go.

use flb_plugin::{Output, Spec};

mod accessors;
mod cloudwatch_logs;
mod counter;
mod date;
mod dates;
mod es;
mod fates;
mod file;
mod forward;
mod http;
mod json;
mod loki;
mod null;
mod opentelemetry;
mod post;
mod prometheus_exporter;
mod s3;
#[cfg(test)]
mod scripted;
mod splunk;
mod stdout;
#[cfg(test)]
mod testing;

/// Every output, alphabetic.
pub static ALL: &[Spec<dyn Output>] = &[
    cloudwatch_logs::SPEC,
    counter::SPEC,
    es::SPEC,
    file::SPEC,
    forward::SPEC,
    http::SPEC,
    loki::SPEC,
    null::SPEC,
    es::OPENSEARCH,
    opentelemetry::SPEC,
    prometheus_exporter::SPEC,
    s3::SPEC,
    splunk::SPEC,
    stdout::SPEC,
];
