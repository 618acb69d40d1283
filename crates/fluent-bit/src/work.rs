//! What is done with a chunk: each record is given to the filter's function, and what becomes of it takes its place.

use std::ops::Range;
use std::time::Instant;

use flb_artifact::Sha256Hex;
use flb_event::{Chunk, ChunkBuilder, Event, Spares, Tag, Verdict};
use flb_guest::filter::{Look, Measures, Policy};
use flb_plugin::{Fate, Metrics, Reading, Tally};
use flb_runtime::{Answers, FilterError, FilterInstance, FilterModule};

use crate::metrics::{self, Count};
use crate::parts::{Part, Parts, is_no_time};
use crate::patience::Patience;

/// Most bytes that all answers to one chunk may take together.
const ROOM: usize = 256 << 20;

/// Why a record fails that the filter gave another tag.
const OTHER_TAG: &str = "the filter gave a record another tag, and Fluent Bit takes records back from a filter only under the \
    tag that they came with; help: let the filter write the tag into the record, and put Fluent Bit's own filter rewrite_tag behind it";

/// A chunk to work on.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) tag: Tag,
    pub(crate) chunk: Vec<u8>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    /// The new chunk; `None` if nothing changed.
    pub(crate) chunk: Option<Vec<u8>>,
    pub(crate) tally: Tally,
    pub(crate) counts: Vec<Count>,
}

/// What a filter's worker works with.
pub(crate) struct Work {
    pub(crate) instance: FilterInstance,
    pub(crate) policy: Policy,
    pub(crate) watch: Option<Watch>,
    patience: Patience,
    /// What the guests are measured by.
    pub(crate) metrics: Metrics,
    measures: Measures,
    /// What the agent knows of that.
    told: Vec<Reading>,
    /// Memory for the batches that the instance is given.
    spares: Spares,
    /// Whether a chunk is worked on: still so at the next one if a panic came in between.
    is_busy: bool,
}

/// Looks after the module's file, between chunks.
pub(crate) struct Watch {
    look: Look,
    next: Instant,
}

impl Watch {
    pub(crate) fn new(look: Look) -> Self {
        Self { look, next: Instant::now() + Look::EVERY }
    }

    /// A newer module, if there is one and it is time.
    fn newer(&mut self) -> Option<FilterModule> {
        if Instant::now() < self.next {
            return None;
        }
        self.next = Instant::now() + Look::EVERY;
        self.look.again()
    }
}

impl Work {
    pub(crate) fn new(
        instance: FilterInstance,
        policy: Policy,
        watch: Option<Watch>,
        patience: Patience,
        (metrics, mut measures): (Metrics, Measures),
    ) -> Self {
        measures.begin(&instance);
        Self {
            instance,
            policy,
            watch,
            patience,
            told: metrics.read(),
            metrics,
            measures,
            spares: Spares::new(1),
            is_busy: false,
        }
    }

    /// Works on one chunk.
    pub(crate) fn run(&mut self, job: &Job) -> Done {
        let mut counts = self.renew();
        self.is_busy = true;
        let (batch, places) = records(job, &mut self.spares);
        let asked = (&self.policy, self.instance.module().source());
        self.patience.begin();
        let mut output = Output::new((&job.chunk, &places), batch.tag(), asked, &mut self.patience);
        self.instance.filter(&batch, &mut output);
        let (chunk, tally) = output.finish();
        self.spares.keep(batch);
        if let Some(path) = self.instance.denied() {
            self.policy.denied(&path);
        }
        self.measures.look(&self.instance);
        self.is_busy = false;
        let now = self.metrics.read();
        counts.extend(metrics::counts(&tally, &self.told, &now));
        self.told = now;
        Done { chunk, tally, counts }
    }

