//! What inputs that run a program now and then have in common: records of what it prints, and complaints.

use std::sync::Arc;

#[cfg(feature = "wasi")]
use flb_event::Event;
use flb_event::{Chunk, ChunkBuilder, Tag, Timestamp};
use flb_plugin::Parser;

use super::records::{Entries, LineRecords};
use flb_plugin::log::{Label, Mishaps, excerpt};

/// Records go on when a batch has so many bytes.
const BATCH: usize = 1 << 20;

/// Makes records of what a program prints.
pub(crate) struct Printed {
    label: Label,
    /// Whether lines go through a parser.
    parsed: bool,
    records: LineRecords,
    batch: ChunkBuilder,
    failed: Mishaps,
    unparsed: Mishaps,
}

impl Printed {
    /// Records by `parser`; lines without one, or that it refuses, stand under `key`.
    pub(crate) fn new(label: Label, tag: Tag, key: &str, parser: Option<Arc<dyn Parser>>) -> Self {
        Self {
            label,
            parsed: parser.is_some(),
            records: LineRecords::new(key, parser),
            batch: ChunkBuilder::new(tag),
            failed: Mishaps::default(),
            unparsed: Mishaps::default(),
        }
    }

    /// Adds a line's record to the batch. A blank line is nothing for a parser.
    pub(crate) fn push(&mut self, line: &[u8], now: Timestamp) {
        if self.parsed && line.trim_ascii().is_empty() {
            return;
        }
        match self.records.push(&mut self.batch, now, line, Entries::NONE) {
            Ok(None) => {}
            Ok(Some(error)) => {
                if let Some(total) = self.unparsed.another() {
                    let (label, line) = (&self.label, excerpt(line));
                    tracing::error!(
                        "{label} a line is kept unparsed: '{line}' ({error}) [{total} so far]"
                    );
                }
            }
            Err(error) => self.complain(&format!("a line is lost: {error}")),
        }
    }

    /// Adds a record that is one already.
    #[cfg(feature = "wasi")]
    pub(crate) fn push_event(&mut self, event: Event<'_>) {
        if let Err(error) = self.batch.push(event) {
            self.complain(&format!("a record is lost: {error}"));
        }
    }

    /// The batch, if it is time to hand it on.
    pub(crate) fn full(&mut self) -> Option<Chunk> {
        if self.batch.size() > BATCH { self.take() } else { None }
    }

    /// The batch; `None` if there are no records in it.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        if self.batch.is_empty() {
            return None;
        }
        let next = ChunkBuilder::new(self.batch.tag().clone());
        Some(std::mem::replace(&mut self.batch, next).build())
    }

    /// Says, ever less often, that a run went wrong.
    pub(crate) fn complain(&self, words: &str) {
        if let Some(total) = self.failed.another() {
            tracing::error!("{} {words} [{total} so far]", self.label);
        }
    }
}
