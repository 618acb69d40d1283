//! `unix_socket`: JSON values, or text between separators, from clients on this machine.

use flb_net::listener::Listener;
use flb_net::server::{self, Server};
use flb_net::tls;
use flb_plugin::keys::{Choice, Key, Options, Required, Table, Text, Word};
use flb_plugin::{Build, BuildError, Input, Spec, keys};

use super::shared::datagrams::Datagrams;
use super::shared::payloads::{self, Clients, Payloads};
use super::shared::served::Served;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "unix_socket",
    about: "Take JSON or text from clients of a Unix socket",
    options: OPTIONS,
    build,
};

keys! {
    const OWN;
    SOCKET_MODE: Choice<Mode> = Key::new("socket_mode", "How it is served").default("STREAM");
    SOCKET_PATH: Required<Text> = Key::new("socket_path", "The socket's file")
        .required("no 'socket_path' was given", "add Socket_Path /run/flb/socket");
    SOCKET_PERMISSIONS: Option<Text> =
        Key::new("socket_permissions", "Its permissions, as for chmod");
}

const OPTIONS: Table = Table(&[payloads::KEYS, OWN, server::KEYS, tls::KEYS, tls::SERVER]);

/// How a socket is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Stream,
    Datagrams,
}

impl Word for Mode {
    const ALL: &'static [(&'static str, Self)] =
        &[("STREAM", Self::Stream), ("DGRAM", Self::Datagrams)];
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(match options.get(SOCKET_MODE) {
        Mode::Stream => Box::new(stream(options, build)?),
        Mode::Datagrams => Box::new(datagrams(options, build)?),
    })
}

fn stream(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let payloads = Payloads::new("unix_socket", options, build)?;
    let (path, permissions) = (options.get(SOCKET_PATH)?, options.get(SOCKET_PERMISSIONS));
    let listener = Listener::unix(path, permissions, build.service)?;
    let server = Server::new(listener, payloads.label(), options, build)?;
    Ok(Served { clients: Clients { payloads, patience: server.patience }, server })
}

fn datagrams(options: &Options, build: &Build<'_>) -> Result<Datagrams<Payloads>, BuildError> {
    if options.get(tls::SWITCH) {
        return Err(BuildError::new("tls is on, and datagrams are not encrypted")
            .help("use Socket_Mode STREAM for TLS, or leave tls out"));
    }
    let payloads = Payloads::new("unix_socket", options, build)?;
    let (path, permissions) = (options.get(SOCKET_PATH)?, options.get(SOCKET_PERMISSIONS));
    let listener = Listener::unix_datagram(path, permissions, build.service)?;
    Ok(Datagrams::new(listener, payloads.limit, payloads, build))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::{datagrams, served};
    use flb_harness::{build_with, options};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{UnixDatagram, UnixStream};

    const EXPECTED: [&str; 2] = [r#"t 5.000000000 {"a":1}"#, r#"t 5.000000000 {"msg":[2]}"#];

    #[test]
    fn clients_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let given = [("socket_path", path.to_str().unwrap()), ("socket_permissions", "0600")];
        let input = || build_with(&options(OPTIONS, &given), stream).unwrap();
        served::serve(input, async |address, desk| {
            let mut client = UnixStream::connect(&address).await.unwrap();
            client.write_all(br#"{"a":1}[2]"#).await.unwrap();
            assert_eq!(desk.records(2).await, EXPECTED);
        });
    }

    #[test]
    fn clients_send_datagrams() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let given = [("socket_path", path.to_str().unwrap()), ("socket_mode", "dgram")];
        let input = || build_with(&options(OPTIONS, &given), super::datagrams).unwrap();
        datagrams::serve(input, async |address, desk| {
            let client = UnixDatagram::unbound().unwrap();
            client.send_to(br#"{"a":1}[2]"#, &address).await.unwrap();
            assert_eq!(desk.records(2).await, EXPECTED);
        });
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused = |given: &[(&str, &str)]| {
            build_with(&options(OPTIONS, given), build).err().unwrap().message
        };
        assert_eq!(refused(&[]), "no 'socket_path' was given");
        let path = ("socket_path", "/no/such/folder/s");
        assert!(refused(&[path]).contains("cannot listen"));
        assert!(refused(&[path, ("socket_permissions", "rw")]).contains("no octal number"));
        assert!(refused(&[path, ("socket_mode", "DGRAM"), ("tls", "on")]).contains("encrypted"));
    }
}
