//! What an agent before this one stored and did not deliver: read at the start, before any lane runs, so that the records
//! of a tag keep their order.

use std::sync::Arc;

use crate::books::InputRow;
use crate::flow::{Full, Router, Unrouted};
use crate::stop::Stop;
use crate::storage::{Found, Held, Storage, StorageError};

pub(crate) struct Leftovers {
    pub(crate) storage: Arc<Storage>,
    pub(crate) router: Router,
    /// Counts what is found.
    pub(crate) row: Arc<InputRow>,
    /// Most bytes to keep in memory; the rest is read again when its turn comes.
    pub(crate) memory: usize,
}

impl Leftovers {
    /// Routes all chunks that are there. Ends early, and leaves the rest there, when the stop is asked for.
    pub(crate) fn route(self, stop: &Stop) -> Result<(), StorageError> {
        let chunks = self.storage.chunks()?;
        let (total, mut sent) = (chunks.len(), 0);
        for (name, path) in chunks {
            if stop.is_asked() {
                break;
            }
            if let Some(found) = self.storage.read(name, path) {
                sent += usize::from(self.route_one(found));
            }
        }
        if total > 0 {
            let records = self.row.records.get();
            tracing::info!(
                "[storage] {sent} chunks with {records} records were there at the start"
            );
        }
        Ok(())
    }

    fn route_one(&self, found: Found) -> bool {
        let Found { name, file, chunk, settled } = found;
        let (tag, records, bytes) = (chunk.tag().clone(), chunk.len(), chunk.bytes().len());
        let is_up = self.row.buffer.used() + bytes <= self.memory;
        let held = Held::new(&self.row.buffer, bytes);
        let full = Full { name, chunk, held, file: Some(file), is_up };
        self.row.chunks.add(1);
        match self.router.route_again(&self.row, full, &settled) {
            Ok(()) => {
                self.row.records.add(records);
                self.row.bytes.add(bytes);
                self.row.routed.add(records);
                return true;
            }
            Err(Unrouted { file: Some(file), is_settled: true }) => file.delete(),
            Err(_) => tracing::warn!(
                "[storage] chunk '{name}' with {records} records of tag '{tag}' matches no output and stays there"
            ),
        }
        false
    }
}
