//! Outputs: where records go.

use flb_plugin::{Output, Spec};

mod accessors;
mod cloudwatch_logs;
mod counter;
mod date;
mod dates;
mod es;
mod exit;
mod families;
mod fates;
mod file;
mod flowcounter;
mod forward;
mod gelf;
mod gelf_message;
mod http;
mod json;
#[cfg(feature = "kafka")]
mod kafka;
mod layout;
mod loki;
mod messages;
mod null;
mod opentelemetry;
mod post;
mod prometheus_exporter;
mod prometheus_remote_write;
mod s3;
#[cfg(test)]
mod scripted;
mod splunk;
mod stdout;
mod syslog;
mod tcp;
#[cfg(test)]
mod testing;
mod udp;
mod upstream;

/// Every output, alphabetic.
pub static ALL: &[Spec<dyn Output>] = &[
    cloudwatch_logs::SPEC,
    counter::SPEC,
    es::SPEC,
    exit::SPEC,
    file::SPEC,
    flowcounter::SPEC,
    forward::SPEC,
    gelf::SPEC,
    http::SPEC,
    #[cfg(feature = "kafka")]
    kafka::SPEC,
    loki::SPEC,
    null::SPEC,
    es::OPENSEARCH,
    opentelemetry::SPEC,
    prometheus_exporter::SPEC,
    prometheus_remote_write::SPEC,
    s3::SPEC,
    splunk::SPEC,
    stdout::SPEC,
    syslog::SPEC,
    tcp::SPEC,
    udp::SPEC,
];
