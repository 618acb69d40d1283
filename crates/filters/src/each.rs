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
    /// It passes with what was written as its metadata, and the body that it has.
    ReplaceMetadata,
}

/// Asks `decide` about each record of the batch. To replace a record it has written the new body or metadata, a msgpack
/// map, to the buffer, which it is given empty.
pub(super) fn each(
    batch: Chunk,
    outlet: &mut Outlet,
    mut decide: impl FnMut(&Event<'_>, &mut Vec<u8>) -> Decision,
) {
    let mut rebuilt = Rebuilt::of(&batch);
    let mut written = Vec::new();
    for event in batch.records() {
        written.clear();
        let decision = decide(&event, &mut written);
        let written = written.as_slice();
        match decision {
            Decision::Keep => rebuilt.keep(event),
            Decision::Drop => rebuilt.become_all(&[]),
            Decision::Replace => rebuilt.become_all(&[Event { body: written, ..event }]),
            Decision::ReplaceAt(time) => {
                rebuilt.become_all(&[Event { time, body: written, ..event }]);
            }
            Decision::ReplaceMetadata => {
                rebuilt.become_all(&[Event { metadata: written, ..event }]);
            }
        }
    }
    rebuilt.finish(outlet);
}

/// The batch that comes out, record by record, and the books about it.
pub(super) struct Rebuilt<'b> {
    batch: &'b Chunk,
    /// How many records are decided about.
    told: usize,
    /// None while all pass as they are.
    changed: Option<ChunkBuilder>,
    tally: Tally,
}

impl<'b> Rebuilt<'b> {
    /// Of this batch, whose records are told about one after the other.
    pub(super) fn of(batch: &'b Chunk) -> Self {
        Self { batch, told: 0, changed: None, tally: Tally::default() }
    }

    /// The next record, which is this one, passes as it is.
    pub(super) fn keep(&mut self, event: Event<'_>) {
        match self.pass(event) {
            true => self.tally.kept += 1,
            false => self.tally.fail(Fate::Dropped),
        }
    }

    /// These take the place of the next record: none, one, or several.
    pub(super) fn become_all(&mut self, events: &[Event<'_>]) {
        let builder = self.changed();
        // What a record takes beside its maps is less.
        let size = |event: &Event<'_>| event.metadata.len() + event.body.len() + 16;
        let size = events.iter().map(size).fold(builder.size(), usize::saturating_add);
        match u32::try_from(size) {
            Ok(_) => {
                // There is room, as was seen.
                events.iter().for_each(|event| _ = builder.push(*event));
                self.tally.became(events.len());
            }
            Err(_) => self.tally.fail(Fate::Dropped),
        }
        self.told += 1;
    }

    /// The filter failed on the next record, which is this one, and this becomes of it.
    pub(super) fn fail(&mut self, event: Event<'_>, fate: Fate) {
        let fate = match fate {
            Fate::Kept if self.pass(event) => Fate::Kept,
            Fate::Kept => Fate::Dropped,
            gone => {
                self.changed();
                self.told += 1;
                gone
            }
        };
        self.tally.fail(fate);
    }

    /// Passes what was made on.
    pub(super) fn finish(self, outlet: &mut Outlet) {
        outlet.count(&self.tally);
        outlet.pass(self.changed.map_or_else(|| self.batch.clone(), ChunkBuilder::build));
    }

    /// The next record passes as it is, unless the batch has grown over 4 GiB.
    fn pass(&mut self, event: Event<'_>) -> bool {
        self.told += 1;
        self.changed.as_mut().is_none_or(|builder| builder.push(event).is_ok())
    }

    fn changed(&mut self) -> &mut ChunkBuilder {
        self.changed.get_or_insert_with(|| first(self.batch, self.told))
    }
}

/// A builder that holds the first `count` records.
fn first(batch: &Chunk, count: usize) -> ChunkBuilder {
    let mut builder = ChunkBuilder::new(batch.tag().clone());
    // Most filters take or add little.
    builder.reserve(batch.bytes().len() + batch.bytes().len() / 4);
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
