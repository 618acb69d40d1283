//! What an input is lent: the clock, the way into its lanes, and word of the stop. The wall clock is read here only.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flb_event::{Chunk, Tag, Timestamp};
use flb_plugin::{BoxFuture, Closed, Context};

use crate::buffer::Held;
use crate::counters::InputRow;
use crate::queue::{Batch, Sender};
use crate::stop::Stop;

/// The time of the day.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one clock that all contexts lend")]
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        sec: u32::try_from(since_epoch.as_secs()).unwrap_or(u32::MAX),
        nsec: since_epoch.subsec_nanos(),
    }
}

/// The context of one input. Dropping it tells the lanes that nothing more will come.
pub(crate) struct InputContext {
    /// At least one.
    pub(crate) lanes: Vec<Sender>,
    pub(crate) row: Arc<InputRow>,
    pub(crate) stop: Stop,
}

impl InputContext {
    /// The lane of a tag: always the same one, so that the records of a tag keep their order.
    fn lane(&self, tag: &Tag) -> &Sender {
        let mut hasher = DefaultHasher::new();
        tag.hash(&mut hasher);
        &self.lanes[(hasher.finish() % self.lanes.len() as u64) as usize]
    }
}

impl Context for InputContext {
    fn now(&self) -> Timestamp {
        now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn emit(&self, batch: Chunk) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(());
            }
            self.row.buffer.room().await;
            let (records, bytes) = (batch.len(), batch.bytes().len());
            let held = Held::new(&self.row, bytes);
            self.lane(batch.tag()).send(Batch { chunk: batch, held }).await?;
            self.row.records.add(records);
            self.row.bytes.add(bytes);
            Ok(())
        })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.asked())
    }
}
