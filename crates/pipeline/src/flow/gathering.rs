//! Gathers what lanes let through in open chunks, one a tag, and hands full or due ones to the router.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Spares, Tag};

use super::router::{Router, Unrouted};
use super::task::Full;
use crate::books::InputRow;
use crate::source::context;
use crate::stop::Stop;
use crate::storage::{ChunkFile, ChunkName, Held, Storage};

/// A chunk over this size leaves at once instead of waiting for the flush.
const FULL_CHUNK: usize = 2_048_000;
/// A chunk that gets over this size mostly gets full, so it is given all the memory at once: growing step by step takes
/// half as much again.
const LIKELY_FULL: usize = FULL_CHUNK / 4;

/// The open chunks of the lanes that share a desk.
pub(crate) struct Gathering {
    pub(crate) router: Router,
    pub(crate) row: Arc<InputRow>,
    /// Where chunks are stored, if they are.
    pub(crate) storage: Option<Arc<Storage>>,
    /// Asked for when nobody shall wait for the storage any more.
    pub(crate) cut: Stop,
    /// Both asked for when another pipeline is to take over: deliveries are held, so nothing makes room in the storage.
    pub(crate) hold: Stop,
    pub(crate) stop: Stop,
    pub(crate) open: BTreeMap<Tag, Open>,
    /// Chunks that were routed: once they are delivered, later ones are gathered in their memory.
    pub(crate) spares: Spares,
}

impl Gathering {
    /// Adds a batch to the open chunk of its tag. Waits while it cannot be stored; false when the wait is cut off.
    pub(crate) fn gather(&mut self, batch: &Chunk, held: Held) -> bool {
        let tag = batch.tag();
        let mut failures = 0;
        let mut open = loop {
            match self.add(batch) {
                Ok(open) => break open,
                Err(error) => {
                    // What is delivered makes room.
                    self.flush();
                    failures += 1;
                    if !self.wait_for_storage(&error, failures) {
                        return false;
                    }
                }
            }
        };
        if failures > 1 {
            tracing::info!("[storage] records of {} are stored again", self.row.instance.name);
        }
        open.held.merge(held);
        if open.builder.size() >= FULL_CHUNK {
            self.route(open);
        } else {
            self.open.insert(tag.clone(), open);
        }
        true
    }

    /// The open chunk with the batch in it, in its file first. After an error the open chunk is routed as it was.
    fn add(&mut self, batch: &Chunk) -> io::Result<Open> {
        let tag = batch.tag();
        let mut open = match self.open.remove(tag) {
            Some(open) if open.fits(batch) => open,
            other => {
                if let Some(full) = other {
                    self.route(full);
                }
                let builder = self.spares.builder(tag.clone());
                Open::new(builder, &self.row, self.storage.as_deref())?
            }
        };
        match open.append(batch) {
            Ok(()) => Ok(open),
            Err(error) if open.builder.is_empty() => {
                open.discard(&self.row);
                Err(error)
            }
            Err(error) => {
                self.route(open);
                Err(error)
            }
        }
    }