    /// Takes the newest module, and another guest where a panic left one behind.
    fn renew(&mut self) -> Vec<Count> {
        let newer = self.watch.as_mut().and_then(Watch::newer);
        if newer.is_none() && !self.is_busy {
            return Vec::new();
        }
        let before = self.instance.module().source();
        let module = newer.unwrap_or_else(|| self.instance.module().clone());
        match module.instantiate() {
            Ok(instance) => {
                self.measures.begin(&instance);
                self.instance = instance;
            }
            Err(error) => tracing::error!("the module does not start again: {error}"),
        }
        let after = self.instance.module().source();
        if before == after {
            return Vec::new();
        }
        metrics::changed(&before.to_string(), &after.to_string())
    }
}

/// Where in its chunk a record lies.
#[derive(Debug, Clone)]
struct Place {
    /// All before its body.
    head: Range<usize>,
    /// Where its body ends.
    end: usize,
}

/// The records of a chunk, and where each of them lies.
fn records(job: &Job, spares: &mut Spares) -> (Chunk, Vec<Place>) {
    let mut batch = spares.builder(job.tag.clone());
    let mut places = Vec::new();
    let mut at = 0;
    for part in Parts::of(&job.chunk) {
        match part {
            Part::Other(bytes) => at += bytes.len(),
            Part::Record { head, event } => {
                let body = at + head.len();
                let place = Place { head: at..body, end: body + event.body.len() };
                at = place.end;
                // A chunk of more than 4 GiB passes from there on.
                if batch.push(event).is_ok() {
                    places.push(place);
                }
            }
        }
    }
    (batch.build(), places)
}

/// Takes the guest's answers, and makes the chunk of them that comes out. What is kept is not copied before something else
/// follows from another place.
struct Output<'a> {
    chunk: &'a [u8],
    /// The records that are not answered yet.
    places: std::slice::Iter<'a, Place>,
    /// What passes and is not copied yet: up to here everything is in `bytes`.
    copied: usize,
    bytes: Vec<u8>,
    /// The body of the last record that was edited.
    edited: Vec<u8>,
    /// Bytes of answers.
    answered: usize,
    is_changed: bool,
    tally: Tally,
    tag: &'a Tag,
    policy: &'a Policy,
    module: Sha256Hex,
    patience: &'a mut Patience,
}

impl<'a> Output<'a> {
    fn new(
        (chunk, places): (&'a [u8], &'a [Place]),
        tag: &'a Tag,
        (policy, module): (&'a Policy, Sha256Hex),
        patience: &'a mut Patience,
    ) -> Self {
        Self {
            chunk,
            places: places.iter(),
            copied: 0,
            bytes: Vec::new(),
            edited: Vec::new(),
            answered: 0,
            is_changed: false,
            tally: Tally::default(),
            tag,
            policy,
            module,
            patience,
        }
    }

    /// Leaves the next record out, for others that may follow; all before it is copied. Its head.
    fn take_out(&mut self) -> &'a [u8] {
        let Some(place) = self.places.next() else { return &[] };
        if !self.is_changed {
            // Most filters that change a record change all, and make them a little longer.
            self.bytes.reserve(self.chunk.len() + self.chunk.len() / 4);
            self.is_changed = true;
        }
        self.bytes.extend_from_slice(&self.chunk[self.copied..place.head.start]);
        self.copied = place.end;
        &self.chunk[place.head.clone()]
    }

    /// Whether there is room for so many bytes more of answers.
    fn has_room(&mut self, size: usize) -> Result<(), FilterError> {
        if self.answered.saturating_add(size) > ROOM {
            let reason = format!("the answers to one chunk take more than {} MiB", ROOM >> 20);
            return Err(FilterError::Memory { reason });
        }
        self.answered += size;
        Ok(())
    }

    /// Puts these bodies in the place of the next record, if there is room.
    fn replace(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        let head = self.places.as_slice().first().map_or(0, |place| place.head.len());
        let size = verdict.bodies(event.body).map(|body| head + body.len()).sum();
        if let Err(error) = self.has_room(size) {
            return self.fail(event, error);
        }
        let head = self.take_out();
        let mut count = 0;
        for body in verdict.bodies(event.body) {
            self.bytes.extend_from_slice(head);
            self.bytes.extend_from_slice(body);
            count += 1;
        }
        self.tally.became(count);
    }

