//! What a verdict makes of a record, where no host carries it out: in native tests, and for stock Fluent Bit.

use crate::abi::{self, Batch, Rec, verdict};
use crate::record::{Edit, RawPart, kind};
use crate::time::Time;
use crate::value::{Kind, Text, Value, skip};
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
            verdict::EDIT => {
                let edits = core::slice::from_raw_parts(rec.at.cast::<Edit>(), rec.len as usize);
                for edit in edits {
                    match edit.kind {
                        kind::TIME => {
                            let (sec, nsec) =
                                (edit.key as usize as u32, edit.value as usize as u32);
                            whole.time = Time { sec, nsec };
                        }
                        kind::TAG => whole.tag = abi::bytes(edit.value, edit.len),
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
                    let or =
                        |at: *const u8, len, own| if len > 0 { abi::bytes(at, len) } else { own };
                    made(Made {
                        time: Time { sec: part.sec, nsec: part.nsec },
                        tag: or(part.tag, part.tag_len, whole.tag),
                        metadata: map(or(part.meta, part.meta_len, whole.metadata))?,
                        body: map(or(part.body, part.body_len, whole.body))?,
                    });
                }
            }
            _ => return Err(Wrong::Refused(abi::bytes(rec.at, rec.len))),
        }
    }
    Ok(())
}

/// The msgpack, if it is a map.
fn map(msgpack: &[u8]) -> Result<&[u8], Wrong<'static>> {
    // SAFETY: what a filter writes and what a record has are whole values.
    match unsafe { Value::at(msgpack.as_ptr()) }.kind() {
        Kind::Map => Ok(msgpack),
        _ => Err(Wrong::BadOutput("a record's body and metadata are maps")),
    }
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
    // Of several for one name the last counts.
    let last = |name: Text<'_>| edits.iter().rev().find(|edit| names(edit) && key(edit) == name);
    let is_there = |name: Text<'_>| old.entries().any(|(key, _)| key.as_text() == Some(name));
    let mut puts = edits.iter().filter(|edit| kind_of(edit) == kind::PUT).peekable();

    let start = room.address();
    room.sized(Shape::Map, 0, |to| {
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
            let is_new = match kind_of(edit) {
                kind::APPEND => true,
                kind::SET => {
                    last(key(edit)).is_some_and(|last| core::ptr::eq(last, edit))
                        && !is_there(key(edit))
                }
                _ => false,
            };
            if is_new {
                key(edit).encode(to);
                to.put(value(edit));
                count += 1;
            }
        }
        count
    });
    if puts.next().is_some() {
        return Err(Wrong::BadOutput(
            "a value that is put stands within what another edit takes away",
        ));
    }
    if room.is_full() {
        return Err(Wrong::NoRoom);
    }
    // SAFETY: it was written just now, and the room outlives the batch.
    Ok(unsafe { abi::bytes(start, room.written(start) as u32) })
}

/// The bytes from one address to another.
fn between<'a>(from: *const u8, to: *const u8) -> &'a [u8] {
    if to <= from {
        return &[];
    }
    // SAFETY: both are within one record.
    unsafe { abi::bytes(from, (to as usize - from as usize) as u32) }
}
