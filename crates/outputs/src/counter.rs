//! `counter`: prints how many records each chunk has.

use std::io::{self, Write};

use flb_event::{Chunk, Timestamp};
use flb_plugin::{BoxFuture, Build, BuildError, Flush, Options, Output, Spec, Table};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "counter",
    about: "Print how many records each chunk has",
    options: Table(&[]),
    build,
};

fn build(_: &Options, _: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(Counter))
}

struct Counter;

impl Output for Counter {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        let line = line(chunk);
        Box::pin(async move {
            let printed =
                tokio::task::spawn_blocking(move || io::stdout().lock().write_all(line.as_bytes()));
            match printed.await.map_err(io::Error::other).flatten() {
                Ok(()) => Flush::Done,
                Err(error) => Flush::Retry {
                    reason: format!("cannot write to standard output: {error}"),
                    after: None,
                },
            }
        })
    }
}

/// The time is that of the chunk's last record.
fn line(chunk: &Chunk) -> String {
    let Timestamp { sec, nsec } =
        chunk.records().last().map(|event| event.time).unwrap_or_default();
    let count = chunk.len();
    format!(
        "{{\"ts\":{sec}.{:06},\"serialized_events\":{count},\"log_records\":{count},\"total\":{count}}}\n",
        nsec / 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    #[test]
    fn a_chunk_is_a_line() {
        assert_eq!(
            line(&testing::chunk("t", &[(1, 0, "{}"), (1_700_000_000, 123_456_789, "{}")])),
            "{\"ts\":1700000000.123456,\"serialized_events\":2,\"log_records\":2,\"total\":2}\n"
        );
    }
}