    /// Puts these records in the place of the next one, if there is room. Fluent Bit takes none under another tag from a filter.
    fn replace_by(
        &mut self,
        event: Event<'_>,
        parts: &[flb_runtime::Part<'_>],
    ) -> Result<(), FilterError> {
        if parts.iter().any(|part| part.tag.as_ref().is_some_and(|tag| tag != self.tag)) {
            return Err(FilterError::BadOutput { reason: OTHER_TAG.to_owned() });
        }
        if parts.iter().any(|part| is_no_time(part.event.time)) {
            let reason = "a record would have a time that opens or closes a group in Fluent Bit";
            return Err(FilterError::BadOutput { reason: reason.to_owned() });
        }
        let mut made = ChunkBuilder::new(self.tag.clone());
        for part in parts {
            made.push(part.event)?;
        }
        self.has_room(made.size())?;
        let head = self.take_out();
        for part in made.build().records() {
            if (part.time, part.metadata) == (event.time, event.metadata) {
                self.bytes.extend_from_slice(head);
                self.bytes.extend_from_slice(part.body);
            } else {
                let mut alone = ChunkBuilder::new(self.tag.clone());
                alone.push(part)?;
                self.bytes.extend_from_slice(alone.build().bytes());
            }
        }
        self.tally.became(parts.len());
        Ok(())
    }

    fn finish(mut self) -> (Option<Vec<u8>>, Tally) {
        let chunk = self.is_changed.then(|| {
            self.bytes.extend_from_slice(&self.chunk[self.copied..]);
            self.bytes
        });
        (chunk, self.tally)
    }
}

impl Answers for Output<'_> {
    fn refusal(&mut self) -> Option<FilterError> {
        self.patience.lost(self.tally.records() == 0)
    }

    fn keep(&mut self, records: usize) {
        self.patience.in_time();
        self.places.by_ref().take(records).for_each(drop);
        self.tally.kept += records as u64;
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        self.patience.in_time();
        match verdict {
            Verdict::Keep => self.keep(1),
            // Who answers what was asked has replaced nothing that others need to know of.
            Verdict::Replace(body) if body == event.body => {
                self.places.next();
                self.tally.became(1);
            }
            verdict => self.replace(event, verdict),
        }
    }

