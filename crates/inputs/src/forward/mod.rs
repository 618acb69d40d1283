//! `forward`: records from other agents, by the Forward protocol.
//!
//! A message is acknowledged when the pipeline has taken all of its records. What cannot be read ends the connection, so
//! that a client which waits for its acknowledgement sends again; what was good before is kept.

mod clients;
#[cfg(test)]
mod tests;

use flb_event::Tag;
use flb_plugin::keys::{Bool, Int, Key, Many, Options, Size, Table, Text};
use flb_plugin::{Build, BuildError, Input, Spec, keys};
use tokio::sync::Mutex;

use super::shared::served::Served;
use crate::shared::complaints::Complaints;
use clients::{Clients, Naming, Security};
use flb_net::buffer::Budget;
use flb_net::listener::{self, Listener};
use flb_net::server::{self, Server};
use flb_net::tls;
use flb_plugin::log::Label;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "forward",
    about: "Take records from other agents by the Forward protocol",
    options: OPTIONS,
    build,
};

keys! {
    const OWN;
    TAG: Option<Text> = Key::new("tag", "Tag of all records, instead of the sender's");
    TAG_PREFIX: Option<Text> = Key::new("tag_prefix", "Text before the sender's tag");
    UNIX_PATH: Option<Text> = Key::new("unix_path", "Unix socket, instead of address and port");
    UNIX_PERM: Option<Text> = Key::new("unix_perm", "Its permissions, as for chmod");
    BUFFER_CHUNK_SIZE: Option<Size> =
        Key::new("buffer_chunk_size", "").idle("memory is taken for what has come");
    PORT: Text = listener::port_key("24224");
    BUFFER_MAX_SIZE: Size =
        Key::new("buffer_max_size", "Longest message, also when decompressed").default("6144000");
    SHARED_KEY: Option<Text> = Key::new("shared_key", "Key that clients must know").secret();
    EMPTY_SHARED_KEY: Bool =
        Key::new("empty_shared_key", "Handshake with an empty key").default("off");
    SELF_HOSTNAME: Text =
        Key::new("self_hostname", "Own name in the handshake").default("localhost");
    SECURITY_USERS: Many<Text> =
        Key::new("security.users", "User and password that clients may give").repeated().secret();
    WORKERS: Option<Int> = Key::new("workers", "").idle("one task serves all");
}

const OPTIONS: Table = Table(&[OWN, listener::KEYS, server::KEYS, tls::KEYS, tls::SERVER]);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(forward(options, build)?))
}

fn forward(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let label = Label::input("forward", build);
    let limit = usize::try_from(options.get(BUFFER_MAX_SIZE));
    let limit = limit.unwrap_or(usize::MAX).clamp(1024, 1 << 30);
    let security = security(options)?;
    let naming = naming(options)?;
    let listener = match options.get(UNIX_PATH) {
        Some(path) => Listener::unix(path, options.get(UNIX_PERM), build.service)?,
        None => Listener::tcp(options, PORT, build.service)?,
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
    if let Some(tag) = options.get(TAG) {
        let tag = Tag::new(tag).map_err(|error| BuildError::new(error.to_string()))?;
        return Ok(Naming::Always(tag));
    }
    Ok(Naming::Prefixed(options.get(TAG_PREFIX).unwrap_or_default().to_owned()))
}

fn security(options: &Options) -> Result<Option<Security>, BuildError> {
    let users: Vec<(String, String)> = options
        .get(SECURITY_USERS)
        .into_iter()
        .map(|text| match text.split_once(char::is_whitespace) {
            Some((user, password)) if !password.trim().is_empty() => {
                Ok((user.to_owned(), password.trim().to_owned()))
            }
            _ => Err(BuildError::new("a user of security.users has no password")
                .help("write: Security.Users name password")),
        })
        .collect::<Result<_, _>>()?;
    let key = match options.get(SHARED_KEY) {
        Some(key) => key.to_owned(),
        None if options.get(EMPTY_SHARED_KEY) => String::new(),
        None if users.is_empty() => return Ok(None),
        None => {
            return Err(BuildError::new("security.users needs a handshake")
                .help("add shared_key, or empty_shared_key on"));
        }
    };
    let hostname = options.get(SELF_HOSTNAME).to_owned();
    Ok(Some(Security { key, hostname, users }))
}
