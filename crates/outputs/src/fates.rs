//! The fate of each record of a chunk, for outputs whose servers tell them apart.

use flb_event::Chunk;
use flb_plugin::Flush;

/// What became of a chunk's records so far.
pub(super) struct Fates {
    /// Of each record, whether it is to be tried again.
    pub(super) again: Vec<bool>,
    /// Of each record, whether no other try gets it through.
    pub(super) refused: Vec<bool>,
    /// Why some are not settled.
    pub(super) put_off: Option<Flush>,
}

impl Fates {
    pub(super) fn new(records: usize) -> Self {
        Self { again: vec![true; records], refused: vec![false; records], put_off: None }
    }

    /// Some wait for another try.
    pub(super) fn put_off(&mut self, fate: Flush) {
        self.put_off = Some(fate);
    }

    /// The fate of the whole chunk.
    pub(super) fn of(self, chunk: &Chunk) -> Flush {
        let left_out = self.refused.iter().filter(|refused| **refused).count();
        let refused = (left_out > 0).then(|| chunk.only(&self.refused));
        match self.put_off {
            None if left_out == 0 => Flush::Done,
            None => Flush::Partly { left_out, refused },
            // Nothing is settled yet.
            Some(fate) if self.again.iter().all(|again| *again) => fate,
            Some(fate) => fate.of_rest(self.again, left_out, refused),
        }
    }
}
