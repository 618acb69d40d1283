//! What a guest says of its records, looked at and carried out.

use std::str;

use flb_event::edit::{self, Edit, EditError};
use flb_event::{Event, Records, Tag, Timestamp, Verdict, msgpack};

use super::block::RECORD;
use super::sight::{Sight, word};
use crate::FilterError;
use crate::abi::{Answers, Part};

/// Where in a record of the table its verdict is, and what belongs to that.
const VERDICT: usize = 20;
const AT: usize = 24;
const LEN: usize = 28;

const KEEP: u32 = 0;
const DROP: u32 = 1;
const EDIT: u32 = 2;
const REPLACE: u32 = 3;
const SPLIT: u32 = 4;
const FAIL: u32 = 5;

/// Bytes of an edit and of a part.
const EDIT_SIZE: usize = 16;
const PART_SIZE: usize = 32;
/// Most edits of a record, and most records that one becomes.
const MOST: u32 = 65_536;
/// Most bytes of a reason that are shown.
const SHOWN: usize = 1000;

/// The kinds of edits.
const SET: u32 = 0;
const APPEND: u32 = 1;
const DELETE: u32 = 2;
const RENAME: u32 = 3;
const PUT: u32 = 4;
const ALL: u32 = 5;
const TIME: u32 = 6;
const TAG: u32 = 7;
/// Set in the kinds above up to `ALL` for those of the metadata.
const OF_METADATA: u32 = 0x80;

/// Carries out what these entries of the table say of the next records.
pub(super) fn carry_out(
    entries: &[u8],
    sight: &Sight<'_>,
    records: &mut Records<'_>,
    answers: &mut impl Answers,
) {
    let mut edits = Edits::default();
    let mut entries = entries.as_chunks::<RECORD>().0.iter();
    loop {
        let rest = entries.as_slice();
        let kept = rest.iter().take_while(|entry| word(*entry, VERDICT) == KEEP).count();
        if kept > 0 {
            answers.keep(kept);
            records.pass(kept);
        }
        let Some(entry) = entries.nth(kept) else { return };
        let Some(event) = records.next() else { return };
        let verdict = word(entry, VERDICT);
        let (at, len) = (word(entry, AT), word(entry, LEN));
        let done = match verdict {
            DROP => {
                answers.decide(event, Verdict::Drop);
                Ok(())
            }
            EDIT => edits.read(sight, at, len).and_then(|()| edits.make(event, answers)),
            REPLACE => map(sight, at, len).map(|map| answers.decide(event, Verdict::Replace(map))),
            SPLIT => parts(sight, event, at, len).map(|parts| answers.split(event, &parts)),
            FAIL => text(sight, "reason", at, len)
                .and_then(|text| Err(FilterError::Refused { reason: shown(text) })),
            _ => bad(format!("there is no verdict {verdict}")),
        };
        if let Err(error) = done {
            answers.fail(event, error);
        }
    }
}

/// A failure with what the guest said of it beforehand: the text of a verdict that it gave the record in hand.
pub(super) fn saying(mut error: FilterError, entry: &[u8], sight: &Sight<'_>) -> FilterError {
    if word(entry, VERDICT) == FAIL
        && let FilterError::Trap { printed, .. }
        | FilterError::OutOfMemory { printed, .. }
        | FilterError::Exit { printed, .. } = &mut error
        && let Some(words) = reason(sight, word(entry, AT), word(entry, LEN))
    {
        *printed = Some(words);
    }
    error
}

/// The text that a guest gives as a reason; `None` if it is not there, or empty.
pub(super) fn reason(sight: &Sight<'_>, at: u32, len: u32) -> Option<String> {
    let text = sight.bytes(at, len as usize)?;
    (!text.is_empty()).then(|| shown(text))
}

