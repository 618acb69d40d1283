//! `exit`: ends the agent after so many chunks or records, or so long: for tests of configurations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flb_event::Chunk;
use flb_plugin::keys::{Int, Key};
use flb_plugin::{BoxFuture, Build, BuildError, Ending, Flush, Options, Output, Spec, Table, keys};
use tokio::time::Instant;

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "exit",
    about: "End the agent after so many chunks or records, or so long",
    options: Table(&[KEYS]),
    build: |options, build| Ok(Box::new(exit(options, build)?)),
};

keys! {
    const KEYS;
    FLUSH_COUNT: Int = Key::new("flush_count", "End after so many chunks").default("-1");
    RECORD_COUNT: Int = Key::new("record_count", "End after so many records").default("-1");
    TIME_COUNT: Int =
        Key::new("time_count", "End with the first chunk after so many seconds").default("-1");
}

fn exit(options: &Options, build: &Build<'_>) -> Result<Exit, BuildError> {
    let limit = |key: Key<Int>| u64::try_from(options.get(key)).ok().filter(|limit| *limit > 0);
    let (chunks, records, seconds) = (limit(FLUSH_COUNT), limit(RECORD_COUNT), limit(TIME_COUNT));
    let is_any = chunks.or(records).or(seconds).is_some();
    Ok(Exit {
        ending: build.service.shared.get_or_make(|| Ok::<_, BuildError>(Ending::default()))?,
        chunks: if is_any { chunks } else { Some(1) },
        records,
        time: seconds.map(Duration::from_secs),
        came: Came::default(),
    })
}

struct Exit {
    ending: Arc<Ending>,
    chunks: Option<u64>,
    records: Option<u64>,
    time: Option<Duration>,
    came: Came,
}

/// What came so far.
#[derive(Debug, Default)]
struct Came {
    chunks: AtomicU64,
    records: AtomicU64,
    /// When it began.
    since: OnceLock<Instant>,
}

impl Output for Exit {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            if self.is_over(chunk.len() as u64, Instant::now()) {
                self.ending.ask(0);
            }
            Flush::Done
        })
    }

    fn attend(&self) -> BoxFuture<'_, ()> {
        self.came.since.get_or_init(Instant::now);
        Box::pin(std::future::ready(()))
    }
}

impl Exit {
    /// Counts a chunk of so many records; whether it is the last one.
    fn is_over(&self, records: u64, now: Instant) -> bool {
        let Came { chunks, records: all, since } = &self.came;
        let chunks = chunks.fetch_add(1, Ordering::Relaxed) + 1;
        let records = all.fetch_add(records, Ordering::Relaxed) + records;
        let passed = now.saturating_duration_since(*since.get_or_init(|| now));
        self.chunks.is_some_and(|limit| chunks >= limit)
            || self.records.is_some_and(|limit| records >= limit)
            || self.time.is_some_and(|limit| passed > limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{block_on, build_with, chunk, options};

    fn output(given: &[(&str, &str)]) -> Exit {
        build_with(&options(SPEC.options, given), exit).unwrap()
    }

    /// Which of four chunks of two records, three seconds apart, is the last one.
    fn over(given: &[(&str, &str)]) -> [bool; 4] {
        let (output, start) = (output(given), Instant::now());
        [0, 3, 6, 9].map(|second| output.is_over(2, start + Duration::from_secs(second)))
    }

    #[test]
    fn the_agent_ends_after_chunks_records_or_a_time() {
        assert_eq!(over(&[]), [true; 4]);
        assert_eq!(over(&[("flush_count", "3")]), [false, false, true, true]);
        assert_eq!(over(&[("record_count", "4")]), [false, true, true, true]);
        assert_eq!(over(&[("time_count", "7")]), [false, false, false, true]);
        assert_eq!(over(&[("time_count", "8"), ("record_count", "6")])[1..], [false, true, true]);
    }

    #[test]
    fn the_chunk_is_delivered_all_the_same() {
        let output = output(&[]);
        assert_eq!(output.ending.code(), None);
        let flush = block_on(output.flush(&chunk("t", &[(1, 0, "{}")])));
        assert!(matches!(flush, Flush::Done) && output.ending.code() == Some(0));
    }
}
