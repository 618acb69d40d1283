//! One connection after its TLS handshake: the protocol's own handshake, then message after message.

use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Tag, msgpack};
use flb_plugin::{Closed, Context};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::shared::complaints::{Complaint, Complaints};
use crate::shared::served;
use flb_net::buffer::{Budget, Buffer, ReadError};
use flb_net::forward::decode::{self, Entry, ForwardError, Message, Records, Scan};
use flb_net::forward::handshake::{Helo, Ping, Pong, random};
use flb_net::places::Place;
use flb_net::stream::{Client, Left, Peer, Stream, within};
use flb_plugin::log::excerpt;

/// A batch over this size is handed on before the rest of its message is read.
const BATCH: usize = 1_000_000;
/// Longest message of a handshake.
const LONGEST_PING: usize = 16 * 1024;

/// What all connections have in common.
pub(super) struct Clients {
    pub(super) naming: Naming,
    /// Longest message.
    pub(super) limit: usize,
    pub(super) security: Option<Security>,
    /// How long the handshake may take.
    pub(super) accept_timeout: Duration,
    pub(super) patience: Duration,
    pub(super) budget: Budget,
    /// Held while a message is taken apart, so that there is only one such message in memory.
    pub(super) turn: Mutex<()>,
    pub(super) complaints: Complaints<Wrong>,
}

/// How records are tagged.
#[derive(Debug)]
pub(super) enum Naming {
    /// With this, whatever the sender says.
    Always(Tag),
    /// As the sender says, with this before it.
    Prefixed(String),
}

/// What clients must prove.
#[derive(Debug)]
pub(super) struct Security {
    pub(super) key: String,
    pub(super) hostname: String,
    pub(super) users: Vec<(String, String)>,
}

/// What a client can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Malformed,
    TooLong,
    Refused,
    BrokenOff,
    NoRecord,
    NoTime,
    NotLogs,
    Group,
}

impl Complaint for Wrong {
    const ALL: &'static [Self] = &[
        Self::Malformed,
        Self::TooLong,
        Self::Refused,
        Self::BrokenOff,
        Self::NoRecord,
        Self::NoTime,
        Self::NotLogs,
        Self::Group,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Malformed => "a message cannot be read, the connection is closed",
            Self::TooLong => "a message is above buffer_max_size, the connection is closed",
            Self::Refused => "the client is refused",
            Self::BrokenOff => "the connection broke off within a message",
            Self::NoRecord => "an entry that is no record is dropped",
            Self::NoTime => "a record without a usable time gets the time of its arrival",
            Self::NotLogs => "metrics and traces are not supported, a message is dropped",
            Self::Group => "a marker of a group of records is dropped, its records are kept",
        }
    }
}

/// The connection is to be closed.
struct Close;

impl From<Closed> for Close {
    fn from(_: Closed) -> Self {
        Self
    }
}

impl served::Clients for Clients {
    type Wrong = Wrong;

    async fn serve(&self, client: Client, context: &dyn Context) -> Option<Left> {
        let Client { mut stream, peer, read: before, place } = client;
        let mut connection = Connection {
            clients: self,
            buffer: Buffer::new(&self.budget, self.limit),
            stream: &mut stream,
            peer: &peer,
            place: &place,
            context,
            is_stopped: false,
        };
        let is_known = before.is_some();
        connection.buffer.refill(before.unwrap_or_default());
        // Whatever ended it was logged where it happened.
        let is_sound = connection.serve(is_known).await.is_ok();
        if is_sound && connection.is_stopped && context.is_replaced() {
            let read = connection.buffer.bytes().to_vec();
            drop(connection);
            return Some(Left { stream, peer, read });
        }
        drop(connection);
        // The other end may be gone.
        let _ = within(context, self.patience, stream.shutdown()).await;
        None
    }

    fn complaints(&self) -> &Complaints<Wrong> {
        &self.complaints
    }
}

