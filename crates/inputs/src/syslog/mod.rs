//! `syslog`: messages of syslog clients, as datagrams or over connections, from the network or this machine.

mod frames;
mod messages;
#[cfg(test)]
mod oracle;
mod streams;
#[cfg(test)]
mod tests;

use flb_plugin::keys::{Choice, Key, Options, Size, Table, Text, Word};
use flb_plugin::{Build, BuildError, Input, Spec, keys};

use self::frames::{Framing, HEADER};
use self::messages::Syslog;
use self::streams::Clients;
use super::shared::complaints::Complaints;
use super::shared::datagrams::Datagrams;
use super::shared::records::{self, LineRecords};
use super::shared::served::Served;
use flb_net::buffer::Budget;
use flb_net::listener::{self, Listener};
use flb_net::server::{self, Server};
use flb_net::tls;
use flb_plugin::log::Label;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "syslog",
    about: "Take messages of syslog clients over UDP, TCP or a Unix socket",
    options: OPTIONS,
    build,
};

keys! {
    const OWN;
    MODE: Choice<Mode> = Key::new("mode", "How messages come").default("unix_udp");
    PATH: Option<Text> = Key::new("path", "Unix socket, for the modes unix_udp and unix_tcp");
    UNIX_PERM: Text = Key::new("unix_perm", "Its permissions, as for chmod").default("0644");
    PORT: Text = listener::port_key("5140");
    PARSER: Option<Text> = Key::new(
        "parser",
        "Parser of messages (syslog-rfc5424; of Unix sockets syslog-rfc3164-local)",
    );
    FORMAT: Choice<Framing> =
        Key::new("format", "What tells messages of a connection apart").default("newline");
    BUFFER_CHUNK_SIZE: Size = Key::new("buffer_chunk_size", "Longest datagram").default("32768");
    BUFFER_MAX_SIZE: Option<Size> =
        Key::new("buffer_max_size", "Longest message of a connection (buffer_chunk_size)");
    RECEIVE_BUFFER_SIZE: Option<Size> =
        Key::new("receive_buffer_size", "What the system keeps unread of a socket");
    SOURCE_ADDRESS_KEY: Option<Text> =
        Key::new("source_address_key", "Key for the client's address");
    RAW_MESSAGE_KEY: Option<Text> =
        Key::new("raw_message_key", "Key for the message as it came");
}

const OPTIONS: Table = Table(&[OWN, listener::KEYS, server::KEYS, tls::KEYS, tls::SERVER]);

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    UnixUdp,
    UnixTcp,
    Tcp,
    Udp,
}

impl Word for Mode {
    const ALL: &'static [(&'static str, Self)] = &[
        ("unix_udp", Self::UnixUdp),
        ("unix_tcp", Self::UnixTcp),
        ("tcp", Self::Tcp),
        ("udp", Self::Udp),
    ];
}

impl Mode {
    fn is_of_datagrams(self) -> bool {
        matches!(self, Self::UnixUdp | Self::Udp)
    }

    /// The parser where none is named.
    fn parser(self) -> &'static str {
        match self {
            Self::Tcp | Self::Udp => "syslog-rfc5424",
            Self::UnixTcp | Self::UnixUdp => "syslog-rfc3164-local",
        }
    }
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(match options.get(MODE).is_of_datagrams() {
        true => Box::new(datagrams(options, build)?),
        false => Box::new(streams(options, build)?),
    })
}

fn datagrams(options: &Options, build: &Build<'_>) -> Result<Datagrams<Syslog>, BuildError> {
    if options.get(tls::SWITCH) {
        return Err(BuildError::new("tls is on, and datagrams are not encrypted")
            .help("use mode tcp for TLS, or leave tls out"));
    }
    let syslog = syslog(options, build)?;
    let listener = listener(options, build, syslog.complaints.label())?;
    Ok(Datagrams::new(listener, size(options.get(BUFFER_CHUNK_SIZE)), syslog, build))
}

fn streams(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let syslog = syslog(options, build)?;
    let limit = options.get(BUFFER_MAX_SIZE).filter(|size| *size > 0);
    let limit = size(limit.unwrap_or(options.get(BUFFER_CHUNK_SIZE)));
    let listener = listener(options, build, syslog.complaints.label())?;
    let server = Server::new(listener, syslog.complaints.label(), options, build)?;
    let clients = Clients {
        tag: build.tag.clone(),
        framing: options.get(FORMAT),
        limit,
        patience: server.patience,
        budget: Budget::new(limit + HEADER),
        syslog,
    };
    Ok(Served { server, clients })
}

fn syslog(options: &Options, build: &Build<'_>) -> Result<Syslog, BuildError> {
    let name = options.get(PARSER).unwrap_or(options.get(MODE).parser());
    let parser = records::find_parser(name, build)?;
    Ok(Syslog {
        records: LineRecords::new(messages::KEY, Some(parser)),
        raw_key: options.get(RAW_MESSAGE_KEY).map(str::to_owned),
        address_key: options.get(SOURCE_ADDRESS_KEY).map(str::to_owned),
        complaints: Complaints::new(Label::input("syslog", build)),
    })
}

fn listener(options: &Options, build: &Build<'_>, label: &Label) -> Result<Listener, BuildError> {
    let path = || {
        options.get(PATH).ok_or_else(|| {
            BuildError::new("no 'path' was given for the Unix socket")
                .help("add Path /run/flb/syslog, or Mode udp or tcp")
        })
    };
    let permissions = Some(options.get(UNIX_PERM));
    let listener = match options.get(MODE) {
        Mode::UnixUdp => Listener::unix_datagram(path()?, permissions, build.service)?,
        Mode::UnixTcp => Listener::unix(path()?, permissions, build.service)?,
        Mode::Tcp => Listener::tcp(options, PORT, build.service)?,
        Mode::Udp => Listener::udp(options, PORT, build.service)?,
    };
    if let Some(wanted) = options.get(RECEIVE_BUFFER_SIZE).filter(|size| *size > 0) {
        give_room(&listener, wanted, label)?;
    }
    Ok(listener)
}

fn give_room(listener: &Listener, wanted: u64, label: &Label) -> Result<(), BuildError> {
    let refused = |error: &dyn std::fmt::Display| {
        BuildError::new(format!("receive_buffer_size {wanted}: {error}"))
    };
    let wanted = i32::try_from(wanted).map_err(|_| refused(&"that is over 2 GB"))?;
    let wanted = wanted.unsigned_abs() as usize;
    let given = listener.set_receive_buffer(wanted).map_err(|error| refused(&error))?;
    if given < wanted {
        tracing::warn!(
            "{label} receive_buffer_size is {wanted}, and the system gives {given}; sysctl net.core.rmem_max says how much it may"
        );
    }
    Ok(())
}

/// A size that memory can have.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).clamp(64, 1 << 30)
}
