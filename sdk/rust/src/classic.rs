//! The six-argument ABI, for stock Fluent Bit: a record as JSON text, and the answer as JSON text with a NUL behind it.

use core::ptr::null;
use core::slice;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::abi::{self, Batch, Rec, StartBlock};
use crate::apply::apply;
use crate::value::{Kind, Value};
use crate::write::Writer;
use crate::{Context, Record, Verdict, json};

/// Whether the host is one that knows nothing but this ABI.
static RUNNING: AtomicBool = AtomicBool::new(false);

#[cfg(target_arch = "wasm32")]
pub(crate) fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed)
}

/// Filters one record. What is no JSON object is handed back as it came, and so is one that is a failure. Of a record's answer
/// its new body counts alone; several become a JSON array, which stock Fluent Bit does not know. There is no configuration.
///
/// # Safety
///
/// Tag and record are texts of these lengths, and stay as they are until the function returns.
pub unsafe fn run(
    (tag, tag_len): (*const u8, usize),
    time: (u32, u32),
    (text, text_len): (*const u8, usize),
    filter: impl for<'b> Fn(&mut Record<'b>, &Context<'b>) -> Verdict,
) -> *const u8 {
    // SAFETY: the caller's promise.
    let (tag, record) =
        unsafe { (slice::from_raw_parts(tag, tag_len), slice::from_raw_parts(text, text_len)) };
    let (Ok(tag), Ok(record)) = (core::str::from_utf8(tag), core::str::from_utf8(record)) else {
        return text;
    };
    RUNNING.store(true, Ordering::Relaxed);
    let mut room = 65_536 + 16 * text_len;
    let answer = loop {
        match answer(tag, time, record, room, &filter) {
            Err(TooSmall) if room < MOST => room *= 4,
            Err(TooSmall) => break None,
            Ok(answer) => break answer,
        }
    };
    RUNNING.store(false, Ordering::Relaxed);
    answer.unwrap_or(text)
}

/// With more room than that a record is handed back.
const MOST: usize = 1 << 28;

struct TooSmall;

/// What [`run`] answers, made in four rooms of that size; `None`: hand the record back.
fn answer(
    tag: &str,
    (sec, nsec): (u32, u32),
    record: &str,
    room: usize,
    filter: impl for<'b> Fn(&mut Record<'b>, &Context<'b>) -> Verdict,
) -> Result<Option<*const u8>, TooSmall> {
    let pages = pages::at_least(4 * room).ok_or(TooSmall)?;
    let place = |index: usize| pages.wrapping_add(index * room);
    // SAFETY: four rooms were asked for, and nobody else has them before the next call.
    let [mut came, mut edits, mut answer] =
        unsafe { [0, 2, 3].map(|index| Writer::new(place(index), room - BEHIND)) };
    let meta = came.address();
    came.put(&[EMPTY_MAP]);
    let body = came.address();
    match json::parse(record, &mut came) {
        None if came.is_full() => return Err(TooSmall),
        // SAFETY: it was parsed just now.
        Some(()) if unsafe { Value::at(body) }.kind() == Kind::Map => {}
        _ => return Ok(None),
    }
    let start = StartBlock::of(&[EMPTY_MAP], "", &mut []);
    let mut recs = [Rec::new((sec, nsec), meta, body, came.address())];
    let mut batch = Batch::of(&mut recs, tag, (place(1), room), 0, &raw const start);
    // SAFETY: the block is as the ABI has it, and so is what the filter leaves in it.
    let (applied, count) = unsafe {
        if abi::run(&raw mut batch, filter) != 0 {
            return Err(TooSmall);
        }
        let mut count = 0;
        let applied = apply(&batch, &recs[0], &mut edits, |made| {
            answer.put(if count == 0 { b"[" } else { b"," });
            json::print(Value::at(made.body.as_ptr()), &mut answer);
            count += 1;
        });
        (applied.is_ok(), count)
    };
    answer.put(if count > 1 { b"]\0" } else { b"\0" });
    if edits.is_full() || answer.is_full() {
        return Err(TooSmall);
    }
    let text = place(3).cast_const();
    Ok(match count {
        _ if !applied => None,
        0 => Some(null()),
        // One is an object, without the bracket before it.
        1 => Some(text.wrapping_add(1)),
        _ => Some(text),
    })
}

