//! Dialling: a connection to a host or a Unix socket, with TLS if it shall be, within a time.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use flb_plugin::keys;
use flb_plugin::keys::{Key, Options, Time};
use tokio::net::{TcpStream, UnixStream};

use super::stream::{Stream, stalled};
use super::tls::ClientTls;

keys! {
    /// How long dialling and answers may take.
    pub const KEYS;
    pub NET_CONNECT_TIMEOUT: Time =
        Key::new("net.connect_timeout", "How long connecting may take, TLS included").default("10");
    pub NET_IO_TIMEOUT: Time =
        Key::new("net.io_timeout", "How long an answer may take").default("60");
}

/// The time-out that a key says; 0 stands for its default.
pub fn timeout(options: &Options, key: Key<Time>) -> Duration {
    let time = options.get(key);
    if time.is_zero() { key.default_value() } else { time }
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host and a port.
    Tcp(String, u16),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Connects, within `limit`.
pub async fn dial(target: &Target, tls: Option<&ClientTls>, limit: Duration) -> io::Result<Stream> {
    let connect = async {
        let stream: Stream = match target {
            Target::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        match (tls, target) {
            (Some(tls), Target::Tcp(host, _)) => tls.connect(host, stream).await,
            _ => Ok(stream),
        }
    };
    tokio::time::timeout(limit, connect).await.unwrap_or_else(|_| Err(stalled(limit)))
}
