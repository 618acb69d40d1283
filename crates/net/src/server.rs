//! Serves connections: accepts them, does the TLS handshake, and lets each be handled as its own future within the input's
//! task, so that all of them borrow the input's [`Context`]. When the input shall stop, no connection is accepted any more
//! and those that are open end by themselves: each looks out for the stop where it waits for its client. Those that an input
//! like this one can go on with are left to it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flb_plugin::keys::{Int, Key, Options, Time};
use flb_plugin::{Build, BuildError, Context, InputError, keys};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::dial::timeout;
use super::listener::{Acceptor, Listener};
use super::places::{Crowded, Place, Places};
use super::stream::{Client, Left, Peer, Stream, within};
use super::tls::ServerTls;
use flb_plugin::log::{Label, Mishaps};

keys! {
    /// The options of every server, beside those of TLS.
    pub const KEYS;
    NET_ACCEPT_TIMEOUT: Time = Key::new(
        "net.accept_timeout",
        "How long handshakes may take, and how long an idle client keeps its place from others",
    )
    .default("10");
    NET_IO_TIMEOUT: Time = Key::new(
        "net.io_timeout",
        "How long a message that has begun may stand still",
    )
    .default("30");
    NET_MAX_CONNECTIONS: Int = Key::new(
        "net.max_connections",
        "Connections at once; then who is idle for longest makes way",
    )
    .default("1024");
}

/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// What serves connections.
pub struct Server {
    listener: Listener,
    /// All that the options say: clients of an input with others are none of ours.
    terms: String,
    tls: Option<ServerTls>,
    places: Places,
    /// How long handshakes may take.
    pub accept_timeout: Duration,
    /// How long a client may keep a message unfinished.
    pub patience: Duration,
    troubles: Troubles,
}

/// Where a connection comes from.
enum Arrival {
    /// Its client has just connected.
    New(Stream, Peer),
    /// The input before has left it.
    Left(Left),
}

impl Arrival {
    fn peer(&self) -> &Peer {
        match self {
            Self::New(_, peer) => peer,
            Self::Left(left) => &left.peer,
        }
    }
}

/// What goes wrong with connections before anybody handles them.
struct Troubles {
    label: Label,
    accept: Mishaps,
    too_many: Mishaps,
    idle: Mishaps,
    handshake: Mishaps,
}

impl Troubles {
    fn not_accepted(&self, error: &io::Error) {
        if let Some(total) = self.accept.another() {
            tracing::error!("{} cannot accept a connection: {error} ({total} so far)", self.label);
        }
    }

    fn turned_away(&self, peer: &Peer, why: Crowded) {
        if let Some(total) = self.too_many.another() {
            tracing::warn!("{} {peer} is turned away: {why} ({total} so far)", self.label);
        }
    }

    fn made_way(&self, peer: &Peer) {
        if let Some(total) = self.idle.another() {
            tracing::warn!(
                "{} {peer} brought nothing for longest and makes way for another client ({total} so far)",
                self.label
            );
        }
    }

    fn no_handshake(&self, peer: &Peer, error: &io::Error) {
        if let Some(total) = self.handshake.another() {
            tracing::warn!("{} {peer}: no TLS handshake: {error} ({total} so far)", self.label);
        }
    }
}

impl Server {
    /// A server on `listener`, as the options say.
    pub fn new(
        listener: Listener,
        label: &Label,
        options: &Options,
        build: &Build<'_>,
    ) -> Result<Self, BuildError> {
        let max_connections = options.get(NET_MAX_CONNECTIONS);
        let max_connections = usize::try_from(max_connections).unwrap_or(0).max(1);
        let accept_timeout = timeout(options, NET_ACCEPT_TIMEOUT);
        let seconds = u32::try_from(accept_timeout.as_secs()).unwrap_or(u32::MAX);
        let tls = ServerTls::new(options, build)?;
        tracing::info!("{label} listening on {}", listener.address());
        Ok(Self {
            listener,
            terms: format!("{options:?}"),
            tls,
            places: Places::new(max_connections, seconds, build.service),
            accept_timeout,
            patience: timeout(options, NET_IO_TIMEOUT),
            troubles: Troubles {
                label: label.clone(),
                accept: Mishaps::default(),
                too_many: Mishaps::default(),
                idle: Mishaps::default(),
                handshake: Mishaps::default(),
            },
        })
    }

