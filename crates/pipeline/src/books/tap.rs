//! One record on its way through a node, taken when somebody asks for one. While nobody does, it costs a look at a flag a batch.

use std::sync::atomic::{AtomicBool, Ordering};

use flb_event::json::{self, JsonOptions};
use flb_event::{Chunk, Event, Tag, Timestamp};
use flb_plugin::Tally;

use crate::count::Shared;

/// Where a record is asked for, and given.
#[derive(Debug, Default)]
pub struct Tap {
    is_asked: AtomicBool,
    sample: Shared<Option<Sample>>,
}

/// A record at a node.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The record as it came, unless the node is where it begins.
    pub before: Option<Taken>,
    /// What became of it: no record, one, or several. Nothing where it ends.
    pub after: Vec<Taken>,
    /// Records that it became beyond those that are kept.
    pub more: usize,
    /// What the filter counted, where the node is one.
    pub tally: Option<Tally>,
}

/// A record by itself.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its tag.
    pub tag: Tag,
    /// Its time.
    pub time: Timestamp,
    /// Its metadata, in JSON.
    pub metadata: String,
    /// Its body, in JSON.
    pub body: String,
}

impl Tap {
    /// Asks for the next record. One that was given and not taken is gone.
    pub fn ask(&self) {
        *self.sample.lock() = None;
        self.is_asked.store(true, Ordering::Relaxed);
    }

    /// Takes what was given.
    pub fn take(&self) -> Option<Sample> {
        self.sample.lock().take()
    }

    /// Asks for no more, and forgets what was given.
    pub fn close(&self) {
        self.is_asked.store(false, Ordering::Relaxed);
        *self.sample.lock() = None;
    }

    /// Whether somebody asks.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    pub(crate) fn give(&self, sample: Sample) {
        // Of several lanes one is enough.
        if self.is_asked.swap(false, Ordering::Relaxed) {
            *self.sample.lock() = Some(sample);
        }
    }
}

impl Sample {
    /// The most records of one that are kept.
    const MOST: usize = 16;

    /// The first record of a batch, where records begin.
    pub(crate) fn begun(batch: &Chunk) -> Self {
        let after = Taken::of(batch).take(1).collect();
        Self { before: None, after, more: 0, tally: None }
    }

    /// The first record of a chunk, where records end.
    pub(crate) fn ended(chunk: &Chunk) -> Self {
        Self { before: Taken::of(chunk).next(), after: Vec::new(), more: 0, tally: None }
    }

    /// A batch of one record and what a filter made of it.
    pub(crate) fn filtered(one: &Chunk, made: &[&Chunk], tally: Tally) -> Self {
        let all: usize = made.iter().map(|chunk| chunk.len()).sum();
        let made = made.iter().flat_map(|chunk| Taken::of(chunk));
        let after: Vec<Taken> = made.take(Self::MOST).collect();
        let more = all - after.len();
        Self { before: Taken::of(one).next(), after, more, tally: Some(tally) }
    }
}

impl Taken {
    /// Bytes of a record that is told whole; a larger one is told by its size.
    const LARGEST: usize = 256 << 10;

    fn of(chunk: &Chunk) -> impl Iterator<Item = Self> {
        chunk.records().map(|event| {
            let Event { time, metadata, body } = event;
            let (metadata, body) = (text(metadata), text(body));
            Self { tag: chunk.tag().clone(), time, metadata, body }
        })
    }
}

fn text(value: &[u8]) -> String {
    let mut text = Vec::new();
    let options = JsonOptions { escape_unicode: false };
    match value.len() <= Taken::LARGEST && json::write(value, &mut text, options).is_ok() {
        true => String::from_utf8_lossy(&text).into_owned(),
        false => format!("\"{} bytes\"", value.len()),
    }
}
