//! One a lane: gives verdicts, and starts afresh after a trap, or when it is told to.

use flb_event::json::{JsonOptions, Printer, Sent};
use flb_event::{Event, Tag, Verdict};

use crate::answer::{Answer, understand};
use crate::guest::Guest;
use crate::{EventFormat, FilterError, FilterModule, LoadError};

/// A filter with memory of its own. State that the guest keeps lives until a call fails or the guest is recycled.
pub struct FilterInstance {
    module: FilterModule,
    /// `None` after a failure: the next call starts another. It moves at every call, so it is a pointer.
    guest: Option<Box<Guest>>,
    /// The record as the guest gets it; kept to reuse its memory.
    input: Vec<u8>,
    /// Prints the record, and remembers what a guest that leaves members alone need not have parsed again.
    printer: Printer,
    /// The body of the last replacement.
    body: Vec<u8>,
    /// Whether the last JSON answer ended without its NUL.
    unterminated: bool,
    /// How often a sound guest was replaced.
    recycled: u64,
    /// A file that a guest asked for and that the sandbox does not grant.
    denied: Option<String>,
}

impl std::fmt::Debug for FilterInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterInstance").field("module", &self.module).finish_non_exhaustive()
    }
}

impl FilterInstance {
    pub(crate) fn start(module: FilterModule) -> Result<Self, LoadError> {
        let mut guest = Guest::start(&module)?;
        let denied = guest.take_denied();
        let printer = Printer::new(match module.options().format {
            EventFormat::Msgpack => JsonOptions::default(),
            EventFormat::Json { escape_unicode } => JsonOptions { escape_unicode },
        });
        Ok(Self {
            module,
            guest: Some(Box::new(guest)),
            input: Vec::new(),
            printer,
            body: Vec::new(),
            unterminated: false,
            recycled: 0,
            denied,
        })
    }

    /// The module that this is an instance of.
    pub fn module(&self) -> &FilterModule {
        &self.module
    }

    /// Bytes of memory that the guest has taken so far; 0 after a call that ended it.
    pub fn memory_size(&mut self) -> u64 {
        self.guest.as_mut().map_or(0, |guest| guest.memory_size())
    }

    /// Whether the last answer was JSON without its NUL: understood here, but other agents read on.
    pub fn answer_was_unterminated(&self) -> bool {
        self.unterminated
    }

    /// How often a sound guest was replaced, as [`FilterOptions::recycle`](crate::FilterOptions) says.
    pub fn recycled(&self) -> u64 {
        self.recycled
    }

    /// A file that the guest asked for and that the sandbox does not grant, told once: its path, or nothing where only
    /// that is known.
    pub fn denied(&mut self) -> Option<String> {
        self.denied.take()
    }

    /// Asks the filter about one event. After a trap, a deadline, an exit, or when its own memory is full, the guest is
    /// replaced before the next call; after a bad output it stays.
    pub fn call(&mut self, tag: &Tag, event: Event<'_>) -> Result<Verdict<'_>, FilterError> {
        self.encode(event.body)?;
        let mut guest = self.take_guest()?;
        let answer = self.ask(&mut guest, tag, event);
        guest.has_started();
        if let Some(denied) = guest.take_denied() {
            self.denied.get_or_insert(denied);
        }
        let alive = match &answer {
            Ok(_) | Err(FilterError::BadOutput { .. }) => true,
            Err(FilterError::Memory { .. }) => !guest.has_malloc(),
            Err(_) => false,
        };
        self.guest = alive.then_some(guest);
        Ok(match answer? {
            Answer::Drop => Verdict::Drop,
            Answer::Body => Verdict::Replace(&self.body),
            Answer::Bodies => Verdict::Split(&self.body),
        })
    }

    /// The guest for the next call: the last one, unless it failed or its time is up.
    fn take_guest(&mut self) -> Result<Box<Guest>, FilterError> {
        let recycle = self.module.options().recycle;
        if self.guest.as_mut().is_some_and(|guest| guest.is_due(recycle)) {
            self.guest = None;
            self.recycled += 1;
        }
        match self.guest.take() {
            Some(guest) => Ok(guest),
            None => Guest::start(&self.module).map(Box::new).map_err(|error| FilterError::Trap {
                reason: error.to_string(),
                printed: None,
                backtrace: Vec::new(),
            }),
        }
    }

    /// The record's body as the guest gets it.
    fn encode(&mut self, body: &[u8]) -> Result<(), FilterError> {
        self.input.clear();
        match self.module.options().format {
            EventFormat::Msgpack => self.input.extend_from_slice(body),
            EventFormat::Json { .. } => {
                self.printer.print(body, &mut self.input).map_err(|error| {
                    FilterError::BadOutput { reason: format!("the record is not msgpack: {error}") }
                })?;
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        guest: &mut Guest,
        tag: &Tag,
        event: Event<'_>,
    ) -> Result<Answer, FilterError> {
        let tag = tag.as_str().as_bytes();
        let placed = guest.place(tag, &self.input)?;
        let time = (event.time.sec, event.time.nsec);
        let returned = guest.call(placed, time)?;
        self.body.clear();
        let sent = Sent { text: &self.input, map: event.body, members: self.printer.members() };
        let format = self.module.options().format;
        let bytes = guest.read(returned.address, placed);
        let understood = understand(returned, bytes, format, sent, &mut self.body);
        self.unterminated = understood.as_ref().is_ok_and(|understood| understood.unterminated);
        guest.release(placed, returned.address)?;
        Ok(understood?.answer)
    }
}