/// Bytes behind a room that are there to be read.
const BEHIND: usize = 64;

const EMPTY_MAP: u8 = 0x80;

/// Room that stays.
mod pages {
    use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    static START: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
    static LEN: AtomicUsize = AtomicUsize::new(0);

    /// As many bytes, the same ones as before if they are enough.
    pub(super) fn at_least(len: usize) -> Option<*mut u8> {
        let had = LEN.load(Ordering::Relaxed);
        if had < len {
            // What there was before is never given back, so it is at most as much as there is.
            let len = len.max(2 * had);
            START.store(grow(len)?, Ordering::Relaxed);
            LEN.store(len, Ordering::Relaxed);
        }
        Some(START.load(Ordering::Relaxed))
    }

    #[cfg(target_arch = "wasm32")]
    fn grow(len: usize) -> Option<*mut u8> {
        const PAGE: usize = 65_536;
        let page = core::arch::wasm32::memory_grow(0, len.div_ceil(PAGE));
        (page != usize::MAX).then(|| core::ptr::with_exposed_provenance_mut(page * PAGE))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn grow(len: usize) -> Option<*mut u8> {
        Some(std::vec![0; len].leak().as_mut_ptr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::string::{String, ToString};
    use std::sync::Mutex;

    /// The room is one for all.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn call(
        record: &str,
        filter: impl for<'b> Fn(&mut Record<'b>, &Context<'b>) -> Verdict,
    ) -> Option<String> {
        let _alone = ONE_AT_A_TIME.lock();
        let record = std::ffi::CString::new(record).unwrap();
        let text = record.as_bytes();
        // SAFETY: the texts are as long as is said, and a NUL ends the answer.
        unsafe {
            let answer = run(("t".as_ptr(), 1), (1, 2), (text.as_ptr(), text.len()), filter);
            let text = |answer| CStr::from_ptr(answer).to_str().unwrap().to_string();
            (!answer.is_null()).then(|| text(answer.cast()))
        }
    }

    #[test]
    fn a_record_is_filtered_as_json_text() {
        let set = |record: &mut Record<'_>, ctx: &Context<'_>| {
            record.set("tag", ctx.tag());
            record.set("was", record.json());
            Verdict::Keep
        };
        let was = r#""was":"{\"a\":1}""#;
        assert_eq!(call(r#"{"a":1}"#, set).unwrap(), [r#"{"a":1,"tag":"t","#, was, "}"].concat());
        assert_eq!(call(r#"{"a":1}"#, |_, _| Verdict::Drop), None);
        assert_eq!(call(r#"{"a":1.50}"#, |_, _| Verdict::Keep).unwrap(), r#"{"a":1.5}"#);
    }

    #[test]
    fn what_is_no_object_or_fails_is_handed_back() {
        let fail = |record: &mut Record<'_>, _: &Context<'_>| record.fail(format_args!("no"));
        for text in ["[1,2]", "no JSON", "{\"a\":", "", "{\"a\" : 1}"] {
            assert_eq!(call(text, fail).unwrap(), text);
        }
    }

    #[test]
    fn several_records_are_an_array() {
        let two = |record: &mut Record<'_>, _: &Context<'_>| {
            record.split(|parts| {
                parts.add();
                parts.add();
            });
            Verdict::Keep
        };
        assert_eq!(call(r#"{"a":1}"#, two).unwrap(), r#"[{"a":1},{"a":1}]"#);
    }

    #[test]
    fn an_answer_finds_its_room() {
        let long = "x".repeat(100_000);
        let twice = |record: &mut Record<'_>, _: &Context<'_>| {
            record.set("b", record.get("a"));
            record.set("c", record.json());
            Verdict::Keep
        };
        let answer = call(&std::format!(r#"{{"a":"{long}"}}"#), twice).unwrap();
        assert!(answer.len() > 300_000 && answer.ends_with("\"}\"}"));
    }
}
