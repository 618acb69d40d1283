//! A connection's two ends, whatever they run over, and waits that have an end.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flb_plugin::Context;
use tokio::io::{AsyncRead, AsyncWrite};

use super::places::Place;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Duplex for T {}

/// A connection: TCP, a Unix socket, or TLS over TCP.
pub type Stream = Box<dyn Duplex>;

/// A connection and who is at its other end.
pub struct Client {
    /// What it sends, and is sent.
    pub stream: Stream,
    /// Who it is.
    pub peer: Peer,
    /// What was read of it already, when it comes from an input like this one.
    pub read: Option<Vec<u8>>,
    /// To be told of what the client brings.
    pub place: Arc<Place>,
}

/// A connection that an input like this one shall go on with, and what was read of it.
pub struct Left {
    /// What it sends, and is sent.
    pub stream: Stream,
    /// Who it is.
    pub peer: Peer,
    /// What was read, and not used.
    pub read: Vec<u8>,
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub enum Peer {
    /// An address on the network.
    Tcp(std::net::SocketAddr),
    /// An address on the network that datagrams come from.
    Udp(std::net::SocketAddr),
    /// A process on this machine.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What `work` comes to, unless it takes longer than `limit`.
pub async fn within<T>(
    context: &dyn Context,
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        () = context.sleep(limit) => Err(stalled(limit)),
    }
}

/// The error of a wait that was given up.
pub fn stalled(limit: Duration) -> io::Error {
    let seconds = limit.as_secs_f32();
    io::Error::new(io::ErrorKind::TimedOut, format!("nothing moved for {seconds} seconds"))
}
