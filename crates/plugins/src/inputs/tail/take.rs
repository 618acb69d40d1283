//! From a file's lines to a batch of records.

use flb_event::{Chunk, ChunkBuilder, Spares, Timestamp, msgpack};

use super::Settings;
use super::file::Followed;
use crate::inputs::lines::Line;
use crate::inputs::records::{Entries, LineRecords};
use crate::log::{Mishaps, excerpt};

/// Batches whose memory is kept for later ones: more than the lane usually has not got to.
const SPARE_BATCHES: usize = 4;

/// Makes records of all files' lines.
pub(super) struct Taker {
    records: LineRecords,
    /// Batches that were emitted; the lane is soon through with them.
    spares: Spares,
    long_lines: Mishaps,
    unparsed: Mishaps,
}

/// Bytes that a file gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// The next ones.
    Data(&'a [u8]),
    /// There are no more: what is unfinished is a line.
    End,
}

impl Taker {
    /// Lines become `records`.
    pub(super) fn new(records: LineRecords) -> Self {
        let (long_lines, unparsed) = Default::default();
        Self { records, spares: Spares::new(SPARE_BATCHES), long_lines, unparsed }
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
        let Followed { lines, entries, path, is_refused, .. } = file;
        let (path, path_len) = (path.as_path(), entries.len());
        let path_count = u32::from(settings.path_key.is_some());
        let each = |line: Line<'_>| match line {
            _ if *is_refused => {}
            Line::Text { text: b"", .. } if settings.skip_empty_lines => {}
            Line::Text { offset, text } => {
                let mut count = path_count;
                if let Some(key) = &settings.offset_key {
                    entries.truncate(path_len);
                    entries.extend_from_slice(key);
                    msgpack::write_uint(entries, offset);
                    count += 1;
                }
                let entries = Entries { count, bytes: entries };
                self.push(settings, &mut batch, now, text, entries);
            }
            Line::TooLong { offset } if settings.skip_long_lines => {
                if let Some(total) = self.long_lines.another() {
                    tracing::warn!(
                        "{} file={} have long lines. Skipping long lines. (offset {offset}, \
                         {total} so far)",
                        settings.label,
                        path.display()
                    );
                }
            }
            Line::TooLong { offset } => {
                tracing::error!(
                    "{} file={} requires a larger buffer size, lines are too long. Skipping file. \
                     (offset {offset}, buffer_max_size {})",
                    settings.label,
                    path.display(),
                    settings.limit
                );
                *is_refused = true;
            }
        };
        match source {
            Source::Data(data) => {
                let zeros = if lines.is_at_start() { leading_zeros(data) } else { 0 };
                lines.pass(zeros);
                lines.feed(&data[zeros..], each);
            }
            Source::End => lines.finish(each),
        }
        entries.truncate(path_len);
        batch
    }

    fn push(
        &mut self,
        settings: &Settings,
        batch: &mut ChunkBuilder,
        now: Timestamp,
        line: &[u8],
        entries: Entries<'_>,
    ) {
        match self.records.push(batch, now, line, entries) {
            Ok(None) => {}
            Ok(Some(error)) => {
                if let Some(total) = self.unparsed.another() {
                    tracing::debug!(
                        "{} a line is kept unparsed: {error}: '{}' ({total} so far)",
                        settings.label,
                        excerpt(line)
                    );
                }
            }
            Err(error) => tracing::error!("{} a record is lost: {error}", settings.label),
        }
    }
}

/// Where a file was truncated under its writer, the writer's next line stands behind a hole.
fn leading_zeros(data: &[u8]) -> usize {
    data.iter().take_while(|byte| **byte == 0).count()
}
