//! Many records a call: the guest says in a table what becomes of each, and the host copies what it left alone.
//!
//! `docs/batch-abi.md` draws what goes in and comes back. Of what the guest writes the host reads `next` and the verdicts, and
//! believes neither: what lies outside, or is against a rule, costs the record that it is about.

mod block;
mod sight;
mod start;
mod verdict;

use flb_event::{Chunk, Records, Run};

use super::Answers;
use super::arguments::HostPages;
use crate::guest::{Guest, missing};
use crate::guests::{self, Guests, Live};
use crate::machine::Function;
use crate::ready::Ready;
use crate::space::{HOST_PAGES, PAGE};
use crate::{FilterError, FilterModule, FilterOptions, LoadError};
use block::Block;
pub use block::MOST_RECORDS;
use sight::Sight;

/// The function is to be called again: it had no room left.
const AGAIN: u32 = 1;

/// Asks about many records at once.
pub(crate) struct Asker {
    pub(super) guests: Guests<Entry>,
    /// Nanoseconds since 1970, for the guest.
    pub(super) now: u64,
}

impl Asker {
    /// Starts the first guest.
    pub(super) fn start(module: &FilterModule) -> Result<Self, LoadError> {
        Ok(Self { guests: Guests::start(module)?, now: 0 })
    }

    /// Asks about all records of a batch, in their order.
    pub(super) fn filter(&mut self, batch: &Chunk, answers: &mut impl Answers) {
        let mut rest = batch.records();
        while rest.len() > 0 {
            if let Some(error) = answers.refusal() {
                fail_next(&mut rest, answers, error);
                continue;
            }
            match self.guests.take() {
                Ok(mut live) => {
                    let Live { guest, entry } = &mut *live;
                    let is_alive = entry.ask(guest, (batch, self.now), &mut rest, answers);
                    self.guests.give_back(live, is_alive);
                }
                Err(error) => fail_next(&mut rest, answers, error),
            }
        }
    }
}

/// What is used of a guest.
pub(crate) struct Entry {
    function: Function<u32, u32>,
    pages: HostPages,
    /// Bytes of the pages before the batch, where the start block is.
    before: usize,
    /// How long a record may take, in nanoseconds.
    deadline: u64,
}

impl guests::Entry for Entry {
    fn find(guest: &mut Guest, _ready: &Ready, options: &FilterOptions) -> Result<Self, LoadError> {
        // Its type was checked when the module was loaded.
        let function = guest.function(&options.function);
        let function = function.ok_or_else(|| missing("the function that is the filter"))?;
        let mut pages = HostPages::of(guest)?;
        let before = start::start(guest, &mut pages, options)?;
        let deadline = u64::try_from(options.deadline.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { function, pages, before, deadline })
    }
}

impl Entry {
    /// Asks about as many of these records as fit in a call, until nothing is left of them. Whether the guest is alive then.
    fn ask(
        &mut self,
        guest: &mut Guest,
        (batch, now): (&Chunk, u64),
        rest: &mut Records<'_>,
        answers: &mut impl Answers,
    ) -> bool {
        let run = block::cut(rest);
        let block = match self.put(guest, (batch, now), rest, run) {
            Ok(block) => block,
            Err(error) => {
                fail_next(rest, answers, error);
                return true;
            }
        };
        guest.is_asked(run.records as u64);
        let is_alive = self.call(guest, block, rest, answers);
        self.pages.close(guest);
        is_alive
    }

    /// Copies the records in.
    fn put(
        &mut self,
        guest: &mut Guest,
        (batch, now): (&Chunk, u64),
        rest: &Records<'_>,
        run: Run,
    ) -> Result<Block, FilterError> {
        let tag = batch.tag().as_str().as_bytes();
        let at = self.pages.offset + self.before;
        let most = HOST_PAGES * PAGE - self.before;
        let block = Block::plan(at, tag.len(), run, most)?;
        self.pages.open(guest, self.before + block.len())?;
        let head = block::Head { tag, now, deadline: self.deadline, start: self.pages.offset };
        block.write(guest.memory_mut(), &head, batch.bytes(), rest.clone());
        Ok(block)
    }

    /// Calls the filter until nothing is left to decide, or it is dead.
    fn call(
        &self,
        guest: &mut Guest,
        block: Block,
        rest: &mut Records<'_>,
        answers: &mut impl Answers,
    ) -> bool {
        guest.leash.watch(block.next_at(), block.records);
        let mut first = 0;
        loop {
            // Whoever asks gives the rest up.
            if first > 0 && answers.refusal().is_some() {
                return true;
            }
            // What the host did with the verdicts before is no time of the guest's.
            guest.begin();
            let returned = guest.call(&self.function, block.address());
            if guest.missing().is_some() {
                // Another one is asked about the rest.
                return false;
            }
            let next = block.next(guest.memory(), first);
            let is_stuck = next == first;
            let sight = Sight::of(guest, self.pages.range());
            let entries = block.entries(sight.memory, first..next);
            verdict::carry_out(entries, &sight, rest, answers);
            first = next;
            let is_over = first == block.records;
            let error = match returned {
                Ok(_) if is_over => return true,
                Ok(AGAIN) if !is_stuck => continue,
                Ok(AGAIN) => block.no_room(),
                Ok(0) => stopped(),
                Ok(code) => FilterError::Refused { reason: format!("the filter returned {code}") },
                Err(error) if is_over => {
                    answers.lost(error);
                    return false;
                }
                Err(error) => {
                    let in_hand = block.entries(sight.memory, first..first + 1);
                    fail_next(rest, answers, verdict::saying(error, in_hand, &sight));
                    return false;
                }
            };
            fail_next(rest, answers, error);
            first += 1;
            if first == block.records {
                return true;
            }
            block.set_next(guest.memory_mut(), first);
        }
    }
}

/// The filter failed on the next record.
fn fail_next(rest: &mut Records<'_>, answers: &mut impl Answers, error: FilterError) {
    if let Some(event) = rest.next() {
        answers.fail(event, error);
    }
}

fn stopped() -> FilterError {
    let reason = "the filter returned 0 before it had decided about all records";
    FilterError::BadOutput { reason: reason.to_owned() }
}
