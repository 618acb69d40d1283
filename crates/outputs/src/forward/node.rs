//! One receiver: connections to it, the handshake, and one message after the other, each acknowledged if that is asked for.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flb_event::msgpack::{Reader, Value};
use flb_plugin::keys::{Bool, Int, Key, Kind, Text, Time};
use flb_plugin::{Build, BuildError, Options, keys};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::encode::Encoded;
use flb_net::dial::{self, Target, dial};
use flb_net::forward::decode::Scan;
use flb_net::forward::handshake::{Helo, Ping, Pong, random};
use flb_net::options::port;
use flb_net::stream::{Stream, stalled};
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

keys! {
    /// How long connections are kept.
    pub(super) const KEPT;
    NET_KEEPALIVE: Bool =
        Key::new("net.keepalive", "Keep connections for the next chunk").default("on");
    NET_KEEPALIVE_IDLE_TIMEOUT: Time = Key::new(
        "net.keepalive_idle_timeout",
        "How long an unused connection is kept",
    )
    .default("30");
    NET_KEEPALIVE_MAX_RECYCLE: Int =
        Key::new("net.keepalive_max_recycle", "How often a connection is used").default("2000");
}

/// The longest answer.
const LONGEST_ANSWER: usize = 16 * 1024;

/// How long connections are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keepalive {
    /// Whether at all.
    is_on: bool,
    idle: Duration,
    uses: i64,
}

impl Keepalive {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            is_on: options.get(NET_KEEPALIVE),
            idle: dial::timeout(options, NET_KEEPALIVE_IDLE_TIMEOUT),
            uses: options.get(NET_KEEPALIVE_MAX_RECYCLE),
        }
    }
}

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
    target: Target,
    tls: Option<ClientTls>,
    security: Option<Security>,
    connect_timeout: Duration,
    io_timeout: Duration,
    /// Connections that nobody uses now, and since when.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    stream: Stream,
    since: Instant,
    uses: i64,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)
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
        Ok(Self {
            target,
            tls: ClientTls::new(tls_of, build)?,
            security,
            connect_timeout: dial::timeout(options, dial::NET_CONNECT_TIMEOUT),
            io_timeout: dial::timeout(options, dial::NET_IO_TIMEOUT),
            idle: Mutex::default(),
        })
    }

    /// Sends a message, over a connection that is there or over a new one.
    pub(super) async fn send(&self, message: &Encoded, keepalive: &Keepalive) -> io::Result<()> {
        if let Some(Idle { stream, uses, .. }) = self.reuse(keepalive).await
            && self.send_over(stream, uses, message, keepalive).await.is_ok()
        {
            return Ok(());
        }
        let stream = self.connect().await?;
        self.send_over(stream, 0, message, keepalive).await
    }

    async fn send_over(
        &self,
        mut stream: Stream,
        uses: i64,
        message: &Encoded,
        keepalive: &Keepalive,
    ) -> io::Result<()> {
        self.write(&mut stream, &message.bytes).await?;
        if let Some(chunk) = &message.chunk {
            let answer = self.read(&mut stream).await?;
            if acknowledged(&answer) != Some(chunk.as_bytes()) {
                return Err(io::Error::other("the answer acknowledges another chunk"));
            }
        }
        if keepalive.is_on && uses + 1 < keepalive.uses {
            let idle = Idle { stream, since: Instant::now(), uses: uses + 1 };
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
        } else {
            // The message is sent; the end of the connection is but good manners.
            let _ = timeout(self.io_timeout, stream.shutdown()).await;
        }
        Ok(())
    }

    /// A connection that is neither too old nor closed by the receiver.
    async fn reuse(&self, keepalive: &Keepalive) -> Option<Idle> {
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if idle.since.elapsed() < keepalive.idle && is_quiet(&mut idle.stream).await {
                return Some(idle);
            }
        }
    }

    /// A connection that nobody uses, taken away.
    #[cfg(test)]
    pub(super) fn idle_for_test(&self) -> Option<Stream> {
        self.idle.lock().unwrap().pop().map(|idle| idle.stream)
    }

    async fn connect(&self) -> io::Result<Stream> {
        let mut stream = dial(&self.target, self.tls.as_ref(), self.connect_timeout).await?;
        if let Some(security) = &self.security {
            self.shake(&mut stream, security).await?;
        }
        Ok(stream)
    }

    async fn shake(&self, stream: &mut Stream, security: &Security) -> io::Result<()> {
        let Security { key, hostname, user, password } = security;
        let helo = self.read(stream).await?;
        let helo = Helo::decode(&helo).ok_or_else(|| io::Error::other("it says no HELO"))?;
        let salt = random().map_err(io::Error::other)?;
        let ping = Ping::new(&helo, hostname, key, (user, password), salt);
        self.write(stream, &ping.encode()).await?;
        let pong = self.read(stream).await?;
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

    async fn write(&self, stream: &mut Stream, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        while !rest.is_empty() {
            // Each piece has the time anew, so that a slow line is no dead one.
            let (piece, behind) = rest.split_at(rest.len().min(64 * 1024));
            self.in_time(stream.write_all(piece)).await?;
            rest = behind;
        }
        self.in_time(stream.flush()).await
    }

    /// Reads one msgpack value.
    async fn read(&self, stream: &mut Stream) -> io::Result<Vec<u8>> {
        let (mut data, mut scan) = (Vec::new(), Scan::default());
        loop {
            if let Some(length) = scan.advance(&data).map_err(io::Error::other)? {
                data.truncate(length);
                return Ok(data);
            }
            if data.len() > LONGEST_ANSWER {
                return Err(io::Error::other("the answer has no end"));
            }
            if self.in_time(stream.read_buf(&mut data)).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection was closed before an answer came",
                ));
            }
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        timeout(self.io_timeout, work).await.unwrap_or_else(|_| Err(stalled(self.io_timeout)))
    }
}

/// Whether nothing came in: a connection that the receiver has closed, or speaks on by itself, is of no use.
async fn is_quiet(stream: &mut Stream) -> bool {
    let mut data = [0];
    tokio::select! {
        biased;
        _ = stream.read(&mut data) => false,
        // The runtime gets a turn to hear that the connection was closed.
        () = tokio::task::yield_now() => true,
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
