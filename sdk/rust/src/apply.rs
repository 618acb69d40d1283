//! What a verdict makes of a record, where no host carries it out: in native tests, and for stock Fluent Bit.

use crate::abi::{self, Batch, Rec, verdict};
use crate::record::{Edit, RawPart, kind};
use crate::time::Time;
use crate::value::{Kind, Text, Value, head, skip};
use crate::write::{Encode, Shape, Writer};

/// A record that leaves the filter.
pub(crate) struct Made<'a> {
    pub(crate) time: Time,
    pub(crate) tag: &'a [u8],
    /// Two msgpack maps.
    pub(crate) metadata: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Why nothing can be made of a record.
#[derive(Debug)]
#[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "stock Fluent Bit is told nothing"))]
pub(crate) enum Wrong<'a> {
    /// The filter says that it is a failure, and why.
    Refused(&'a [u8]),
    /// The answer breaks a rule of the ABI.
    BadOutput(&'static str),
    /// There is too little room.
    NoRoom,
}

/// Most edits of a record, and most records that one becomes; most edits of a map that name a key; most bytes of a tag; and how
/// deep maps and arrays may nest: the host's bounds.
const MOST: u32 = 65_536;
const MOST_NAMED: usize = 256;
const MOST_OF_TAG: usize = 65_531;
const MOST_DEEP: usize = 128;

/// Hands on what becomes of a record, a call for each; bodies that change are made in `room`.
///
/// # Safety
///
/// The record is one of the batch, and the filter has decided about it.
pub(crate) unsafe fn apply<'a>(
    batch: &'a Batch,
    rec: &'a Rec,
    room: &mut Writer<'_>,
    mut made: impl FnMut(Made<'_>),
) -> Result<(), Wrong<'a>> {
    // SAFETY: the filter has put a verdict down whose list, if it has one, lies where it says.
    unsafe {
        let mut whole = Made {
            time: Time { sec: rec.sec, nsec: rec.nsec },
            tag: abi::bytes(batch.tag, batch.tag_len),
            metadata: Value::at(rec.meta).raw(),
            body: Value::at(rec.body).raw(),
        };
        match rec.verdict {
            0 => made(whole),
            verdict::DROP => {}
            verdict::EDIT | verdict::SPLIT if rec.len > MOST => {
                return Err(Wrong::BadOutput("a record has more than 65536 edits or parts"));
            }
            verdict::EDIT => {
                let edits = core::slice::from_raw_parts(rec.at.cast::<Edit>(), rec.len as usize);
                for edit in edits {
                    match edit.kind {
                        kind::TIME => {
                            whole.time =
                                time(edit.key as usize as u32, edit.value as usize as u32)?;
                        }
                        kind::TAG => whole.tag = tag(abi::bytes(edit.value, edit.len))?,
                        _ => {}
                    }
                }
                let metadata = edited(Value::at(rec.meta), edits, kind::METADATA, room)?;
                let body = edited(Value::at(rec.body), edits, 0, room)?;
                made(Made { metadata, body, ..whole });
            }
            verdict::SPLIT => {
                let parts = core::slice::from_raw_parts(rec.at.cast::<RawPart>(), rec.len as usize);
                for part in parts {
                    let own_or = |at: *const u8, len, own| match at.is_null() {
                        true => Ok(own),
                        false => map(abi::bytes(at, len)),
                    };
                    made(Made {
                        time: time(part.sec, part.nsec)?,
                        tag: match part.tag.is_null() {
                            true => whole.tag,
                            false => tag(abi::bytes(part.tag, part.tag_len))?,
                        },
                        metadata: own_or(part.meta, part.meta_len, whole.metadata)?,
                        body: own_or(part.body, part.body_len, whole.body)?,
                    });
                }
            }
            _ => return Err(Wrong::Refused(abi::bytes(rec.at, rec.len))),
        }
    }
    Ok(())
}

fn time(sec: u32, nsec: u32) -> Result<Time, Wrong<'static>> {
    match nsec < 1_000_000_000 {
        true => Ok(Time { sec, nsec }),
        false => Err(Wrong::BadOutput("a time has a second of nanoseconds, or more")),
    }
}

fn tag(text: &[u8]) -> Result<&[u8], Wrong<'static>> {
    if text.is_empty() || text.contains(&0) || core::str::from_utf8(text).is_err() {
        return Err(Wrong::BadOutput("a tag is empty, has a NUL in it, or is not UTF-8"));
    }
    match text.len() <= MOST_OF_TAG {
        true => Ok(text),
        false => Err(Wrong::BadOutput("a tag has more than 65531 bytes")),
    }
}

