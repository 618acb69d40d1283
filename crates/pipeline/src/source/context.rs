//! What an input is lent: the clock, the way into its lanes, and word of the stop. The wall clock is read here only.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use flb_event::{Chunk, Tag, Timestamp};
use flb_plugin::{BoxFuture, Closed, Context, LongLines};
use tokio::sync::oneshot;

use super::queue::{Batch, Sender};
use crate::books::InputRow;
use crate::stop::Stop;
use crate::storage::{Held, Slots};

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
    /// Into each lane, or the one desk of all: at least one.
    pub(crate) lanes: Vec<Sender>,
    pub(crate) row: Arc<InputRow>,
    /// Pauses the input while no place in memory is left.
    pub(crate) pausing: Option<Slots>,
    pub(crate) stop: Stop,
    /// Asked for before the stop when another pipeline will go on.
    pub(crate) hold: Stop,
}

impl InputContext {
    /// Waits while the input is paused.
    async fn room(&self) {
        tokio::select! {
            biased;
            () = self.room_in_memory() => {}
            () = self.replaced() => {}
        }
    }

    /// Completes when the input shall stop and another pipeline takes over what this one has. Then there is no use in
    /// waiting for room.
    async fn replaced(&self) {
        self.stop.asked().await;
        if !self.hold.is_asked() {
            std::future::pending().await
        }
    }

    async fn room_in_memory(&self) {
        self.row.buffer.room().await;
        if let Some(slots) = self.pausing.as_ref().filter(|slots| slots.is_full()) {
            let name = &self.row.instance.name;
            tracing::warn!(parent: None, "[input] {name} paused (storage buf overlimit)");
            self.row.waiting.add(1);
            let _waiting = Waiting(&self.row);
            slots.room().await;
            tracing::info!(parent: None, "[input] {name} resume (storage buf overlimit)");
        }
    }

    /// The lane of a tag: always the same one, so that the records of a tag keep their order.
    fn lane(&self, tag: &Tag) -> &Sender {
        let mut hasher = DefaultHasher::new();
        tag.hash(&mut hasher);
        &self.lanes[(hasher.finish() % self.lanes.len() as u64) as usize]
    }
}

/// An input that waits until this is dropped.
struct Waiting<'a>(&'a InputRow);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.sub(1);
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
            let handed = Instant::now();
            self.room().await;
            let (records, bytes) = (batch.len(), batch.bytes().len());
            let held = Held::new(&self.row.buffer, bytes);
            let lane = self.lane(batch.tag());
            if self.row.is_stored {
                // The lane counts what it stores, also if nobody waits for it any more.
                let (stored, is_stored) = oneshot::channel();
                lane.send(Batch { chunk: batch, held, stored: Some(stored), handed }).await?;
                return is_stored.await.map_err(|_| Closed);
            }
            lane.send(Batch { chunk: batch, held, stored: None, handed }).await?;
            self.row.records.add(records);
            self.row.bytes.add(bytes);
            Ok(())
        })
    }

    fn count_long_lines(&self, lines: LongLines) {
        let count = |lines: u64| usize::try_from(lines).unwrap_or(usize::MAX);
        self.row.skipped_lines.add(count(lines.skipped));
        self.row.cut_lines.add(count(lines.truncated));
    }

    fn is_replaced(&self) -> bool {
        self.hold.is_asked()
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.asked())
    }
}