/// As much of a reason as is shown.
fn shown(text: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
    if text.len() <= SHOWN {
        return beginning.into_owned();
    }
    // What was cut in the middle of a letter is no fault of its author's.
    beginning.trim_end_matches('\u{fffd}').to_owned()
}

/// The edits of a record. Kept for the next one, for its memory.
#[derive(Default)]
struct Edits<'m> {
    body: Vec<Edit<'m>>,
    metadata: Vec<Edit<'m>>,
    time: Option<Timestamp>,
    tag: Option<Tag>,
}

impl<'m> Edits<'m> {
    /// Reads a list of edits.
    fn read(&mut self, sight: &Sight<'m>, at: u32, len: u32) -> Result<(), FilterError> {
        self.body.clear();
        self.metadata.clear();
        (self.time, self.tag) = (None, None);
        if len > MOST {
            return bad(format!("a record has {len} edits, {MOST} are the most"));
        }
        let Some(list) = sight.bytes(at, len as usize * EDIT_SIZE) else {
            return bad(format!("the edits at {at:#x} are not in the guest's memory"));
        };
        for edit in list.chunks_exact(EDIT_SIZE) {
            self.add(sight, edit)?;
        }
        Ok(())
    }

    #[inline]
    fn add(&mut self, sight: &Sight<'m>, edit: &[u8]) -> Result<(), FilterError> {
        let (kind, key_len) = (word(edit, 0) & 0xff, word(edit, 0) >> 8);
        let (key_at, value_at, len) = (word(edit, 4), word(edit, 8), word(edit, 12));
        let key = || text(sight, "key", key_at, key_len);
        let value = |what| text(sight, what, value_at, len);
        let edit = match kind & !OF_METADATA {
            SET => Edit::Set { key: key()?, value: value("value")? },
            APPEND => Edit::Append { key: key()?, value: value("value")? },
            DELETE => Edit::Delete { key: key()? },
            RENAME => Edit::Rename { key: key()?, to: value("new key")? },
            PUT => Edit::Put { at: key_at as usize, value: value("value")? },
            ALL => Edit::All { map: value("map")? },
            TIME if kind == TIME => return self.set_time(key_at, value_at),
            TAG if kind == TAG => return self.set_tag(value("tag")?),
            _ => return bad(format!("there is no edit {kind}")),
        };
        match kind & OF_METADATA {
            0 => self.body.push(edit),
            _ => self.metadata.push(edit),
        }
        Ok(())
    }

    fn set_time(&mut self, sec: u32, nsec: u32) -> Result<(), FilterError> {
        self.time = Some(time(sec, nsec)?);
        Ok(())
    }

    fn set_tag(&mut self, text: &[u8]) -> Result<(), FilterError> {
        self.tag = Some(tag(text)?);
        Ok(())
    }

    /// Makes them.
    fn make(&mut self, event: Event<'_>, answers: &mut impl Answers) -> Result<(), FilterError> {
        if self.metadata.is_empty() && self.time.is_none() && self.tag.is_none() {
            match self.body.as_slice() {
                [] => answers.keep(1),
                edits => answers.edit(event, |out| {
                    edit::apply(event.body, edits, out).map_err(|error| not_made(&error))
                }),
            }
            return Ok(());
        }
        let (mut metadata, mut body) = (Vec::new(), Vec::new());
        edited(event.metadata, &self.metadata, &mut metadata)?;
        edited(event.body, &self.body, &mut body)?;
        if metadata.len() + body.len() > edit::MOST_BYTES {
            return bad(too_long());
        }
        let time = self.time.unwrap_or(event.time);
        let event_now = Event { time, metadata: &metadata, body: &body };
        answers.split(event, &[Part { tag: self.tag.take(), event: event_now }]);
        Ok(())
    }
}

