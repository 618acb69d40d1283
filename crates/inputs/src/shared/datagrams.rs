//! What inputs that get datagrams have in common: they take what is there, a batch at a time, until they are stopped; and
//! they tell what the system had to drop.

use std::io;
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Tag, Timestamp};
use flb_net::datagrams::Receiver;
use flb_net::listener::Listener;
use flb_net::stream::Peer;
use flb_plugin::log::Mishaps;
use flb_plugin::{BoxFuture, Build, Context, Counter, End, Input, InputError, Metric};

use super::complaints::{Complaint, Complaints};

/// A batch goes on when it has so many bytes, or is of so many datagrams.
const BATCH: usize = 1 << 20;
const MOST: usize = 4096;
/// So many batches are taken at the end of what the system still has.
const LAST: usize = 64;
/// How long to wait for more of it.
const MOMENT: Duration = Duration::from_millis(20);
/// How often the system is asked for what it dropped.
const LOOK: Duration = Duration::from_secs(10);
/// How long to wait after one.
const PAUSE: Duration = Duration::from_millis(200);

/// Exported as `flb_input_dropped_datagrams_total`.
pub(crate) static DROPPED: Metric =
    Metric::new("dropped_datagrams", "Datagrams that the system had no room for.")
        .worded("datagrams dropped by the system");

/// What makes records of datagrams.
pub(crate) trait Messages: Send + Sync {
    /// What can be wrong with one.
    type Wrong: Complaint;
    /// It was longer than the buffer.
    const CUT: Self::Wrong;

    /// Adds the records of a datagram to `batch`.
    fn take(&self, datagram: &[u8], peer: &Peer, now: Timestamp, batch: &mut ChunkBuilder);

    /// What was wrong.
    fn complaints(&self) -> &Complaints<Self::Wrong>;
}

/// An input that gets datagrams.
pub(crate) struct Datagrams<M> {
    listener: Listener,
    tag: Tag,
    /// Longest datagram; what is longer is cut.
    limit: usize,
    messages: M,
    failed: Mishaps,
    dropped: Counter,
}

impl<M: Messages> Datagrams<M> {
    pub(crate) fn new(listener: Listener, limit: usize, messages: M, build: &Build<'_>) -> Self {
        tracing::info!(
            "{} listening on {} for datagrams",
            messages.complaints().label(),
            listener.address()
        );
        let dropped = build.metrics.counter(&DROPPED);
        let (tag, failed) = (build.tag.clone(), Mishaps::default());
        Self { listener, tag, limit, messages, failed, dropped }
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) fn address(&self) -> String {
        self.listener.address()
    }

    async fn serve(&self, context: &dyn Context) -> Result<(), InputError> {
        let receiver = self.listener.receive()?;
        // The system keeps counting while one input takes the place of another.
        let mut before = receiver.dropped().unwrap_or(0);
        // One byte more, to see what is too long.
        let mut buffer = vec![0; self.limit + 1];
        let mut look = context.sleep(LOOK);
        loop {
            tokio::select! {
                biased;
                () = context.stopped() => break,
                () = &mut look => {
                    self.tell_dropped(&receiver, &mut before);
                    look = context.sleep(LOOK);
                    continue;
                }
                ready = receiver.ready() => if let Err(error) = ready {
                    self.pause(&error, context).await;
                    continue;
                }
            }
            match self.take(&receiver, &mut buffer, context.now()) {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => {
                    if context.emit(batch).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => self.pause(&error, context).await,
            }
        }
        if !context.is_replaced() {
            self.take_last(&receiver, &mut buffer, context).await;
        }
        self.tell_dropped(&receiver, &mut before);
        Ok(())
    }

    /// What is there when nobody comes after this input.
    async fn take_last(&self, receiver: &Receiver, buffer: &mut [u8], context: &dyn Context) {
        for _ in 0..LAST {
            // Only when it has looked again the runtime knows whether anything is there.
            tokio::select! {
                biased;
                _ = receiver.ready() => {}
                () = context.sleep(MOMENT) => return,
            }
            let Ok(batch) = self.take(receiver, buffer, context.now()) else { return };
            if !batch.is_empty() && context.emit(batch).await.is_err() {
                return;
            }
        }
    }

    /// The records of what is there, as far as it fits into a batch.
    fn take(&self, receiver: &Receiver, buffer: &mut [u8], now: Timestamp) -> io::Result<Chunk> {
        let mut batch = ChunkBuilder::new(self.tag.clone());
        for _ in 0..MOST {
            match receiver.take(buffer) {
                Ok((length, peer)) => self.push(&buffer[..length], &peer, now, &mut batch),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if batch.is_empty() => return Err(error),
                // It comes again, if it is one that lasts.
                Err(_) => break,
            }
            if batch.size() > BATCH {
                break;
            }
        }
        Ok(batch.build())
    }

    fn push(&self, datagram: &[u8], peer: &Peer, now: Timestamp, batch: &mut ChunkBuilder) {
        let cut = &datagram[..datagram.len().min(self.limit)];
        if cut.len() < datagram.len() {
            let why = format_args!("over {} bytes", self.limit);
            self.messages.complaints().add(M::CUT, peer, why);
        }
        if !cut.is_empty() {
            self.messages.take(cut, peer, now, batch);
        }
    }

    /// After an error of the system's.
    async fn pause(&self, error: &io::Error, context: &dyn Context) {
        if let Some(total) = self.failed.another() {
            let label = self.messages.complaints().label();
            tracing::error!("{label} cannot receive: {error} ({total} so far)");
        }
        context.sleep(PAUSE).await;
    }

    fn tell_dropped(&self, receiver: &Receiver, before: &mut u64) {
        let Some(total) = receiver.dropped() else { return };
        let more = total.saturating_sub(std::mem::replace(before, total));
        if more > 0 {
            self.dropped.add(more);
            tracing::warn!(
                "{} the system has dropped {more} datagrams, as more came than were read ({} so far); \
                 receive_buffer_size gives them more room",
                self.messages.complaints().label(),
                self.dropped.get()
            );
        }
    }
}

impl<M: Messages> Input for Datagrams<M> {
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            self.serve(context).await?;
            self.messages.complaints().sum_up();
            Ok(End::Quiet)
        })
    }
}

/// Runs `client` against an input, then stops it; the records that came out.
#[cfg(test)]
pub(crate) fn serve<M: Messages, F: Future<Output = ()>>(
    input: impl FnOnce() -> Datagrams<M>,
    client: impl FnOnce(String, flb_harness::net::Desk) -> F,
) -> Vec<String> {
    let begin = || {
        let input = input();
        let address = input.address();
        (input, address)
    };
    flb_harness::net::serve(begin, client)
}
