//! `forward`: records to other agents, by the Forward protocol.
//!
//! A chunk goes to one receiver: the next in turn, or if that fails the one after it. A chunk that nobody took is retried.

mod encode;
mod node;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flb_event::{Chunk, Template};
use flb_plugin::keys::{Bool, Choice, Key, Many, Text, Word};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Secrecy, Spec, Table,
    is_exhausted, keys,
};

use super::upstream;
use encode::Encoding;
use flb_net::tls;
use flb_net::{connections, dial};
use flb_plugin::log::{Label, Mishaps};
use node::Node;

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "forward",
    about: "Send records to other agents by the Forward protocol",
    options: OPTIONS,
    build,
};

keys! {
    const OWN;
    UPSTREAM: Option<Text> = Key::new("upstream", "File with several receivers");
    TAG: Option<Text> = Key::new("tag", "Tag to send instead; $TAG is the record's own");
    TIME_AS_INTEGER: Bool =
        Key::new("time_as_integer", "Whole seconds, for old Fluentd").default("off");
    RETAIN_METADATA_IN_FORWARD_MODE: Bool = Key::new(
        "retain_metadata_in_forward_mode",
        "Send metadata with records that have some",
    )
    .default("on");
    SEND_OPTIONS: Bool =
        Key::new("send_options", "Always send the message's options").default("off");
    ADD_OPTION: Many<Text> = Key::new("add_option", "Key and value of an option to send")
        .repeated()
        .hiding(Secrecy::Named);
    REQUIRE_ACK_RESPONSE: Bool = Key::new(
        "require_ack_response",
        "Wait until the receiver says that it has a chunk",
    )
    .default("off");
    COMPRESS: Choice<Compression> = Key::new("compress", "Compression").default("none");
    FLUENTD_COMPAT: Option<Bool> = Key::new("fluentd_compat", "").idle("it is for metrics");
}

const OPTIONS: Table =
    Table(&[node::KEYS, connections::KEYS, OWN, dial::KEYS, tls::KEYS, tls::CLIENT]);

/// What a node of an upstream file may say.
const NODE: Table = Table(&[upstream::KEYS, node::KEYS, tls::KEYS, tls::CLIENT]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Nothing,
}

impl Word for Compression {
    const ALL: &'static [(&'static str, Self)] = &[("gzip", Self::Gzip), ("none", Self::Nothing)];
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(forward(options, build)?))
}

fn forward(options: &Options, build: &Build<'_>) -> Result<Forward, BuildError> {
    let nodes = match (options.get(UPSTREAM), options.get(node::UNIX_PATH)) {
        (Some(path), None) => upstream::nodes("forward", path, NODE, build)?
            .iter()
            .map(|node| Node::new(options, Some(node), build))
            .collect::<Result<_, _>>()?,
        _ => vec![Node::new(options, None, build)?],
    };
    Ok(Forward {
        label: Label::output("forward", build),
        encoding: Arc::new(encoding(options)?),
        nodes,
        next: AtomicUsize::new(0),
        failed: Mishaps::default(),
    })
}

fn encoding(options: &Options) -> Result<Encoding, BuildError> {
    let gzip = options.get(COMPRESS) == Compression::Gzip;
    let time_as_integer = options.get(TIME_AS_INTEGER);
    if gzip && time_as_integer {
        return Err(BuildError::new("compress gzip does not go with time_as_integer")
            .help("receivers that want whole seconds know no compression; leave out one of them"));
    }
    let extra =
        options.get(ADD_OPTION).into_iter().map(|text| {
            match text.split_once(char::is_whitespace) {
                Some((key, value)) => Ok((key.to_owned(), value.trim().to_owned())),
                None => Err(BuildError::new("an add_option has no value")
                    .help("write: add_option key value")),
            }
        });
    let tag = options.get(TAG).map(Template::parse).transpose();
    let tag = tag.map_err(|error| BuildError::new(format!("tag: {error}")).help(error.hint()))?;
    if tag.as_ref().is_some_and(|tag| tag.fields().next().is_some()) {
        return Err(BuildError::new("tag: a chunk has many records, and one tag")
            .help("use $TAG and $TAG[n]; rewrite_tag makes tags of what is in records"));
    }
    Ok(Encoding {
        tag,
        time_as_integer,
        metadata: options.get(RETAIN_METADATA_IN_FORWARD_MODE),
        gzip,
        acknowledge: options.get(REQUIRE_ACK_RESPONSE),
        options: options.get(SEND_OPTIONS),
        extra: extra.collect::<Result<_, _>>()?,
    })
}

struct Forward {
    label: Label,
    encoding: Arc<Encoding>,
    nodes: Vec<Node>,
    /// The node that gets the next chunk.
    next: AtomicUsize,
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
            match node.send(&encoded).await {
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
