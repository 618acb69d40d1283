//! From a file's lines to a batch of records.

use std::path::Path;

use flb_event::{Chunk, ChunkBuilder, Spares, Timestamp, msgpack};
use flb_plugin::LongLines;

use super::Settings;
use super::file::Followed;
use crate::shared::lines::Line;
use crate::shared::records::{Entries, LineRecords};
use flb_parsers::multiline::{Joined, What};
use flb_plugin::log::{Mishaps, excerpt};

/// Batches whose memory is kept for later ones: as many as can be on the way to a lane and in it, and one more.
const SPARE_BATCHES: usize = 6;

/// Makes records of all files' lines.
pub(super) struct Taker {
    records: LineRecords,
    /// Batches that were emitted; the lane is soon through with them.
    spares: Spares,
    long_lines: Mishaps,
    /// Those that nobody has counted yet.
    uncounted: LongLines,
    unparsed: Mishaps,
}

/// Bytes that a file gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// The next ones.
    Data(&'a [u8]),
    /// None for now: lines that have waited for others long enough are records.
    Nothing,
    /// There are no more for now, and who asks does not wait: lines that wait for others are records.
    Stop,
    /// There are no more: what is unfinished is a line.
    End,
}

impl Taker {
    /// Lines become `records`.
    pub(super) fn new(records: LineRecords) -> Self {
        let (long_lines, unparsed) = Default::default();
        let (spares, uncounted) = (Spares::new(SPARE_BATCHES), LongLines::default());
        Self { records, spares, long_lines, uncounted, unparsed }
    }

    /// The lines that were too long since this was asked last.
    pub(super) fn long_lines(&mut self) -> LongLines {
        std::mem::take(&mut self.uncounted)
    }

    /// The records of a batch, to be emitted.
    pub(super) fn finish(&mut self, batch: ChunkBuilder) -> Chunk {
        let chunk = batch.build();
        self.spares.keep(chunk.clone());
        chunk
    }

    /// The records of the lines that `source` completes. A line that is too long may have the rest of the file refused.
    pub(super) fn take(
        &mut self,
        settings: &Settings,
        file: &mut Followed,
        source: Source<'_>,
        now: Timestamp,
    ) -> ChunkBuilder {
        let mut batch = self.spares.builder(file.tag.clone());
        let Followed { lines, join, entries, path, is_refused, .. } = file;
        let path_len = entries.len();
        let mut sink =
            Sink { taker: self, settings, path, batch: &mut batch, entries, path_len, now };
        let each = |line: Line<'_>| {
            let (offset, text) = match line {
                _ if *is_refused => return,
                Line::Text { offset, text } => (offset, text),
                Line::TooLong { offset, text } => match sink.too_long(offset) {
                    Long::Truncate => (offset, text),
                    Long::Skip => return,
                    Long::Refuse => {
                        *is_refused = true;
                        return;
                    }
                },
            };
            match join {
                Some(join) => join.push(text, offset, now, &mut |joined| sink.joined(&joined)),
                None => sink.line(offset, text),
            }
        };
        match source {
            Source::Data(data) => {
                let zeros = if lines.is_at_start() { leading_zeros(data) } else { 0 };
                lines.pass(zeros);
                lines.feed(&data[zeros..], each);
            }
            Source::End => lines.finish(each),
            Source::Nothing | Source::Stop => {}
        }
        match (join, source) {
            (Some(join), Source::Nothing) => {
                join.flush_due(now, &mut |joined| sink.joined(&joined));
            }
            (Some(join), Source::Stop | Source::End) => {
                join.flush(&mut |joined| sink.joined(&joined));
            }
            _ => {}
        }
        entries.truncate(path_len);
        batch
    }
}

/// What becomes of a line that is too long.
enum Long {
    Truncate,
    Skip,
    Refuse,
}

/// Where the records of one file go.
struct Sink<'a> {
    taker: &'a mut Taker,
    settings: &'a Settings,
    path: &'a Path,
    batch: &'a mut ChunkBuilder,
    /// The path's entry, and behind it that of the offset.
    entries: &'a mut Vec<u8>,
    path_len: usize,
    now: Timestamp,
}

impl Sink<'_> {
    fn line(&mut self, offset: u64, text: &[u8]) {
        if text.is_empty() && self.settings.skip_empty_lines {
            return;
        }
        let count = self.say_offset(offset);
        let entries = Entries { count, bytes: self.entries };
        let Taker { records, unparsed, .. } = &mut *self.taker;
        match records.push(self.batch, self.now, text, entries) {
            Ok(None) => {}
            Ok(Some(error)) => {
                if let Some(total) = unparsed.another() {
                    tracing::debug!(
                        "{} a line is kept unparsed: {error}: '{}' ({total} so far)",
                        self.settings.label,
                        excerpt(text)
                    );
                }
            }
            Err(error) => tracing::error!("{} a record is lost: {error}", self.settings.label),
        }
    }

    fn joined(&mut self, joined: &Joined<'_>) {
        if self.settings.skip_empty_lines && matches!(joined.what, What::Text(b"" | b"\n")) {
            return;
        }
        let count = self.say_offset(joined.offset);
        let entries = Entries { count, bytes: self.entries };
        let pushed = self.taker.records.push_joined(self.batch, self.now, joined, entries);
        if let Err(error) = pushed {
            tracing::error!("{} a record is lost: {error}", self.settings.label);
        }
    }

    /// Puts the offset among the entries, if it is wanted. How many entries there are then.
    fn say_offset(&mut self, offset: u64) -> u32 {
        let path_count = u32::from(self.settings.path_key.is_some());
        let Some(key) = &self.settings.offset_key else { return path_count };
        self.entries.truncate(self.path_len);
        self.entries.extend_from_slice(key);
        msgpack::write_uint(self.entries, offset);
        path_count + 1
    }

    fn too_long(&mut self, offset: u64) -> Long {
        let Settings { label, limit, skip_long_lines, truncate_long_lines, .. } = self.settings;
        let path = self.path.display();
        if !skip_long_lines && !truncate_long_lines {
            tracing::error!(
                "{label} file={path} requires a larger buffer size, lines are too long. Skipping file. \
                 (offset {offset}, buffer_max_size {limit})"
            );
            return Long::Refuse;
        }
        let uncounted = &mut self.taker.uncounted;
        let (what, long, count) = match truncate_long_lines {
            true => ("Truncating", Long::Truncate, &mut uncounted.truncated),
            false => ("Skipping", Long::Skip, &mut uncounted.skipped),
        };
        *count += 1;
        if let Some(total) = self.taker.long_lines.another() {
            tracing::warn!(
                "{label} file={path} have long lines. {what} long lines. (offset {offset}, {total} so far)"
            );
        }
        long
    }
}

/// Where a file was truncated under its writer, the writer's next line stands behind a hole.
fn leading_zeros(data: &[u8]) -> usize {
    data.iter().take_while(|byte| **byte == 0).count()
}
