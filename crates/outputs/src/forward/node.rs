//! One receiver: connections to it, the handshake, and one message after the other, each acknowledged if that is asked for.

use std::fmt;
use std::io;
use std::path::PathBuf;

use flb_event::msgpack::{Reader, Value};
use flb_plugin::keys::{Bool, Key, Kind, Text};
use flb_plugin::{Build, BuildError, Options, keys};

use super::encode::Encoded;
use flb_net::connections::{Connection, Connections};
use flb_net::dial::Target;
use flb_net::forward::decode::Scan;
use flb_net::forward::handshake::{Helo, Ping, Pong, random};
use flb_net::options::port;
use flb_net::tls::{ClientTls, SWITCH};

keys! {
    /// The options of a receiver. A node of an upstream file has them too, and what it does not say the output says.
    pub(super) const KEYS;
    HOST: Text = Key::new("host", "Receiver").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("24224");
    pub(super) UNIX_PATH: Option<Text> =
        Key::new("unix_path", "Its Unix socket, instead of host and port");
    SHARED_KEY: Option<Text> = Key::new("shared_key", "Key that both ends know").secret();
    EMPTY_SHARED_KEY: Bool =
        Key::new("empty_shared_key", "Handshake with an empty key").default("off");
    SELF_HOSTNAME: Text =
        Key::new("self_hostname", "Own name in the handshake").default("localhost");
    USERNAME: Option<Text> = Key::new("username", "User to be, if the receiver asks");
    PASSWORD: Option<Text> = Key::new("password", "The user's password").secret();
}

/// The longest answer.
const LONGEST_ANSWER: usize = 16 * 1024;

/// What is said in the handshake.
#[derive(Debug, Clone)]
struct Security {
    key: String,
    hostname: String,
    user: String,
    password: String,
}

/// A receiver.
pub(super) struct Node {
    connections: Connections,
    security: Option<Security>,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connections.fmt(f)
    }
}

/// What a node says, or else the output.
fn either<'a, K: Kind>(
    node: Option<&'a Options>,
    output: &'a Options,
    key: Key<K>,
) -> K::Value<'a> {
    node.and_then(|node| node.given(key)).unwrap_or_else(|| output.get(key))
}

impl Node {
    /// The receiver that `options` describe; a node of an upstream file comes first.
    pub(super) fn new(
        options: &Options,
        node: Option<&Options>,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        let text = |key: Key<Option<Text>>| {
            node.and_then(|node| node.get(key)).or_else(|| options.get(key))
        };
        let target = match text(UNIX_PATH) {
            Some(path) => Target::Unix(PathBuf::from(path)),
            None => {
                let port = port(either(node, options, PORT), 1)?;
                Target::Tcp(either(node, options, HOST).to_owned(), port)
            }
        };
        let is_empty_key = either(node, options, EMPTY_SHARED_KEY);
        let key = text(SHARED_KEY).or(is_empty_key.then_some(""));
        if key.is_none() && text(USERNAME).is_some() {
            return Err(BuildError::new("username is part of a handshake")
                .help("add shared_key, or empty_shared_key on"));
        }
        let security = key.map(|key| Security {
            key: key.to_owned(),
            hostname: either(node, options, SELF_HOSTNAME).to_owned(),
            user: text(USERNAME).unwrap_or_default().to_owned(),
            password: text(PASSWORD).unwrap_or_default().to_owned(),
        });
        // A node that speaks of TLS at all says everything about it.
        let tls_of = node.filter(|node| node.given(SWITCH).is_some()).unwrap_or(options);
        let connections = Connections::new(target, ClientTls::new(tls_of, build)?, options, build);
        Ok(Self { connections, security })
    }

    /// Sends a message, over a connection that is there or over a new one.
    pub(super) async fn send(&self, message: &Encoded) -> io::Result<()> {
        if let Some(connection) = self.connections.reuse().await
            && self.send_over(connection, message).await.is_ok()
        {
            return Ok(());
        }
        let mut connection = self.connections.dial().await?;
        if let Some(security) = &self.security {
            shake(&mut connection, security).await?;
        }
        self.send_over(connection, message).await
    }

    async fn send_over(&self, mut connection: Connection, message: &Encoded) -> io::Result<()> {
        connection.write(&message.bytes).await?;
        if let Some(chunk) = &message.chunk {
            let answer = read(&mut connection).await?;
            if acknowledged(&answer) != Some(chunk.as_bytes()) {
                return Err(io::Error::other("the answer acknowledges another chunk"));
            }
        }
        self.connections.keep(connection).await;
        Ok(())
    }
}

async fn shake(connection: &mut Connection, security: &Security) -> io::Result<()> {
    let Security { key, hostname, user, password } = security;
    let helo = read(connection).await?;
    let helo = Helo::decode(&helo).ok_or_else(|| io::Error::other("it says no HELO"))?;
    let salt = random().map_err(io::Error::other)?;
    let ping = Ping::new(&helo, hostname, key, (user, password), salt);
    connection.write(&ping.encode()).await?;
    let pong = read(connection).await?;
    let pong = Pong::decode(&pong).ok_or_else(|| io::Error::other("it says no PONG"))?;
    if !pong.accepted {
        let reason = flb_plugin::log::excerpt(&pong.reason);
        return Err(io::Error::other(format!("it refuses the handshake: {reason}")));
    }
    if !pong.knows(&helo, &ping, key) {
        return Err(io::Error::other("it does not know the shared key"));
    }
    Ok(())
}

/// Reads one msgpack value.
async fn read(connection: &mut Connection) -> io::Result<Vec<u8>> {
    let (mut data, mut scan) = (Vec::new(), Scan::default());
    loop {
        if let Some(length) = scan.advance(&data).map_err(io::Error::other)? {
            data.truncate(length);
            return Ok(data);
        }
        if data.len() > LONGEST_ANSWER {
            return Err(io::Error::other("the answer has no end"));
        }
        if connection.read(&mut data).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed before an answer came",
            ));
        }
    }
}

/// The chunk of `{"ack": chunk}`.
pub(super) fn acknowledged(answer: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(answer);
    let Value::Map(count) = reader.next().ok()? else { return None };
    for _ in 0..count {
        let key = reader.skip().ok()?;
        let value = reader.skip().ok()?;
        if flb_event::msgpack::as_str(key) == Some(b"ack") {
            return match Reader::new(value).next().ok()? {
                Value::Str(chunk) | Value::Bin(chunk) => Some(chunk),
                _ => None,
            };
        }
    }
    None
}