    /// The same, that tells clients which of these protocols it speaks, the best first.
    pub fn speaking(mut self, protocols: &[&str]) -> Self {
        self.tls = self.tls.map(|tls| tls.speaking(protocols));
        self
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.listener.address()
    }

    /// Serves until the input shall stop and the last connection has ended.
    pub async fn run<'a, F>(
        &'a self,
        context: &'a dyn Context,
        handle: impl Fn(Client) -> F,
    ) -> Result<(), InputError>
    where
        F: Future<Output = Option<Left>>,
    {
        let acceptor = self.listener.open()?;
        let mut connections = FuturesUnordered::new();
        let handle = &handle;
        let begin = |arrival| self.serve(arrival, handle, context);
        connections
            .extend(self.listener.left(&self.terms).into_iter().map(Arrival::Left).map(begin));
        loop {
            tokio::select! {
                biased;
                () = context.stopped() => break,
                (stream, peer) = self.next(&acceptor, context) => {
                    connections.push(begin(Arrival::New(stream, peer)));
                }
                Some(left) = connections.next(), if !connections.is_empty() => self.keep(left),
            }
        }
        drop(acceptor);
        while let Some(left) = connections.next().await {
            self.keep(left);
        }
        Ok(())
    }

    fn keep(&self, left: Option<Left>) {
        if let Some(left) = left {
            self.listener.leave(&self.terms, left);
        }
    }

    /// Serves one connection, as long as it has a place. What is left of it, if another input goes on with it.
    fn serve<F>(
        &self,
        arrival: Arrival,
        handle: &impl Fn(Client) -> F,
        context: &dyn Context,
    ) -> impl Future<Output = Option<Left>>
    where
        F: Future<Output = Option<Left>>,
    {
        // At once, not when the connection has its turn, so that another one finds the place taken.
        let taken = self.places.take(context.now().sec);
        async move {
            let peer = arrival.peer().clone();
            let place = taken.map_err(|why| self.troubles.turned_away(&peer, why)).ok()?;
            tokio::select! {
                biased;
                () = place.wanted() => {
                    self.troubles.made_way(&peer);
                    None
                }
                left = self.serve_at(Arc::clone(&place), arrival, handle, context) => left,
            }
        }
    }

    async fn serve_at<F>(
        &self,
        place: Arc<Place>,
        arrival: Arrival,
        handle: &impl Fn(Client) -> F,
        context: &dyn Context,
    ) -> Option<Left>
    where
        F: Future<Output = Option<Left>>,
    {
        let (stream, peer) = match arrival {
            Arrival::Left(Left { stream, peer, read }) => {
                return handle(Client { stream, peer, read: Some(read), place }).await;
            }
            Arrival::New(stream, peer) => (stream, peer),
        };
        let shaken = tokio::select! {
            () = context.stopped() => return None,
            shaken = self.handshake(stream, context) => shaken,
        };
        match shaken {
            Ok(stream) => handle(Client { stream, peer, read: None, place }).await,
            Err(error) => {
                self.troubles.no_handshake(&peer, &error);
                None
            }
        }
    }

    async fn next(&self, acceptor: &Acceptor, context: &dyn Context) -> (Stream, Peer) {
        loop {
            match acceptor.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    self.troubles.not_accepted(&error);
                    context.sleep(NO_ROOM).await;
                }
            }
        }
    }

    async fn handshake(&self, stream: Stream, context: &dyn Context) -> io::Result<Stream> {
        match &self.tls {
            Some(tls) => within(context, self.accept_timeout, tls.accept(stream)).await,
            None => Ok(stream),
        }
    }
}