impl Clients {
    fn tag(&self, sender: &[u8]) -> Result<Tag, ForwardError> {
        match &self.naming {
            Naming::Always(tag) => Ok(tag.clone()),
            Naming::Prefixed(prefix) => {
                let tag = format!("{prefix}{}", String::from_utf8_lossy(sender));
                Tag::new(&tag).map_err(|_| ForwardError::Shape("a tag has at most 65531 bytes"))
            }
        }
    }
}

struct Connection<'c> {
    clients: &'c Clients,
    buffer: Buffer<'c>,
    stream: &'c mut Stream,
    peer: &'c Peer,
    place: &'c Place,
    context: &'c dyn Context,
    /// It ended because the input shall stop.
    is_stopped: bool,
}

impl Connection<'_> {
    /// `is_known`: the handshake was with an input like this one.
    async fn serve(&mut self, is_known: bool) -> Result<(), Close> {
        if let Some(security) = self.clients.security.as_ref().filter(|_| !is_known) {
            self.handshake(security).await?;
        }
        while let Some(length) = self.message(self.clients.limit).await? {
            self.place.begin();
            if let Some(acknowledgement) = self.take(length).await? {
                self.send(&acknowledgement).await?;
            }
            self.buffer.consume(length);
            self.place.done(self.context.now().sec);
        }
        Ok(())
    }

    fn complain(&self, wrong: Wrong, why: impl std::fmt::Display) -> Close {
        self.clients.complaints.add(wrong, self.peer, why);
        Close
    }

    /// Waits until the buffer begins with a whole value, and returns its length; `None` when the client has ended or the
    /// input shall stop.
    async fn message(&mut self, limit: usize) -> Result<Option<usize>, Close> {
        let mut scan = Scan::default();
        loop {
            match scan.advance(self.buffer.bytes()) {
                Ok(Some(length)) => return Ok(Some(length)),
                Ok(None) => {}
                Err(error) => return Err(self.complain(Wrong::Malformed, error)),
            }
            let begun = self.buffer.bytes().len();
            if begun >= limit {
                return Err(self.complain(Wrong::TooLong, ReadError::TooLong(limit)));
            }
            let patience = self.clients.patience;
            let (context, stream, buffer) = (self.context, &mut *self.stream, &mut self.buffer);
            let read = tokio::select! {
                biased;
                () = context.stopped() => {
                    self.is_stopped = true;
                    return Ok(None);
                }
                read = buffer.read(stream, context, patience) => read,
                // Between messages a client may be silent as long as it likes.
                () = context.sleep(patience), if begun > 0 => {
                    Err(flb_net::stream::stalled(patience).into())
                }
            };
            match read {
                Ok(0) if begun == 0 => return Ok(None),
                Ok(0) => return Err(self.complain(Wrong::BrokenOff, "it was closed")),
                Ok(_) => {}
                Err(ReadError::TooLong(_)) => {
                    return Err(self.complain(Wrong::TooLong, ReadError::TooLong(limit)));
                }
                Err(ReadError::Io(_)) if begun == 0 => return Ok(None),
                Err(ReadError::Io(error)) => return Err(self.complain(Wrong::BrokenOff, error)),
            }
        }
    }

    async fn send(&mut self, data: &[u8]) -> Result<(), Close> {
        let stream = &mut *self.stream;
        let sent = within(self.context, self.clients.patience, async {
            stream.write_all(data).await?;
            stream.flush().await
        });
        sent.await.map_err(|error| self.complain(Wrong::BrokenOff, error))
    }

    async fn handshake(&mut self, security: &Security) -> Result<(), Close> {
        let random = || random().map(Vec::from);
        let made = random().and_then(|nonce| Ok((nonce, random()?)));
        let (nonce, auth) = made.map_err(|error| self.complain(Wrong::Refused, error))?;
        let auth = if security.users.is_empty() { Vec::new() } else { auth };
        let helo = Helo { nonce, auth };
        self.send(&helo.encode()).await?;
        let sleep = self.context.sleep(self.clients.accept_timeout);
        let waited = tokio::select! {
            message = self.message(LONGEST_PING) => message?,
            () = sleep => return Err(self.complain(Wrong::Refused, "it sends no PING")),
        };
        let Some(length) = waited else { return Err(Close) };
        let Some(ping) = Ping::decode(&self.buffer.bytes()[..length]) else {
            return Err(self.complain(Wrong::Refused, "it sends no PING; it needs the shared key"));
        };
        self.buffer.consume(length);
        let checked = if !ping.knows(&helo, &security.key) {
            Err("shared key mismatch")
        } else if !security.users.is_empty() && !security.knows_user(&helo, &ping) {
            Err("username/password mismatch")
        } else {
            Ok(())
        };
        let pong = Pong::new(&helo, &ping, &security.hostname, &security.key, checked);
        self.send(&pong.encode()).await?;
        checked.map_err(|reason| self.complain(Wrong::Refused, reason))
    }

    /// Hands on the records of the message that the buffer begins with; returns the acknowledgement if one is wanted.
    async fn take(&self, length: usize) -> Result<Option<Vec<u8>>, Close> {
        let malformed = |error: ForwardError| match error {
            ForwardError::Bomb(_) => self.complain(Wrong::TooLong, error),
            _ => self.complain(Wrong::Malformed, error),
        };
        let message = decode::message(&self.buffer.bytes()[..length]).map_err(malformed)?;
        if message.is_logs {
            let tag = self.clients.tag(message.tag).map_err(malformed)?;
            let _turn = self.clients.turn.lock().await;
            self.take_records(&message, tag).await?;
        } else {
            self.complain(Wrong::NotLogs, excerpt(message.tag));
        }
        Ok(message.chunk.map(acknowledgement))
    }

    async fn take_records(&self, message: &Message<'_>, tag: Tag) -> Result<(), Close> {
        let unpacked = message.entries.unpack(self.clients.limit);
        let (unpacked, damage) = unpacked.map_err(|error| match error {
            ForwardError::Bomb(_) => self.complain(Wrong::TooLong, error),
            _ => self.complain(Wrong::Malformed, error),
        })?;
        let mut batch = ChunkBuilder::new(tag.clone());
        let mut malformed = damage;
        for entry in Records::new(&message.entries, &unpacked) {
            match entry {
                Ok(entry) => self.push(entry, &mut batch),
                Err(error) => malformed = malformed.or(Some(error.into())),
            }
            if batch.size() >= BATCH {
                let full = std::mem::replace(&mut batch, ChunkBuilder::new(tag.clone()));
                self.emit(full.build()).await?;
            }
        }
        if !batch.is_empty() {
            self.emit(batch.build()).await?;
        }
        match malformed {
            Some(error) => Err(self.complain(Wrong::Malformed, error)),
            None => Ok(()),
        }
    }

    fn push(&self, entry: Entry<'_>, batch: &mut ChunkBuilder) {
        match entry {
            Entry::Record { time, metadata, body } => {
                let time = time.unwrap_or_else(|| {
                    self.complain(Wrong::NoTime, "it is not a number, or is beyond the year 2106");
                    self.context.now()
                });
                let pushed: Result<(), RecordTooLarge> = batch.push(Event { time, metadata, body });
                if let Err(error) = pushed {
                    self.complain(Wrong::NoRecord, error);
                }
            }
            Entry::Group => drop(self.complain(Wrong::Group, "groups are not supported")),
            Entry::NoRecord(raw) => {
                let mut text = Vec::new();
                if flb_event::text::write(raw, &mut text).is_ok() {
                    self.complain(Wrong::NoRecord, excerpt(&text));
                }
            }
        }
    }

    async fn emit(&self, batch: Chunk) -> Result<(), Closed> {
        self.context.emit(batch).await
    }
}

impl Security {
    fn knows_user(&self, helo: &Helo, ping: &Ping) -> bool {
        // All of them are tried, so that the time does not tell which one it is.
        let known = self.users.iter().map(|(user, password)| ping.is_user(helo, (user, password)));
        known.fold(false, |any, one| any | one)
    }
}

/// `{"ack": chunk}`
fn acknowledgement(chunk: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(chunk.len() + 5);
    msgpack::write_map_header(&mut out, 1);
    msgpack::write_str(&mut out, "ack");
    out.extend_from_slice(chunk);
    out
}
