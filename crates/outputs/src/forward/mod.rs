//! `forward`: records to other agents, by the Forward protocol.
//!
//! A chunk goes to one receiver: the next in turn, or if that fails the one after it. A chunk that nobody took is retried.

mod encode;
mod node;
#[cfg(test)]
mod tests;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flb_event::{Chunk, Template};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Kind, OptionSpec, Options, Output, OutputError, Secrecy,
    Spec, is_exhausted,
};

use encode::Encoding;
use flb_net::dial;
use flb_net::options::{joined, multiple};
use flb_net::tls;
use flb_plugin::log::{Label, Mishaps};
use node::{Keepalive, Node};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "forward",
    about: "Send records to other agents by the Forward protocol",
    options: &OPTIONS,
    build,
};

const OWN: [OptionSpec; 12] = [
    OptionSpec::new("upstream", Kind::Text, None, "File with several receivers"),
    OptionSpec::new("tag", Kind::Text, None, "Tag to send instead; $TAG is the record's own"),
    OptionSpec::new("time_as_integer", Kind::Bool, Some("off"), "Whole seconds, for old Fluentd"),
    OptionSpec::new(
        "retain_metadata_in_forward_mode",
        Kind::Bool,
        Some("on"),
        "Send metadata with records that have some",
    ),
    OptionSpec::new("send_options", Kind::Bool, Some("off"), "Always send the message's options"),
    multiple("add_option", Kind::Text, "Key and value of an option to send").with(Secrecy::Named),
    OptionSpec::new(
        "require_ack_response",
        Kind::Bool,
        Some("off"),
        "Wait until the receiver says that it has a chunk",
    ),
    OptionSpec::new("compress", Kind::Choice(&["gzip", "none"]), Some("none"), "Compression"),
    OptionSpec::new("fluentd_compat", Kind::Bool, Some("off"), "Without effect: for metrics"),
    OptionSpec::new("net.keepalive", Kind::Bool, Some("on"), "Keep connections for the next chunk"),
    OptionSpec::new(
        "net.keepalive_idle_timeout",
        Kind::Time,
        Some("30"),
        "How long an unused connection is kept",
    ),
    OptionSpec::new(
        "net.keepalive_max_recycle",
        Kind::Int,
        Some("2000"),
        "How often a connection is used",
    ),
];
const OPTIONS: [OptionSpec; 34] = joined(&[&node::OPTIONS, &OWN, &dial::OPTIONS, &tls::CLIENT]);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(forward(options, build)?))
}

fn forward(options: &Options, build: &Build<'_>) -> Result<Forward, BuildError> {
    let nodes = match (options.text("upstream"), options.has("unix_path")) {
        (Some(path), false) => upstream::nodes(path, options, build)?,
        _ => vec![Node::new(options, None, build)?],
    };
    Ok(Forward {
        label: Label::output("forward", build),
        encoding: Arc::new(encoding(options)?),
        nodes,
        next: AtomicUsize::new(0),
        keepalive: Keepalive::new(options),
        failed: Mishaps::default(),
    })
}

fn encoding(options: &Options) -> Result<Encoding, BuildError> {
    let gzip = options.text("compress") == Some("gzip");
    let time_as_integer = options.bool("time_as_integer");
    if gzip && time_as_integer {
        return Err(BuildError::new("compress gzip does not go with time_as_integer")
            .help("receivers that want whole seconds know no compression; leave out one of them"));
    }
    let extra =
        options.texts("add_option").map(|text| match text.split_once(char::is_whitespace) {
            Some((key, value)) => Ok((key.to_owned(), value.trim().to_owned())),
            None => {
                Err(BuildError::new("an add_option has no value")
                    .help("write: add_option key value"))
            }
        });
    let tag = options.text("tag").map(Template::parse).transpose();
    let tag = tag.map_err(|error| BuildError::new(format!("tag: {error}")).help(error.hint()))?;
    if tag.as_ref().is_some_and(|tag| tag.fields().next().is_some()) {
        return Err(BuildError::new("tag: a chunk has many records, and one tag")
            .help("use $TAG and $TAG[n]; rewrite_tag makes tags of what is in records"));
    }
    Ok(Encoding {
        tag,
        time_as_integer,
        metadata: options.bool("retain_metadata_in_forward_mode"),
        gzip,
        acknowledge: options.bool("require_ack_response"),
        options: options.bool("send_options"),
        extra: extra.collect::<Result<_, _>>()?,
    })
}

struct Forward {
    label: Label,
    encoding: Arc<Encoding>,
    nodes: Vec<Node>,
    /// The node that gets the next chunk.
    next: AtomicUsize,
    keepalive: Keepalive,
    failed: Mishaps,
}

impl Output for Forward {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(self.deliver(chunk))
    }
}

impl Forward {
    async fn deliver(&self, chunk: &Chunk) -> Flush {
        let (encoding, chunk) = (Arc::clone(&self.encoding), chunk.clone());
        // Compression takes its time, and the other ends of the pipeline share this thread.
        let encoded = tokio::task::spawn_blocking(move || encoding.encode(&chunk)).await;
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return Flush::Fail(OutputError(error.to_string())),
        };
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let (mut reason, mut has_room) = (String::new(), true);
        for turn in 0..self.nodes.len() {
            let node = &self.nodes[first.wrapping_add(turn) % self.nodes.len()];
            match node.send(&encoded, &self.keepalive).await {
                Ok(()) => return Flush::Done,
                Err(error) => {
                    let failure = format!("{} {node}: {error}", self.label);
                    if turn + 1 < self.nodes.len()
                        && let Some(total) = self.failed.another()
                    {
                        tracing::warn!("{failure}; the next receiver is tried ({total} so far)");
                    }
                    reason = failure;
                    has_room &= !is_exhausted(&error);
                }
            }
        }
        match has_room {
            true => Flush::Retry { reason, after: None },
            false => Flush::NoRoom { reason },
        }
    }
}
