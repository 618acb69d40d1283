//! Goes through a batch record by record. What no record changes is passed on without a copy.

use flb_event::{Chunk, ChunkBuilder, Event, Timestamp};
use flb_plugin::{Fate, Outlet, Tally};

/// What a filter says of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It passes as it is.
    Keep,
    /// It is removed.
    Drop,
    /// It passes with the body that was written.
    Replace,
    /// As [`Decision::Replace`], and with this time.
    ReplaceAt(Timestamp),
}

/// Asks `decide` about each record of the batch. To replace a record it has written the new body, a msgpack map, to
/// the buffer, which it is given empty.
pub(super) fn each(
    batch: Chunk,
    outlet: &mut Outlet,
    mut decide: impl FnMut(&Event<'_>, &mut Vec<u8>) -> Decision,
) {
    let mut changed: Option<ChunkBuilder> = None;
    let mut tally = Tally::default();
    let mut body = Vec::new();
    for (index, event) in batch.records().enumerate() {
        body.clear();
        let decision = decide(&event, &mut body);
        if decision == Decision::Keep && changed.is_none() {
            tally.kept += 1;
            continue;
        }
        let builder = changed.get_or_insert_with(|| first(&batch, index));
        let (time, body, count) = match decision {
            Decision::Drop => {
                tally.dropped += 1;
                continue;
            }
            Decision::Keep => (event.time, event.body, &mut tally.kept),
            Decision::Replace => (event.time, body.as_slice(), &mut tally.replaced),
            Decision::ReplaceAt(time) => (time, body.as_slice(), &mut tally.replaced),
        };
        match builder.push(Event { time, body, ..event }) {
            Ok(()) => *count += 1,
            // The batch has grown over 4 GiB.
            Err(_) => tally.fail(Fate::Dropped),
        }
    }
    outlet.count(&tally);
    outlet.pass(changed.map_or(batch, ChunkBuilder::build));
}

/// A builder that holds the first `count` records.
fn first(batch: &Chunk, count: usize) -> ChunkBuilder {
    let mut builder = ChunkBuilder::new(batch.tag().clone());
    // They fit: they are a part of a chunk.
    let _ = builder.append_run(batch, 0..count);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    /// Decides by the letter under `d`.
    fn decide(event: &Event<'_>, body: &mut Vec<u8>) -> Decision {
        match testing::json_text(event.body).as_str() {
            r#"{"d":"k"}"# => Decision::Keep,
            r#"{"d":"d"}"# => Decision::Drop,
            _ => {
                body.extend_from_slice(&testing::msgpack(r#"{"new":1}"#));
                Decision::Replace
            }
        }
    }

    fn check(letters: &str, expected: &str) {
        let bodies: Vec<String> =
            letters.chars().map(|letter| format!(r#"{{"d":"{letter}"}}"#)).collect();
        let records: Vec<(u32, u32, &str)> =
            bodies.iter().map(|body| (1, 2, body.as_str())).collect();
        let batch = testing::chunk("t", &records);
        let mut outlet = Outlet::default();
        each(batch.clone(), &mut outlet, decide);
        let records = outlet.passed().iter().flat_map(Chunk::records);
        let texts = records.map(|event| testing::json_text(event.body));
        assert_eq!(texts.collect::<String>(), expected, "{letters}");
        assert_eq!(outlet.tally().records(), letters.len() as u64);
        let is_same = outlet.passed().first().is_some_and(|chunk| chunk.same(&batch));
        assert_eq!(is_same, !letters.is_empty() && letters.chars().all(|letter| letter == 'k'));
    }

    #[test]
    fn each_record_meets_its_fate_and_the_order_stays() {
        check("kk", r#"{"d":"k"}{"d":"k"}"#);
        check("kdk", r#"{"d":"k"}{"d":"k"}"#);
        check("dd", "");
        check("krkd", r#"{"d":"k"}{"new":1}{"d":"k"}"#);
        check("", "");
    }
}
