//! Connections: message after message, until the client ends.

use std::time::Duration;

use flb_event::{ChunkBuilder, Tag};
use flb_net::buffer::{Budget, Buffer, ReadError};
use flb_net::stream::{Client, Left, Peer, stalled};
use flb_plugin::Context;

use super::frames::{Frame, Frames, Framing, HEADER, Message, NoLength};
use super::messages::{Syslog, Wrong};
use crate::shared::complaints::Complaints;
use crate::shared::datagrams::Messages as _;
use crate::shared::served;

/// A batch of so many bytes goes on before the rest of what was read is looked at.
const BATCH: usize = 256 * 1024;

/// What all connections have in common.
pub(super) struct Clients {
    pub(super) tag: Tag,
    pub(super) framing: Framing,
    /// Longest message.
    pub(super) limit: usize,
    /// How long a message that has begun may stand still.
    pub(super) patience: Duration,
    pub(super) budget: Budget,
    pub(super) syslog: Syslog,
}

impl served::Clients for Clients {
    type Wrong = Wrong;

    async fn serve(&self, client: Client, context: &dyn Context) -> Option<Left> {
        let Client { mut stream, peer, read: before, place } = client;
        let mut buffer = Buffer::new(&self.budget, self.limit + HEADER);
        buffer.refill(before.unwrap_or_default());
        let mut frames = Frames::new(self.framing, self.limit);
        let mut ended = false;
        while !ended {
            let patience = self.patience;
            let read = tokio::select! {
                biased;
                () = context.stopped() => {
                    // What is skipped now nobody else could tell from a message.
                    if context.is_replaced() && !frames.is_skipping() {
                        let read = buffer.bytes().to_vec();
                        drop(buffer);
                        return Some(Left { stream, peer, read });
                    }
                    Ok(0)
                }
                read = buffer.read(&mut stream, context, patience) => read,
                () = context.sleep(patience), if !buffer.bytes().is_empty() => {
                    Err(stalled(patience).into())
                }
            };
            ended = self.has_ended(read, &peer);
            let mut is_more = true;
            while is_more {
                let mut batch = ChunkBuilder::new(self.tag.clone());
                let taken = self.take(&mut frames, &mut buffer, &peer, context, &mut batch);
                is_more = taken.unwrap_or_else(|error| {
                    self.syslog.complaints.add(Wrong::NoLength, &peer, error);
                    buffer.consume(usize::MAX);
                    ended = true;
                    false
                });
                if ended && !is_more {
                    self.finish(&frames, &buffer, &peer, context, &mut batch);
                }
                served::hand_on(batch, &place, context).await.ok()?;
            }
        }
        None
    }

    fn complaints(&self) -> &Complaints<Wrong> {
        &self.syslog.complaints
    }
}

impl Clients {
    fn has_ended(&self, read: Result<usize, ReadError>, peer: &Peer) -> bool {
        match read {
            Ok(length) => length == 0,
            Err(error) => {
                self.syslog.complaints.add(Wrong::BrokenOff, peer, error);
                true
            }
        }
    }

    /// Adds the messages that are whole to `batch`, as many as it should have; whether there may be more.
    fn take(
        &self,
        frames: &mut Frames,
        buffer: &mut Buffer<'_>,
        peer: &Peer,
        context: &dyn Context,
        batch: &mut ChunkBuilder,
    ) -> Result<bool, NoLength> {
        while batch.size() < BATCH {
            let Some(Frame { length, message }) = frames.next(buffer.bytes())? else {
                return Ok(false);
            };
            match message {
                Some(Message::Whole(text)) => self.syslog.take(text, peer, context.now(), batch),
                Some(Message::TooLong) => {
                    let why = format_args!("over {} bytes", self.limit);
                    self.syslog.complaints.add(Wrong::TooLong, peer, why);
                }
                None => {}
            }
            buffer.consume(length);
        }
        Ok(true)
    }

    /// Nothing more will come: what is left is a last message, or half of one.
    fn finish(
        &self,
        frames: &Frames,
        buffer: &Buffer<'_>,
        peer: &Peer,
        context: &dyn Context,
        batch: &mut ChunkBuilder,
    ) {
        if let Some(rest) = frames.rest(buffer.bytes()) {
            self.syslog.take(rest, peer, context.now(), batch);
        } else if !buffer.bytes().is_empty() {
            let why = "it ended within a message, which is lost";
            self.syslog.complaints.add(Wrong::BrokenOff, peer, why);
        }
    }
}
