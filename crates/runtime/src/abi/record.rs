//! One call a record: tag, time and record go in as six numbers, and what comes out says where the answer is.

use flb_artifact::contract::FREE_RESULT;
use flb_event::json::{JsonOptions, Printer, Sent};
use flb_event::{Chunk, Event, Tag, Verdict};

use super::Answers;
use super::answer::{Answer, Returned, understand};
use super::arguments::{Place, Placed};
use super::signature::Arguments;
use crate::guest::{Guest, missing};
use crate::guests::{self, Guests, Live};
use crate::machine;
use crate::ready::Ready;
use crate::{EventFormat, FilterError, FilterModule, FilterOptions, LoadError};

/// Asks about one record after the other.
pub(crate) struct Asker {
    pub(super) guests: Guests<Entry>,
    format: EventFormat,
    /// The record as the guest gets it; kept to reuse its memory.
    input: Vec<u8>,
    /// Prints the record, and remembers what a guest that leaves members alone need not have parsed again.
    printer: Printer,
    /// The body of the last replacement.
    body: Vec<u8>,
    /// Whether the last JSON answer ended without its NUL.
    unterminated: bool,
}

impl Asker {
    /// Starts the first guest.
    pub(super) fn start(module: &FilterModule) -> Result<Self, LoadError> {
        let format = module.options().format;
        let printer = Printer::new(match format {
            EventFormat::Msgpack => JsonOptions::default(),
            EventFormat::Json { escape_unicode } => JsonOptions { escape_unicode },
        });
        let guests = Guests::start(module)?;
        let (input, body) = (Vec::new(), Vec::new());
        Ok(Self { guests, format, input, printer, body, unterminated: false })
    }

    /// Asks about all records of a batch, in their order.
    pub(super) fn filter(&mut self, batch: &Chunk, answers: &mut impl Answers) {
        for event in batch.records() {
            let answer = match answers.refusal() {
                None => self.ask(batch.tag(), event),
                Some(error) => Err(error),
            };
            match answer {
                Ok(verdict) => answers.decide(event, verdict),
                Err(error) => answers.fail(event, error),
            }
        }
    }

    /// Whether the last answer was JSON without its NUL.
    pub(super) fn was_unterminated(&self) -> bool {
        self.unterminated
    }

    /// Asks about one event. After a trap, a deadline, an exit, or when its own memory is full, the guest is replaced before
    /// the next call; after a bad output it stays.
    fn ask(&mut self, tag: &Tag, event: Event<'_>) -> Result<Verdict<'_>, FilterError> {
        self.encode(event.body)?;
        let answer = loop {
            let mut live = self.guests.take()?;
            let answer = self.call(&mut live, tag, event);
            let is_alive = match &answer {
                Ok(_) | Err(FilterError::BadOutput { .. }) => true,
                Err(FilterError::Memory { .. }) => !live.entry.place.is_guests(),
                Err(_) => false,
            };
            if !self.guests.give_back(live, is_alive) {
                break answer;
            }
        };
        Ok(match answer? {
            Answer::Drop => Verdict::Drop,
            Answer::Body => Verdict::Replace(&self.body),
            Answer::Bodies => Verdict::Split(&self.body),
        })
    }

    /// The record's body as the guest gets it.
    fn encode(&mut self, body: &[u8]) -> Result<(), FilterError> {
        self.input.clear();
        match self.format {
            EventFormat::Msgpack => self.input.extend_from_slice(body),
            EventFormat::Json { .. } => {
                self.printer.print(body, &mut self.input).map_err(|error| {
                    FilterError::BadOutput { reason: format!("the record is not msgpack: {error}") }
                })?;
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        Live { guest, entry }: &mut Live<Entry>,
        tag: &Tag,
        event: Event<'_>,
    ) -> Result<Answer, FilterError> {
        let placed = entry.put(guest, tag.as_str().as_bytes(), &self.input)?;
        let returned = entry.call(guest, placed, (event.time.sec, event.time.nsec))?;
        self.body.clear();
        let sent = Sent { text: &self.input, map: event.body, members: self.printer.members() };
        let bytes = Entry::read(guest, returned.address, placed);
        let understood = understand(returned, bytes, self.format, sent, &mut self.body);
        self.unterminated = understood.as_ref().is_ok_and(|understood| understood.unterminated);
        entry.release(guest, placed, returned.address)?;
        Ok(understood?.answer)
    }
}

/// The filter's function in a guest.
enum Function {
    One(machine::Function<Arguments, u32>),
    Two(machine::Function<Arguments, u64>),
}

/// What is used of a guest.
pub(crate) struct Entry {
    function: Function,
    place: Place,
    /// Frees an answer.
    free_result: Option<machine::Function<u32, ()>>,
}

impl guests::Entry for Entry {
    fn find(guest: &mut Guest, ready: &Ready, options: &FilterOptions) -> Result<Self, LoadError> {
        // Their types were checked when the module was loaded.
        let one = guest.function(&options.function).map(Function::One);
        let function = one.or_else(|| guest.function(&options.function).map(Function::Two));
        let function = function.ok_or_else(|| missing("the function that is the filter"))?;
        let place = Place::of(guest, ready.interface().arguments)?;
        let free_result = guest.function(FREE_RESULT);
        Ok(Self { function, place, free_result })
    }
}

impl Entry {
    /// Copies tag and record into the guest's memory, each with a NUL behind it.
    pub(crate) fn put(
        &mut self,
        guest: &mut Guest,
        tag: &[u8],
        record: &[u8],
    ) -> Result<Placed, FilterError> {
        guest.begin();
        self.place.put(guest, tag, record)
    }

    /// Calls the filter; says what it returned.
    pub(crate) fn call(
        &self,
        guest: &mut Guest,
        placed: Placed,
        (sec, nsec): (u32, u32),
    ) -> Result<Returned, FilterError> {
        guest.is_asked(1);
        let Placed { tag, tag_len, record, record_len } = placed;
        let arguments = (tag, tag_len, sec, nsec, record, record_len);
        match &self.function {
            Function::One(function) => {
                guest.call(function, arguments).map(|address| Returned { address, length: None })
            }
            Function::Two(function) => {
                guest.call(function, arguments).map(|both| Returned {
                    // The lower half of it.
                    address: both as u32,
                    length: Some((both >> 32) as u32),
                })
            }
        }
    }

    /// What is there from an address on: the guest's own memory to its end, or the argument that the address lies in, with its
    /// NUL. `None` elsewhere.
    pub(crate) fn read(guest: &Guest, at: u32, placed: Placed) -> Option<&[u8]> {
        let (at, own) = (at as usize, guest.own());
        let end = if at < own { own } else { placed.end_of(at)? };
        guest.memory().get(at..end)
    }

    /// Gives a call's arguments back to the guest's allocator, and its answer, if the module wants that. An answer within
    /// the arguments goes with them.
    pub(crate) fn release(
        &mut self,
        guest: &mut Guest,
        placed: Placed,
        answer: u32,
    ) -> Result<(), FilterError> {
        if let Some(free_result) = &self.free_result
            && answer != 0
            && !placed.has(answer)
        {
            guest.call(free_result, answer)?;
        }
        self.place.free(guest, placed)
    }
}
