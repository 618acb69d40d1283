//! Memory for what comes in: one buffer a connection, and one budget for all connections of an input, so that many clients
//! that each begin a great message cannot take more than the agent can give.

use std::io;
use std::time::Duration;

use flb_plugin::Context;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::stream::within;

/// What one unit of a budget stands for. Smaller buffers are for free.
const UNIT: usize = 64 * 1024;
/// What the buffers of one input may hold together.
const BUDGET: usize = 256 * 1024 * 1024;

/// The memory that all connections of one input share.
#[derive(Debug)]
pub struct Budget(Semaphore);

impl Budget {
    /// At least one buffer of `largest` bytes has room.
    pub fn new(largest: usize) -> Self {
        Self(Semaphore::new(BUDGET.max(largest.saturating_add(UNIT)) / UNIT))
    }

    /// Takes memory until `held` is enough for `size` bytes; waits for others, but not longer than `patience`.
    pub async fn hold<'b>(
        &'b self,
        held: &mut Option<SemaphorePermit<'b>>,
        size: usize,
        context: &dyn Context,
        patience: Duration,
    ) -> io::Result<()> {
        let units = u32::try_from(size / UNIT).unwrap_or(u32::MAX);
        let enough = held.as_ref().map_or(0, |held| held.num_permits() as u32);
        if units <= enough {
            return Ok(());
        }
        let more = async { self.0.acquire_many(units - enough).await.map_err(io::Error::other) };
        let more = within(context, patience, more).await?;
        match held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Why a buffer took no more.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// One message needs more than the configuration allows.
    #[error("a message is longer than {0} bytes")]
    TooLong(usize),
    /// Reading failed, or stood still too long.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What came in on one connection and is not used up yet.
#[derive(Debug)]
pub struct Buffer<'b> {
    data: Vec<u8>,
    start: usize,
    limit: usize,
    budget: &'b Budget,
    held: Option<SemaphorePermit<'b>>,
}

impl<'b> Buffer<'b> {
    /// An empty buffer for messages of at most `limit` bytes.
    pub fn new(budget: &'b Budget, limit: usize) -> Self {
        Self { data: Vec::new(), start: 0, limit, budget, held: None }
    }

    /// Begins with what was read before.
    pub fn refill(&mut self, data: Vec<u8>) {
        self.data = data;
    }

    /// What is not used up.
    pub fn bytes(&self) -> &[u8] {
        &self.data[self.start..]
    }

    /// Uses up the first `length` bytes.
    pub fn consume(&mut self, length: usize) {
        self.start = self.data.len().min(self.start.saturating_add(length));
        if self.start == self.data.len() {
            self.data.clear();
            self.start = 0;
        }
        if self.data.is_empty() && self.data.capacity() > UNIT {
            self.data = Vec::new();
            self.held = None;
        }
    }

    /// Reads more, as much as is there; `Ok(0)` is the end. Waits for memory if others hold all of it, but not longer than
    /// `patience`.
    pub async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin + ?Sized),
        context: &dyn Context,
        patience: Duration,
    ) -> Result<usize, ReadError> {
        self.make_room(context, patience).await?;
        Ok(stream.read_buf(&mut self.data).await?)
    }

    async fn make_room(
        &mut self,
        context: &dyn Context,
        patience: Duration,
    ) -> Result<(), ReadError> {
        if self.data.len() < self.data.capacity() {
            return Ok(());
        }
        self.data.drain(..self.start);
        self.start = 0;
        if self.data.len() >= self.limit {
            return Err(ReadError::TooLong(self.limit));
        }
        if self.data.len() < self.data.capacity() {
            return Ok(());
        }
        let size = (self.data.len() * 2).clamp(UNIT / 4, self.limit.max(UNIT / 4));
        self.budget.hold(&mut self.held, size, context, patience).await?;
        self.data.reserve_exact(size - self.data.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::net::{Desk, block_on};

    const SHORT: Duration = Duration::from_millis(1);

    async fn fill(buffer: &mut Buffer<'_>, desk: &Desk, data: &[u8]) -> Result<(), ReadError> {
        let mut rest = data;
        while !rest.is_empty() {
            buffer.read(&mut rest, desk, SHORT).await?;
        }
        Ok(())
    }

    #[test]
    fn a_buffer_grows_to_its_limit_and_no_further() {
        block_on(async {
            let (desk, budget) = (Desk::default(), Budget::new(0));
            let mut buffer = Buffer::new(&budget, 100_000);
            fill(&mut buffer, &desk, &[7; 100_000]).await.unwrap();
            assert_eq!(buffer.bytes().len(), 100_000);
            let more = fill(&mut buffer, &desk, &[7]).await;
            assert!(matches!(more, Err(ReadError::TooLong(100_000))));
            buffer.consume(1);
            fill(&mut buffer, &desk, &[8]).await.unwrap();
            assert_eq!(buffer.bytes()[99_999], 8);
            buffer.consume(100_000);
            assert!(buffer.bytes().is_empty() && buffer.held.is_none());
        });
    }

    #[test]
    fn buffers_wait_for_each_other_s_memory() {
        block_on(async {
            let (desk, budget) = (Desk::default(), Budget(Semaphore::new(2)));
            let (mut one, mut other) =
                (Buffer::new(&budget, 1 << 20), Buffer::new(&budget, 1 << 20));
            fill(&mut one, &desk, &[7; UNIT * 2]).await.unwrap();
            assert!(fill(&mut other, &desk, &[7; UNIT * 2]).await.is_err());
            one.consume(UNIT * 2);
            let mut other = Buffer::new(&budget, 1 << 20);
            fill(&mut other, &desk, &[7; UNIT * 2]).await.unwrap();
        });
    }
}
