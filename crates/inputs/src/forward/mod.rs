//! `forward`: records from other agents, by the Forward protocol.
//!
//! A message is acknowledged when the pipeline has taken all of its records. What cannot be read ends the connection, so
//! that a client which waits for its acknowledgement sends again; what was good before is kept.

mod clients;
#[cfg(test)]
mod tests;

use flb_event::Tag;
use flb_plugin::{Build, BuildError, Input, Kind, OptionSpec, Options, Spec};
use tokio::sync::Mutex;

use super::shared::served::Served;
use crate::shared::complaints::Complaints;
use clients::{Clients, Naming, Security};
use flb_net::buffer::Budget;
use flb_net::listener::{self, Listener};
use flb_net::options::{joined, multiple};
use flb_net::server::{self, Server};
use flb_net::tls;
use flb_plugin::log::Label;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "forward",
    about: "Take records from other agents by the Forward protocol",
    options: &OPTIONS,
    build,
};

const OWN: [OptionSpec; 11] = [
    OptionSpec::new("tag", Kind::Text, None, "Tag of all records, instead of the sender's"),
    OptionSpec::new("tag_prefix", Kind::Text, None, "Text before the sender's tag"),
    OptionSpec::new("unix_path", Kind::Text, None, "Unix socket, instead of address and port"),
    OptionSpec::new("unix_perm", Kind::Text, None, "Its permissions, as for chmod"),
    OptionSpec::new("buffer_chunk_size", Kind::Size, Some("1024000"), "Without effect"),
    OptionSpec::new(
        "buffer_max_size",
        Kind::Size,
        Some("6144000"),
        "Longest message, also when decompressed",
    ),
    OptionSpec::new("shared_key", Kind::Text, None, "Key that clients must know").secret(),
    OptionSpec::new("empty_shared_key", Kind::Bool, Some("off"), "Handshake with an empty key"),
    OptionSpec::new("self_hostname", Kind::Text, Some("localhost"), "Own name in the handshake"),
    multiple("security.users", Kind::Text, "User and password that clients may give").secret(),
    OptionSpec::new("workers", Kind::Int, Some("1"), "Without effect: one task serves all"),
];
const LISTEN: [OptionSpec; 2] = listener::options("24224");
const OPTIONS: [OptionSpec; 27] = joined(&[&OWN, &LISTEN, &server::OPTIONS, &tls::SERVER]);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(forward(options, build)?))
}

fn forward(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let label = Label::input("forward", build);
    let limit = usize::try_from(options.size("buffer_max_size").unwrap_or(6_144_000));
    let limit = limit.unwrap_or(usize::MAX).clamp(1024, 1 << 30);
    let security = security(options)?;
    let naming = naming(options)?;
    let listener = match options.text("unix_path") {
        Some(path) => Listener::unix(path, options.text("unix_perm"), build.service)?,
        None => Listener::tcp(options, build.service)?,
    };
    let server = Server::new(listener, &label, options, build)?;
    let clients = Clients {
        accept_timeout: server.accept_timeout,
        patience: server.patience,
        naming,
        limit,
        security,
        budget: Budget::new(limit),
        turn: Mutex::new(()),
        complaints: Complaints::new(label),
    };
    Ok(Served { server, clients })
}

fn naming(options: &Options) -> Result<Naming, BuildError> {
    if let Some(tag) = options.text("tag") {
        let tag = Tag::new(tag).map_err(|error| BuildError::new(error.to_string()))?;
        return Ok(Naming::Always(tag));
    }
    Ok(Naming::Prefixed(options.text("tag_prefix").unwrap_or_default().to_owned()))
}

fn security(options: &Options) -> Result<Option<Security>, BuildError> {
    let users: Vec<(String, String)> = options
        .texts("security.users")
        .map(|text| match text.split_once(char::is_whitespace) {
            Some((user, password)) if !password.trim().is_empty() => {
                Ok((user.to_owned(), password.trim().to_owned()))
            }
            _ => Err(BuildError::new("a user of security.users has no password")
                .help("write: Security.Users name password")),
        })
        .collect::<Result<_, _>>()?;
    let key = match options.text("shared_key") {
        Some(key) => key.to_owned(),
        None if options.bool("empty_shared_key") => String::new(),
        None if users.is_empty() => return Ok(None),
        None => {
            return Err(BuildError::new("security.users needs a handshake")
                .help("add shared_key, or empty_shared_key on"));
        }
    };
    let hostname = options.text("self_hostname").unwrap_or("localhost").to_owned();
    Ok(Some(Security { key, hostname, users }))
}
