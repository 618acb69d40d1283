//! Where the answers to a batch go.

use flb_event::{Event, Tag, Verdict};

use crate::FilterError;

/// Takes the answers to a batch. Each call is about the next record, or the next few: in the batch's order, each record once,
/// and before the filter is asked about a later one if asking goes record by record.
pub trait Answers {
    /// Why the filter is not to be asked about the next record, if it is not: then that is what it fails with.
    fn refusal(&mut self) -> Option<FilterError> {
        None
    }

    /// So many records pass as they are.
    fn keep(&mut self, records: usize);

    /// The filter decided about `event`. What the verdict borrows is gone afterwards.
    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>);

    /// The filter edited `event`: `write` appends the new body to what is there, one msgpack map, or says why it cannot, and
    /// then has failed on the record. Who has a place for bodies takes it there; else it is as if the filter had replaced it.
    fn edit(
        &mut self,
        event: Event<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), FilterError>,
    ) {
        let mut body = Vec::new();
        match write(&mut body) {
            Ok(()) => self.decide(event, Verdict::Replace(&body)),
            Err(error) => self.fail(event, error),
        }
    }

    /// The filter made these of `event`, none or several; some may have another time, other metadata, or go on under another
    /// tag. What they borrow is gone afterwards.
    fn split(&mut self, event: Event<'_>, parts: &[Part<'_>]);

    /// The filter failed on `event`.
    fn fail(&mut self, event: Event<'_>, error: FilterError);

    /// The guest failed when it had decided about all records it was asked about: what is lost is what it kept in memory.
    fn lost(&mut self, _error: FilterError) {}
}

/// One record that a filter made of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Under which tag it goes on, if it is another than its batch's.
    pub tag: Option<Tag>,
    /// The record.
    pub event: Event<'a>,
}

/// The answer to a batch of one: the bodies that came of the record.
pub(crate) struct One<'e> {
    body: &'e [u8],
    pub(crate) answer: Result<Vec<Vec<u8>>, FilterError>,
}

impl<'e> One<'e> {
    /// For a record with this body.
    pub(crate) fn new(body: &'e [u8]) -> Self {
        Self { body, answer: Ok(Vec::new()) }
    }
}

impl Answers for One<'_> {
    fn keep(&mut self, _records: usize) {
        self.answer = Ok(vec![self.body.to_vec()]);
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        self.answer = Ok(verdict.bodies(event.body).map(<[u8]>::to_vec).collect());
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        self.answer = Ok(parts.iter().map(|part| part.event.body.to_vec()).collect());
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        self.answer = Err(error);
    }
}
