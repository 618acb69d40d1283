//! The bounded queue between an input, which is async, and its lane, which is a thread.
//!
//! Permits bound the number of batches; a plain channel carries them, so the lane waits with a deadline and without a
//! runtime. Dropping either end wakes the other.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flb_event::Chunk;
use flb_plugin::Closed;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::storage::Held;

/// Records on their way into a lane.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) chunk: Chunk,
    /// Their memory.
    pub(crate) held: Held,
    /// Hears when they are stored. Dropped without a word if they are not.
    pub(crate) stored: Option<oneshot::Sender<()>>,
    /// When the input had them.
    pub(crate) handed: Instant,
}

type Item = (Batch, OwnedSemaphorePermit);

/// The input's end.
#[derive(Debug)]
pub(crate) struct Sender {
    room: Arc<Semaphore>,
    items: mpsc::Sender<Item>,
}

/// The lane's end.
#[derive(Debug)]
pub(crate) struct Receiver(mpsc::Receiver<Item>);

/// What came of waiting for a batch.
#[derive(Debug)]
pub(crate) enum Received {
    Batch(Batch),
    /// Nothing within the time.
    Nothing,
    /// Nothing, and nothing will come.
    Closed,
}

/// A queue of at most `capacity` batches.
pub(crate) fn queue(capacity: usize) -> (Sender, Receiver) {
    let (items, receiver) = mpsc::channel();
    (Sender { room: Arc::new(Semaphore::new(capacity)), items }, Receiver(receiver))
}

impl Sender {
    /// Waits for room, then hands the batch over.
    pub(crate) async fn send(&self, batch: Batch) -> Result<(), Closed> {
        let permit = self.room.clone().acquire_owned().await.map_err(|_| Closed)?;
        self.items.send((batch, permit)).map_err(|_| Closed)
    }
}

impl Receiver {
    /// Waits for the next batch, at most `timeout`. Taking it makes room.
    pub(crate) fn receive(&self, timeout: Duration) -> Received {
        match self.0.recv_timeout(timeout) {
            Ok((batch, _permit)) => Received::Batch(batch),
            Err(mpsc::RecvTimeoutError::Timeout) => Received::Nothing,
            Err(mpsc::RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use flb_event::{ChunkBuilder, Tag};

    use super::*;
    use crate::books::InputRow;
    use crate::instance::Instance;
    use flb_config::Role;

    fn batch() -> Batch {
        let name = "in.0".into();
        let instance = Instance::new(Role::Input, "in", name);
        let held = Held::new(&InputRow::new(instance, None).buffer, 0);
        let chunk = ChunkBuilder::new(Tag::new("t").unwrap()).build();
        Batch { chunk, held, stored: None, handed: Instant::now() }
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_sender_wait_until_there_is_room() {
        let (sender, receiver) = queue(2);
        sender.send(batch()).await.unwrap();
        sender.send(batch()).await.unwrap();
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, sender.send(batch())).await.is_err());
        assert!(matches!(receiver.receive(soon), Received::Batch(_)));
        sender.send(batch()).await.unwrap();
        drop(sender);
        assert!(matches!(receiver.receive(soon), Received::Batch(_)));
        assert!(matches!(receiver.receive(soon), Received::Batch(_)));
        assert!(matches!(receiver.receive(soon), Received::Closed));
    }

    #[tokio::test]
    async fn a_sender_that_waits_hears_that_the_lane_is_gone() {
        let (sender, receiver) = queue(1);
        sender.send(batch()).await.unwrap();
        let (sent, ()) = tokio::join!(sender.send(batch()), async {
            tokio::task::yield_now().await;
            drop(receiver);
        });
        assert_eq!(sent, Err(Closed));
    }

    #[test]
    fn an_empty_queue_lets_the_lane_go_on_after_a_while() {
        let (_sender, receiver) = queue(1);
        assert!(matches!(receiver.receive(Duration::from_millis(1)), Received::Nothing));
    }
}