/// The msgpack, if it is a map.
fn map(msgpack: &[u8]) -> Result<&[u8], Wrong<'static>> {
    if !is_value(msgpack) {
        return Err(Wrong::BadOutput("a map is not one msgpack value, or nests too deep"));
    }
    // SAFETY: it is whole.
    match unsafe { Value::at(msgpack.as_ptr()) }.kind() {
        Kind::Map => Ok(msgpack),
        _ => Err(Wrong::BadOutput("a record's body and metadata are maps")),
    }
}

/// Whether the bytes are one msgpack value as the host takes it, and nothing else. A few bytes behind them can be read.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    // How many values the containers around the one in hand still wait for.
    let mut waiting = [0_usize; MOST_DEEP];
    let (mut at, mut depth) = (0_usize, 0);
    while at < bytes.len() {
        let head = head(bytes.as_ptr().wrapping_add(at));
        at = at.saturating_add(head.header + head.bytes);
        let is_container = matches!(head.mark, 0x80..=0x9f | 0xdc..=0xdf);
        if head.mark == 0xc1 || is_container && depth == MOST_DEEP {
            return false;
        }
        if head.values > 0 {
            waiting[depth] = head.values;
            depth += 1;
            continue;
        }
        while depth > 0 {
            waiting[depth - 1] -= 1;
            if waiting[depth - 1] > 0 {
                break;
            }
            depth -= 1;
        }
        if depth == 0 {
            return at == bytes.len();
        }
    }
    false
}

/// The map with what the edits of it change.
unsafe fn edited<'a>(
    old: Value<'a>,
    edits: &[Edit],
    of: u32,
    room: &mut Writer<'_>,
) -> Result<&'a [u8], Wrong<'static>> {
    let kind_of = |edit: &Edit| (edit.kind & 0xff) ^ of;
    let mine = |edit: &&Edit| kind_of(edit) <= kind::ALL;
    if !edits.iter().any(|edit| mine(&edit)) {
        return Ok(old.raw());
    }
    let has_value = |edit: &Edit| matches!(kind_of(edit), kind::SET | kind::APPEND | kind::PUT);
    // SAFETY: an edit's addresses lead to what it says.
    let value = |edit: &Edit| -> &'a [u8] { unsafe { abi::bytes(edit.value, edit.len) } };
    if let Some(all) = edits.iter().find(|edit| kind_of(edit) == kind::ALL) {
        if edits.iter().filter(mine).count() > 1 {
            return Err(Wrong::BadOutput("a map that is replaced cannot be edited as well"));
        }
        return map(value(all));
    }
    // SAFETY: as above.
    let key = |edit: &Edit| unsafe { Text(abi::bytes(edit.key, edit.kind >> 8)) };
    let names = |edit: &Edit| matches!(kind_of(edit), kind::SET | kind::DELETE | kind::RENAME);
    if edits.iter().filter(|edit| names(edit)).count() > MOST_NAMED {
        return Err(Wrong::BadOutput("more than 256 edits name a key"));
    }
    if edits.iter().any(|edit| has_value(edit) && !is_value(value(edit))) {
        return Err(Wrong::BadOutput("the value of an edit is not one msgpack value"));
    }
    // Of several for one name the last counts.
    let last = |name: Text<'_>| edits.iter().rev().find(|edit| names(edit) && key(edit) == name);
    let is_there = |name: Text<'_>| old.entries().any(|(key, _)| key.as_text() == Some(name));
    let mut puts = edits.iter().filter(|edit| kind_of(edit) == kind::PUT).peekable();

    let is_deleted = |name: Value<'_>| {
        name.as_text().and_then(last).is_some_and(|edit| kind_of(edit) == kind::DELETE)
    };
    let is_new = |edit: &Edit| match kind_of(edit) {
        kind::APPEND => true,
        kind::SET => {
            last(key(edit)).is_some_and(|last| core::ptr::eq(last, edit)) && !is_there(key(edit))
        }
        _ => false,
    };
    let mut write = |to: &mut Writer<'_>| {
        let mut count = 0;
        for (name, old_value) in old.entries() {
            let edit = name.as_text().and_then(last);
            let mut copy = |from: Value<'a>, to: &mut Writer<'_>| {
                let (mut at, end) = (from.address(), skip(from.address()));
                while let Some(put) = puts.peek() {
                    let place = old.address().wrapping_add(put.key as usize);
                    // What lies before was taken away, or replaced already.
                    if place >= end || place < at {
                        break;
                    }
                    to.put(between(at, place));
                    to.put(value(put));
                    at = skip(place);
                    puts.next();
                }
                to.put(between(at, end));
            };
            match edit.map(|edit| (kind_of(edit), value(edit))) {
                Some((kind::DELETE, _)) => continue,
                Some((kind::RENAME, new)) => {
                    Text(new).encode(to);
                    copy(old_value, to);
                }
                Some((_, new)) => {
                    copy(name, to);
                    to.put(new);
                }
                None => {
                    copy(name, to);
                    copy(old_value, to);
                }
            }
            count += 1;
        }
        for edit in edits {
            if is_new(edit) {
                key(edit).encode(to);
                to.put(value(edit));
                count += 1;
            }
        }
        count
    };
    let gone = old.entries().filter(|(name, _)| is_deleted(*name)).count();
    let start = room.address();
    if gone == edits.iter().filter(|edit| is_new(edit)).count() {
        // The header stays as it came, whatever its form.
        let at = old.address();
        room.put(between(at, at.wrapping_add(head(at).header)));
        write(room);
    } else {
        room.sized(Shape::Map, 0, write);
    }
    if room.is_full() {
        return Err(Wrong::NoRoom);
    }
    if puts.next().is_some() {
        return Err(Wrong::BadOutput(
            "a value that is put stands within what another edit takes away",
        ));
    }
    // SAFETY: it was written just now, and the room outlives the batch.
    map(unsafe { abi::bytes(start, room.written(start) as u32) })
}

