//! Connections to one receiver: each is kept for the next message, unless it is too old, or the receiver has closed it.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flb_plugin::keys::{Bool, Int, Key, Options, Time};
use flb_plugin::{Build, Gauge, Metric, keys};
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

/// Connections that there are, used or not.
static TOTAL: Metric = Metric::new("upstream_connections", "Connections to receivers.")
    .known_as("fluentbit_output_upstream_total_connections");

/// Those that are in use.
pub(crate) static BUSY: Metric =
    Metric::new("upstream_busy_connections", "Connections to receivers that are in use.")
        .known_as("fluentbit_output_upstream_busy_connections");

/// What is written at once, within the time that an answer may take.
const PIECE: usize = 64 * 1024;

/// The connections to one receiver.
pub struct Connections {
    target: Target,
    tls: Option<ClientTls>,
    connect_timeout: Duration,
    io_timeout: Duration,
    keepalive: Keepalive,
    total: Gauge,
    busy: Gauge,
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
    /// 1 while there is this connection.
    _total: Gauge,
    /// 1 while it is in use.
    busy: Gauge,
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)
    }
}

impl Connections {
    /// Connections to `target`, made and kept as [`KEYS`] and [`dial::KEYS`] say.
    pub fn new(
        target: Target,
        tls: Option<ClientTls>,
        options: &Options,
        build: &Build<'_>,
    ) -> Self {
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
            total: build.metrics.gauge(&TOTAL),
            busy: build.metrics.gauge(&BUSY),
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
        let (mut total, mut busy) = (self.total.clone(), self.busy.clone());
        total.set(1);
        busy.set(1);
        Ok(Connection { stream, io_timeout: self.io_timeout, uses: 0, _total: total, busy })
    }

    /// One that is kept, and neither too old nor closed by the receiver.
    pub async fn reuse(&self) -> Option<Connection> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut connection, since) = kept?;
            if since.elapsed() < self.keepalive.idle && connection.is_quiet().await {
                connection.busy.set(1);
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next message, or ends it.
    pub async fn keep(&self, mut connection: Connection) {
        connection.uses += 1;
        connection.busy.set(0);
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

#[cfg(test)]
mod tests {
    use flb_harness::net::block_on;
    use flb_harness::{build_with, options};
    use flb_plugin::{Metrics, Table};
    use tokio::net::TcpListener;

    use super::*;

    async fn connections(given: &[(&str, &str)]) -> (TcpListener, Connections, Metrics) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, metrics) =
            build_with(&options(Table(&[KEYS, dial::KEYS]), given), |options, build| {
                let target = Target::Tcp("127.0.0.1".to_owned(), port);
                (Connections::new(target, None, options, build), build.metrics.clone())
            });
        (listener, connections, metrics)
    }

    #[test]
    fn connections_are_counted_whether_they_are_in_use_or_kept() {
        block_on(async {
            let (_listener, connections, metrics) = connections(&[]).await;
            let counts = || [&TOTAL, &BUSY].map(|metric| metrics.gauge(metric).get());
            let (one, other) =
                (connections.dial().await.unwrap(), connections.dial().await.unwrap());
            assert_eq!(counts(), [2, 2]);
            connections.keep(one).await;
            assert_eq!(counts(), [2, 1]);
            drop(other);
            assert_eq!(counts(), [1, 0]);
            let again = connections.reuse().await.unwrap();
            assert_eq!((counts(), connections.reuse().await.is_none()), ([1, 1], true));
            drop(again);
            assert_eq!(counts(), [0, 0]);
        });
    }

    #[test]
    fn a_connection_is_kept_for_so_many_uses_and_so_long() {
        block_on(async {
            let (_listener, off, _) = connections(&[("net.keepalive", "off")]).await;
            off.keep(off.dial().await.unwrap()).await;
            assert!(off.reuse().await.is_none());
            let (_listener, twice, _) = connections(&[("net.keepalive_max_recycle", "2")]).await;
            twice.keep(twice.dial().await.unwrap()).await;
            let connection = twice.reuse().await.unwrap();
            twice.keep(connection).await;
            assert!(twice.reuse().await.is_none());
        });
    }
}
