//! One a lane: gives verdicts, and starts afresh after a trap.

use flb_event::json::{self, JsonOptions, Printer, Sent};
use flb_event::{Event, Tag, Verdict, msgpack};

use crate::guest::Guest;
use crate::{EventFormat, FilterError, FilterModule, LoadError};

/// A filter with memory of its own. State that the guest keeps lives until a call fails.
pub struct FilterInstance {
    module: FilterModule,
    /// `None` after a failure: the next call starts another.
    guest: Option<Guest>,
    /// The record as the guest gets it; kept to reuse its memory.
    input: Vec<u8>,
    /// Prints the record, and remembers what a guest that leaves members alone need not have parsed again.
    printer: Printer,
    /// The body of the last replacement.
    body: Vec<u8>,
    /// Whether the last JSON answer ended without its NUL.
    unterminated: bool,
}

impl std::fmt::Debug for FilterInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterInstance").field("module", &self.module).finish_non_exhaustive()
    }
}

impl FilterInstance {
    pub(crate) fn start(module: FilterModule) -> Result<Self, LoadError> {
        let guest = Guest::start(&module)?;
        let printer = Printer::new(match module.options().format {
            EventFormat::Msgpack => JsonOptions::default(),
            EventFormat::Json { escape_unicode } => JsonOptions { escape_unicode },
        });
        Ok(Self {
            module,
            guest: Some(guest),
            input: Vec::new(),
            printer,
            body: Vec::new(),
            unterminated: false,
        })
    }

    /// The module that this is an instance of.
    pub fn module(&self) -> &FilterModule {
        &self.module
    }

    /// Bytes of memory that the guest has taken so far; 0 after a call that ended it.
    pub fn memory_size(&mut self) -> u64 {
        self.guest.as_mut().map_or(0, Guest::memory_size)
    }

    /// Whether the last answer was JSON without its NUL: understood here, but other agents read on.
    pub fn answer_was_unterminated(&self) -> bool {
        self.unterminated
    }

    /// Asks the filter about one event. After a trap, a deadline or an exit the guest is replaced before the next call;
    /// after a bad output it stays.
    pub fn call(&mut self, tag: &Tag, event: Event<'_>) -> Result<Verdict<'_>, FilterError> {
        self.encode(event.body)?;
        let mut guest = match self.guest.take() {
            Some(guest) => guest,
            None => Guest::start(&self.module)
                .map_err(|error| FilterError::Trap { reason: error.to_string() })?,
        };
        let verdict = self.ask(&mut guest, tag, event);
        let alive = matches!(
            verdict,
            Ok(_) | Err(FilterError::BadOutput { .. } | FilterError::Memory { .. })
        );
        self.guest = alive.then_some(guest);
        Ok(match verdict? {
            Answer::Drop => Verdict::Drop,
            Answer::Body | Answer::Unterminated => Verdict::Replace(&self.body),
        })
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
        let pointer = guest.call(placed, tag.len(), time, self.input.len())?;
        self.body.clear();
        let sent = Sent { text: &self.input, map: event.body, members: self.printer.members() };
        let answer = understand(guest, pointer, self.module.options().format, sent, &mut self.body);
        self.unterminated = matches!(answer, Ok(Answer::Unterminated));
        guest.release(placed)?;
        answer
    }
}

/// What a guest's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Drop,
    /// The new body is in the instance's buffer.
    Body,
    /// The same, but other bytes than a NUL followed the JSON.
    Unterminated,
}

/// Reads the answer within the guest's memory. A NULL pointer and an empty answer drop the record.
fn understand(
    guest: &Guest,
    pointer: u32,
    format: EventFormat,
    sent: Sent<'_>,
    body: &mut Vec<u8>,
) -> Result<Answer, FilterError> {
    let bad = |reason: String| Err(FilterError::BadOutput { reason });
    if pointer == 0 {
        return Ok(Answer::Drop);
    }
    let Some(bytes) = guest.read(pointer).filter(|bytes| !bytes.is_empty()) else {
        return bad(format!("returned value is invalid: {pointer:#x} is outside the memory"));
    };
    if bytes[0] == 0 {
        return Ok(Answer::Drop);
    }
    match format {
        EventFormat::Json { .. } => {
            let text = &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())];
            match json::parse_again(text, sent, body) {
                Ok(end) if is_terminated(&bytes[end..]) => Ok(Answer::Body),
                Ok(_) => Ok(Answer::Unterminated),
                Err(error) => bad(format!("invalid JSON format: {error}, buf: {}", start_of(text))),
            }
        }
        EventFormat::Msgpack => match msgpack::map_len(bytes) {
            Ok(length) => {
                body.extend_from_slice(&bytes[..length]);
                Ok(Answer::Body)
            }
            Err(error) => bad(format!("invalid msgpack: {error}")),
        },
    }
}

/// Whether nothing but blanks stands between the value and its NUL.
fn is_terminated(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&0)
}

/// The first bytes of an answer, for a log line.
fn start_of(text: &[u8]) -> String {
    const SHOWN: usize = 120;
    let shown = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
    let more = if text.len() > SHOWN { "..." } else { "" };
    format!("{}{more}", shown.escape_debug())
}