    /// Waits a second, but for the first time, as another file may have room. False when the lane shall not wait any more.
    fn wait_for_storage(&self, error: &io::Error, failures: u32) -> bool {
        if failures == 1 {
            return true;
        }
        if failures.is_power_of_two() {
            let name = &self.row.instance.name;
            tracing::error!("[storage] cannot store records of {name}: {error}; the input waits");
        }
        for _ in 0..10 {
            if self.hold.is_asked() && self.stop.is_asked() {
                let name = &self.row.instance.name;
                tracing::warn!(
                    "[storage] a batch of {name} is left to the input, as another pipeline takes over: {error}"
                );
                return false;
            }
            if self.cut.is_asked() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        true
    }

    /// Routes all open chunks. Where none were opened since the last flush, a burst is over, and its memory is given back.
    pub(crate) fn flush(&mut self) {
        if self.open.is_empty() {
            self.spares.forget();
        }
        for open in std::mem::take(&mut self.open).into_values() {
            self.route(open);
        }
    }

    fn route(&mut self, open: Open) {
        let Open { name, builder, held, file } = open;
        let (chunk, file) = (builder.build(), file.map(ChunkFile::close));
        let (tag, records, bytes) = (chunk.tag().clone(), chunk.len(), chunk.bytes().len());
        self.spares.keep(chunk.clone());
        let full = Full { name, chunk, held, file, is_up: true };
        match self.router.route(&self.row, full) {
            Ok(()) => self.row.routed.add(records),
            Err(Unrouted { file, .. }) => {
                if let Some(file) = file {
                    file.delete();
                }
                self.row.unrouted_bytes.add(bytes);
                self.unrouted(&tag, records);
            }
        }
    }

    fn unrouted(&self, tag: &Tag, records: usize) {
        if self.row.unrouted.get() == 0 {
            tracing::warn!("[router] records of tag '{tag}' match no output and are dropped");
        }
        self.row.unrouted.add(records);
    }
}

/// A chunk that takes more records.
pub(crate) struct Open {
    name: ChunkName,
    builder: ChunkBuilder,
    held: Held,
    file: Option<ChunkFile>,
}

impl Open {
    fn new(
        builder: ChunkBuilder,
        row: &Arc<InputRow>,
        storage: Option<&Storage>,
    ) -> io::Result<Self> {
        let mut name = ChunkName { created: context::now(), process: std::process::id() };
        let origin = (&*row.instance.name, builder.tag());
        let file = storage.map(|storage| storage.create(&mut name, origin)).transpose()?;
        row.chunks.add(1);
        Ok(Self { name, builder, held: Held::new(&row.buffer, 0), file })
    }

    fn fits(&self, batch: &Chunk) -> bool {
        u32::try_from(self.builder.size() + batch.bytes().len()).is_ok()
    }

    /// Adds a batch that fits.
    fn append(&mut self, batch: &Chunk) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.append(batch)?;
        }
        let added = batch.bytes().len();
        if self.builder.size() + added > LIKELY_FULL {
            // Batches are of about one size; the next chunk in this memory may end with a longer one.
            self.builder.reserve(FULL_CHUNK + 2 * added);
        }
        self.builder.append(batch).map_err(|error| io::Error::other(error.to_string()))
    }

    /// Gives up a chunk without records.
    fn discard(self, row: &InputRow) {
        row.chunks.sub(1);
        if let Some(file) = self.file {
            file.close().delete();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use flb_config::Role;
    use flb_event::{Event, Timestamp};

    use super::*;
    use crate::instance::Instance;

    /// One whose chunks go nowhere.
    pub(in crate::flow) fn gathering() -> Gathering {
        let instance = Instance::new(Role::Input, "in", "in.0".into());
        Gathering {
            router: Router::new(Vec::new(), None),
            row: Arc::new(InputRow::new(instance, None)),
            storage: None,
            cut: Stop::default(),
            hold: Stop::default(),
            stop: Stop::default(),
            open: BTreeMap::new(),
            spares: Spares::new(2),
        }
    }

    /// A batch of one record.
    pub(in crate::flow) fn batch() -> Chunk {
        let mut batch = ChunkBuilder::new(Tag::new("t").unwrap());
        let time = Timestamp::default();
        batch.push(Event { time, metadata: Event::NO_METADATA, body: &[0x80] }).unwrap();
        batch.build()
    }

    #[test]
    fn memory_of_a_burst_is_given_back_at_the_first_flush_that_has_nothing_to_do() {
        let mut gathering = gathering();
        let batch = batch();
        let held = Held::new(&gathering.row.buffer, batch.bytes().len());
        assert!(gathering.gather(&batch, held));
        gathering.flush();
        assert!(!gathering.spares.is_empty());
        gathering.flush();
        assert!(gathering.spares.is_empty());
    }
}