    fn edit(
        &mut self,
        event: Event<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), FilterError>,
    ) {
        self.patience.in_time();
        let mut body = std::mem::take(&mut self.edited);
        body.clear();
        match write(&mut body) {
            Ok(()) => self.replace(event, Verdict::Replace(&body)),
            Err(error) => self.fail(event, error),
        }
        self.edited = body;
    }

    fn split(&mut self, event: Event<'_>, parts: &[flb_runtime::Part<'_>]) {
        self.patience.in_time();
        if let Err(error) = self.replace_by(event, parts) {
            self.fail(event, error);
        }
    }

    fn fail(&mut self, event: Event<'_>, error: FilterError) {
        match &error {
            FilterError::Deadline { .. } => self.patience.late(),
            FilterError::GivenUp { .. } => {}
            _ => self.patience.in_time(),
        }
        let fate = self.policy.apply((&error, self.module), self.tag, event);
        self.tally.fail(fate);
        match fate {
            Fate::Kept => drop(self.places.next()),
            Fate::Dropped | Fate::Quarantined => drop(self.take_out()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::patience::End;

    /// Records of one letter each, at these places of the chunk; all else is something else.
    fn check(chunk: &str, answers: impl FnOnce(&mut Output<'_>), expected: Option<&str>) -> Tally {
        let letters = chunk.char_indices().filter(|(_, letter)| letter.is_ascii_lowercase());
        let places: Vec<Place> =
            letters.map(|(at, _)| Place { head: at..at, end: at + 1 }).collect();
        let tag = Tag::new("t").unwrap();
        let (policy, module) = (Policy::dropping(), Sha256Hex([0; 32]));
        let end = End::new(Arc::new(|| false), Duration::from_secs(1));
        let mut patience = Patience::new(Arc::new(end));
        let of = (chunk.as_bytes(), &places[..]);
        let mut output = Output::new(of, &tag, (&policy, module), &mut patience);
        answers(&mut output);
        let (found, tally) = output.finish();
        assert_eq!(found.map(|bytes| String::from_utf8(bytes).unwrap()).as_deref(), expected);
        tally
    }

    fn event(body: &[u8]) -> Event<'_> {
        Event { time: Default::default(), metadata: Event::NO_METADATA, body }
    }

    #[test]
    fn what_is_kept_around_changes_is_whole() {
        let tally = check(
            "1a2b3c4d5",
            |output| {
                output.decide(event(b"a"), Verdict::Replace(b"A"));
                output.keep(1);
                output.decide(event(b"c"), Verdict::Drop);
                output.edit(event(b"d"), |out| {
                    out.extend(b"DD");
                    Ok(())
                });
            },
            Some("1A2b34DD5"),
        );
        assert_eq!((tally.kept, tally.replaced, tally.dropped), (1, 2, 1));
        let same = |output: &mut Output<'_>| {
            output.keep(1);
            output.decide(event(b"b"), Verdict::Replace(b"b"));
        };
        assert_eq!(check("1ab2", same, None).records(), 2);
    }

    #[test]
    fn a_failure_of_any_kind_goes_the_same_way() {
        let error = || FilterError::BadOutput { reason: "no".to_owned() };
        let tally = check(
            "ab1c",
            |output| {
                output.fail(event(b"a"), error());
                output.edit(event(b"b"), |_| Err(error()));
                output.decide(event(b"c"), Verdict::Replace(&vec![0; ROOM + 1]));
            },
            Some("1"),
        );
        assert_eq!((tally.dropped_by_failure(), tally.failures()), (3, 3));
    }

    #[test]
    fn no_answer_opens_or_closes_a_group() {
        let at = |sec| {
            let time = flb_event::Timestamp { sec, nsec: 0 };
            [flb_runtime::Part { tag: None, event: Event { time, ..event(b"C") } }]
        };
        let tally = check(
            "abc",
            |output| {
                output.split(event(b"a"), &at(u32::MAX));
                output.split(event(b"b"), &at(u32::MAX - 1));
                output.split(event(b"c"), &at(0));
            },
            Some("C"),
        );
        assert_eq!((tally.dropped_by_failure(), tally.replaced), (2, 1));
    }

    #[test]
    fn after_some_deadlines_nobody_is_asked_in_this_chunk() {
        let late =
            || FilterError::Deadline { milliseconds: 1, first: false, backtrace: Vec::new() };
        check(
            "abcdef",
            |output| {
                for (letter, refused) in [(b"a", false), (b"b", false), (b"c", false), (b"d", true)]
                {
                    assert_eq!(output.refusal().is_some(), refused);
                    output.fail(event(letter), late());
                }
                output.keep(1);
                assert!(output.refusal().is_some(), "the chunk has had its deadlines");
            },
            Some("ef"),
        );
    }

    #[test]
    fn records_are_found_where_they_lie() {
        let record = b"\x92\x92\xd7\0\0\0\0\x07\0\0\0\x08\x80\x80".as_slice();
        let chunk = [record, b"\xc0", b"\x92\x07\x81\x01\x02", record].concat();
        let job = Job { tag: Tag::new("t").unwrap(), chunk };
        let (batch, places) = records(&job, &mut Spares::new(1));
        let found: Vec<_> = places.iter().map(|place| (place.head.clone(), place.end)).collect();
        assert_eq!(found, [(0..13, 14), (15..17, 20), (20..33, 34)]);
        let bodies: Vec<&[u8]> = batch.records().map(|event| event.body).collect();
        assert_eq!(bodies, [b"\x80".as_slice(), b"\x81\x01\x02", b"\x80"]);
    }
}