/// The bytes from one address to another.
fn between<'a>(from: *const u8, to: *const u8) -> &'a [u8] {
    if to <= from {
        return &[];
    }
    // SAFETY: both are within one record.
    unsafe { abi::bytes(from, (to as usize - from as usize) as u32) }
}

#[cfg(test)]
mod tests {
    use crate::{Context, Encode, Record, Time, Verdict, Writer, testing};
    use std::string::String;

    /// What the host says of such answers is in docs/batch-abi.md.
    #[track_caller]
    fn check_refused(filter: impl testing::Filter, why: &str) {
        let answer = testing::run(filter, r#"{"a":1}"#);
        let failure = answer.failure().unwrap_or_default();
        assert!(failure.starts_with("bad output") && failure.contains(why), "{answer:?}");
    }

    macro_rules! filter {
        (|$record:ident| $($does:tt)*) => {{
            fn filter($record: &mut Record<'_>, _: &Context<'_>) -> Verdict {
                $($does)*;
                Verdict::Keep
            }
            filter
        }};
    }

    #[test]
    fn a_time_has_less_than_a_second_of_nanoseconds() {
        const BAD: Time = Time { sec: 1, nsec: 1_000_000_000 };
        check_refused(filter!(|record| record.set_time(BAD)), "nanoseconds");
        check_refused(
            filter!(|record| record.split(|parts| _ = parts.add().time(BAD))),
            "nanoseconds",
        );
    }

    #[test]
    fn a_tag_is_a_text_of_some_length() {
        check_refused(filter!(|record| record.set_tag("")), "tag");
        check_refused(filter!(|record| record.set_tag("a\0")), "tag");
        check_refused(filter!(|record| record.set_tag(b"\xff")), "tag");
        check_refused(filter!(|record| record.set_tag("x".repeat(65_532))), "tag");
        check_refused(filter!(|record| record.split(|parts| _ = parts.add().tag(""))), "tag");
        let answer =
            testing::run(filter!(|record| record.set_tag("x".repeat(65_531))), r#"{"a":1}"#);
        assert_eq!(answer.records().first().map(|made| made.tag.len()), Some(65_531));
    }

    #[test]
    fn edits_have_their_bounds() {
        check_refused(filter!(|record| (0..257).for_each(|_| record.set("b", 1))), "256");
        check_refused(filter!(|record| (0..65_537).for_each(|_| record.append("b", 1))), "65536");
        let some = filter!(|record| (0..256).for_each(|_| record.set("b", 1)));
        assert_eq!(testing::run(some, r#"{"a":1}"#), [r#"{"a":1,"b":1}"#]);
    }

    #[test]
    fn what_a_filter_writes_is_one_value() {
        struct Two;
        impl Encode for Two {
            fn encode(self, to: &mut Writer<'_>) {
                1.encode(to);
                2.encode(to);
            }
        }
        struct None;
        impl Encode for None {
            fn encode(self, _: &mut Writer<'_>) {}
        }
        check_refused(filter!(|record| record.set("b", Two)), "one msgpack value");
        check_refused(filter!(|record| record.append("b", None)), "one msgpack value");
        check_refused(filter!(|record| record.replace(None)), "one msgpack value");
    }

    #[test]
    fn maps_nest_no_deeper_than_records_may() {
        let filter = filter!(|record| {
            let a = record.get("a");
            record.append("b", crate::array(|to| to.item(a)));
        });
        let deep = |depth: usize| -> String {
            [r#"{"a":"#, &"[".repeat(depth), &"]".repeat(depth), "}"].concat()
        };
        assert_eq!(testing::run(filter, &deep(126)).records().len(), 1);
        assert!(testing::run(filter, &deep(127)).failure().is_some_and(|why| why.contains("deep")));
    }
}
