//! Where lanes take an input's batches, and put down what is left of them in the order in which the batches came, however long
//! each took in the filters. A lane that is through with a batch waits for those before it, so each lane holds one.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flb_config::keys::Word;

use super::gathering::Gathering;
use crate::count::Shared;
use crate::source::{Batch, Received, Receiver};

/// How an input's lanes share its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each tag has its lane.
    ByTag,
    /// Whichever lane is free takes the next batch.
    InTurn,
}

impl Word for Sharing {
    const ALL: &'static [(&'static str, Self)] = &[("tag", Self::ByTag), ("turn", Self::InTurn)];
}

impl Sharing {
    /// The lanes at each desk.
    pub(crate) fn desks<T>(self, lanes: Vec<T>) -> Vec<Vec<T>> {
        match self {
            Self::ByTag => lanes.into_iter().map(|lane| vec![lane]).collect(),
            Self::InTurn => vec![lanes],
        }
    }
}

/// A queue of batches and where they end up.
pub(crate) struct Desk {
    queue: Shared<Queue>,
    /// The number of the batch whose lane may put down what is left of it.
    turn: Shared<u64>,
    turned: Condvar,
    gathering: Shared<Gathering>,
}

struct Queue {
    receiver: Receiver,
    /// How many batches were taken, and ends noticed.
    taken: u64,
    flush_every: Duration,
    /// When to flush next.
    due: Instant,
    /// Whether batches were looked for since the last flush: however often that is, it does not keep them waiting.
    has_looked: bool,
}

/// What a lane is to do.
pub(crate) enum Taken<'a> {
    Batch(Batch, Turn<'a>),
    /// Flush.
    Due,
    /// End: nothing more will come.
    Closed(Turn<'a>),
}

/// A batch's place in the order. When it is dropped, the next one has its turn.
pub(crate) struct Turn<'a> {
    desk: &'a Desk,
    number: u64,
}

impl Desk {
    /// One with nothing on it.
    pub(crate) fn new(receiver: Receiver, flush_every: Duration, gathering: Gathering) -> Self {
        let due = Instant::now() + flush_every;
        Self {
            queue: Shared::new(Queue { receiver, taken: 0, flush_every, due, has_looked: false }),
            turn: Shared::default(),
            turned: Condvar::new(),
            gathering: Shared::new(gathering),
        }
    }

    /// Waits for something to do. One lane waits for batches, and others for that lane.
    pub(crate) fn take(&self) -> Taken<'_> {
        let mut queue = self.queue.lock();
        loop {
            let now = Instant::now();
            if now >= queue.due && queue.has_looked {
                queue.due = now + queue.flush_every;
                queue.has_looked = false;
                return Taken::Due;
            }
            queue.has_looked = true;
            match queue.receiver.receive(queue.due.saturating_duration_since(now)) {
                Received::Batch(batch) => return Taken::Batch(batch, self.next(&mut queue)),
                Received::Closed => return Taken::Closed(self.next(&mut queue)),
                Received::Nothing => {}
            }
        }
    }

    fn next(&self, queue: &mut Queue) -> Turn<'_> {
        queue.taken += 1;
        Turn { desk: self, number: queue.taken - 1 }
    }

    /// Where what is left of batches is gathered.
    pub(crate) fn gathering(&self) -> MutexGuard<'_, Gathering> {
        self.gathering.lock()
    }
}

impl Turn<'_> {
    /// Waits until all batches before this one are done.
    pub(crate) fn wait(&self) {
        drop(self.come());
    }

    fn come(&self) -> MutexGuard<'_, u64> {
        let turn = self.desk.turn.lock();
        let is_early = |turn: &mut u64| *turn != self.number;
        self.desk.turned.wait_while(turn, is_early).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.come() += 1;
        self.desk.turned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::gathering::tests::{batch, gathering};
    use super::*;
    use crate::source::queue;
    use crate::storage::Held;

    #[tokio::test]
    async fn flushes_that_are_always_due_keep_no_batch_waiting() {
        let (sender, receiver) = queue(2);
        let gathering = gathering();
        for _ in 0..2 {
            let (chunk, held) = (batch(), Held::new(&gathering.row.buffer, 0));
            sender.send(Batch { chunk, held, stored: None, handed: Instant::now() }).await.unwrap();
        }
        drop(sender);
        let desk = Desk::new(receiver, Duration::ZERO, gathering);
        let taken = (0..6).map(|_| match desk.take() {
            Taken::Batch(..) => "batch",
            Taken::Due => "due",
            Taken::Closed(_) => "closed",
        });
        let taken: Vec<_> = taken.collect();
        assert_eq!(taken, ["batch", "due", "batch", "due", "closed", "due"]);
    }
}
