//! Connections to one receiver: each is kept for the next message, unless it is too old, or the receiver has closed it.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flb_plugin::keys;
use flb_plugin::keys::{Bool, Int, Key, Options, Time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::dial::{self, Target, dial};
use super::stream::{Stream, stalled};
use super::tls::ClientTls;

keys! {
    /// How long connections are kept.
    pub const KEYS;
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

/// What is written at once, within the time that an answer may take.
const PIECE: usize = 64 * 1024;

/// The connections to one receiver.
pub struct Connections {
    target: Target,
    tls: Option<ClientTls>,
    connect_timeout: Duration,
    io_timeout: Duration,
    keepalive: Keepalive,
    /// Those that nobody uses now, and since when.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// How long connections are kept.
#[derive(Debug, Clone, Copy)]
struct Keepalive {
    /// Whether at all.
    is_on: bool,
    idle: Duration,
    uses: i64,
}

/// One connection. It is closed when it goes, unless it is [kept](Connections::keep).
pub struct Connection {
    stream: Stream,
    io_timeout: Duration,
    uses: i64,
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)
    }
}

impl Connections {
    /// Connections to `target`, made and kept as [`KEYS`] and [`dial::KEYS`] say.
    pub fn new(target: Target, tls: Option<ClientTls>, options: &Options) -> Self {
        Self {
            target,
            tls,
            connect_timeout: dial::timeout(options, dial::NET_CONNECT_TIMEOUT),
            io_timeout: dial::timeout(options, dial::NET_IO_TIMEOUT),
            keepalive: Keepalive {
                is_on: options.get(NET_KEEPALIVE),
                idle: dial::timeout(options, NET_KEEPALIVE_IDLE_TIMEOUT),
                uses: options.get(NET_KEEPALIVE_MAX_RECYCLE),
            },
            idle: Mutex::default(),
        }
    }

    /// Sends a message that nobody answers.
    pub async fn send(&self, message: &[u8]) -> io::Result<()> {
        if let Some(connection) = self.reuse().await
            && self.send_over(connection, message).await.is_ok()
        {
            return Ok(());
        }
        self.send_over(self.dial().await?, message).await
    }

    async fn send_over(&self, mut connection: Connection, message: &[u8]) -> io::Result<()> {
        connection.write(message).await?;
        self.keep(connection).await;
        Ok(())
    }

    /// A new one.
    pub async fn dial(&self) -> io::Result<Connection> {
        let stream = dial(&self.target, self.tls.as_ref(), self.connect_timeout).await?;
        Ok(Connection { stream, io_timeout: self.io_timeout, uses: 0 })
    }

    /// One that is kept, and neither too old nor closed by the receiver.
    pub async fn reuse(&self) -> Option<Connection> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut connection, since) = kept?;
            if since.elapsed() < self.keepalive.idle && connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next message, or ends it.
    pub async fn keep(&self, mut connection: Connection) {
        connection.uses += 1;
        if self.keepalive.is_on && connection.uses < self.keepalive.uses {
            let kept = (connection, Instant::now());
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        } else {
            // What was sent is sent; the end of the connection is but good manners.
            let _ = timeout(self.io_timeout, connection.stream.shutdown()).await;
        }
    }
}

impl Connection {
    /// Sends all of it.
    pub async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        // Each piece has the time anew, so that a slow line is no dead one.
        for piece in data.chunks(PIECE) {
            in_time(self.io_timeout, self.stream.write_all(piece)).await?;
        }
        in_time(self.io_timeout, self.stream.flush()).await
    }

    /// Puts what comes behind `data`; how much it was. 0 is the end of the connection.
    pub async fn read(&mut self, data: &mut Vec<u8>) -> io::Result<usize> {
        in_time(self.io_timeout, self.stream.read_buf(data)).await
    }

    /// Whether nothing came in: a connection that the receiver has closed, or speaks on by itself, is of no use.
    async fn is_quiet(&mut self) -> bool {
        let mut data = [0];
        tokio::select! {
            biased;
            _ = self.stream.read(&mut data) => false,
            // The runtime gets a turn to hear that the connection was closed.
            () = tokio::task::yield_now() => true,
        }
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(stalled(limit)))
}
