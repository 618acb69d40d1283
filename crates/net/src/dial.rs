//! Dialling: a connection to a host or a Unix socket, with TLS if it shall be, within a time.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use flb_plugin::{Kind, OptionSpec, Options};
use tokio::net::{TcpStream, UnixStream};

use super::stream::{Stream, stalled};
use super::tls::ClientTls;

/// How long dialling and answers may take.
pub const OPTIONS: [OptionSpec; 2] = [
    OptionSpec::new(
        "net.connect_timeout",
        Kind::Time,
        Some("10"),
        "How long connecting may take, TLS included",
    ),
    OptionSpec::new("net.io_timeout", Kind::Time, Some("60"), "How long an answer may take"),
];

/// The time-out of this name; 0 stands for `otherwise`.
pub fn timeout(options: &Options, name: &str, otherwise: u64) -> Duration {
    let given = options.time(name).filter(|time| !time.is_zero());
    given.unwrap_or(Duration::from_secs(otherwise))
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