fn edited(map: &[u8], edits: &[Edit<'_>], out: &mut Vec<u8>) -> Result<(), FilterError> {
    if edits.is_empty() {
        out.extend_from_slice(map);
        return Ok(());
    }
    edit::apply(map, edits, out).map_err(|error| not_made(&error))
}

fn not_made(error: &EditError) -> FilterError {
    FilterError::BadOutput { reason: error.to_string() }
}

/// The parts that a record is split into.
fn parts<'a>(
    sight: &Sight<'a>,
    event: Event<'a>,
    at: u32,
    len: u32,
) -> Result<Vec<Part<'a>>, FilterError> {
    if len > MOST {
        return bad(format!("a record is split into {len}, {MOST} are the most"));
    }
    let Some(list) = sight.bytes(at, len as usize * PART_SIZE) else {
        return bad(format!("the parts at {at:#x} are not in the guest's memory"));
    };
    let (mut parts, mut size) = (Vec::with_capacity(len as usize), 0);
    for part in list.chunks_exact(PART_SIZE) {
        size += self::size(event, part);
        if size > edit::MOST_BYTES {
            return bad(too_long());
        }
        parts.push(self::part(sight, event, part)?);
    }
    Ok(parts)
}

/// Bytes of a part by its own word. They are looked at before the part is: one map, or one tag, may be given for many.
fn size(whole: Event<'_>, part: &[u8]) -> usize {
    let own = |at, own: usize| match (word(part, at), word(part, at + 4)) {
        (0, 0) => own,
        (_, len) => len as usize,
    };
    own(8, whole.metadata.len()) + own(16, whole.body.len()) + own(24, 0)
}

fn part<'a>(sight: &Sight<'a>, whole: Event<'a>, part: &[u8]) -> Result<Part<'a>, FilterError> {
    let own = |at, own| match (word(part, at), word(part, at + 4)) {
        (0, 0) => Ok(own),
        (at, len) => map(sight, at, len),
    };
    let tag = match (word(part, 24), word(part, 28)) {
        (0, 0) => None,
        (at, len) => Some(tag(text(sight, "tag", at, len)?)?),
    };
    let event = Event {
        time: time(word(part, 0), word(part, 4))?,
        metadata: own(8, whole.metadata)?,
        body: own(16, whole.body)?,
    };
    Ok(Part { tag, event })
}

#[inline]
fn text<'m>(sight: &Sight<'m>, what: &str, at: u32, len: u32) -> Result<&'m [u8], FilterError> {
    match sight.bytes(at, len as usize) {
        Some(text) => Ok(text),
        None => bad(format!("the {what} of {len} bytes at {at:#x} is not in the guest's memory")),
    }
}

/// One msgpack map, and nothing behind it.
fn map<'m>(sight: &Sight<'m>, at: u32, len: u32) -> Result<&'m [u8], FilterError> {
    let map = text(sight, "map", at, len)?;
    if map.len() > edit::MOST_BYTES {
        return bad(too_long());
    }
    match msgpack::map_len(map) {
        Ok(len) if len == map.len() => Ok(map),
        Ok(_) => bad("there is more than one msgpack map where one is to be".to_owned()),
        Err(error) => bad(format!("invalid msgpack: {error}")),
    }
}

fn too_long() -> String {
    format!("a record has more than {} MiB", edit::MOST_BYTES >> 20)
}

fn time(sec: u32, nsec: u32) -> Result<Timestamp, FilterError> {
    if nsec < 1_000_000_000 {
        Ok(Timestamp { sec, nsec })
    } else {
        bad(format!("a time has {nsec} nanoseconds"))
    }
}

fn tag(text: &[u8]) -> Result<Tag, FilterError> {
    let Ok(text) = str::from_utf8(text) else { return bad("a tag is not UTF-8".to_owned()) };
    if text.is_empty() || text.contains('\0') {
        return bad("a tag is empty, or has a NUL in it".to_owned());
    }
    Tag::new(text).or_else(|error| bad(error.to_string()))
}

fn bad<T>(reason: String) -> Result<T, FilterError> {
    Err(FilterError::BadOutput { reason })
}
