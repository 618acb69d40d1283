//! A log filter in Rust: adds to every record the language it was seen by, its tag, its time in
//! words and its original text.
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```

use std::cell::RefCell;
use std::slice;

use serde_json::{Map, Value};

thread_local! {
    /// The answer to the last call. The agent copies it before it calls again, so one buffer
    /// serves all records.
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Called by the agent for every record; answers with the new record, as JSON text that ends with
/// a NUL.
///
/// An empty text would drop the record. One that is no JSON object is handed back as it came.
///
/// # Safety
///
/// `tag` and `record` must each point to as many readable bytes as the length beside them says,
/// with a NUL after the record's last one: this is what the agent promises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rust_filter(
    tag: *const u8,
    tag_len: usize,
    sec: u32,
    nsec: u32,
    record: *const u8,
    record_len: usize,
) -> *const u8 {
    // SAFETY: the caller's promise, above.
    let tag = unsafe { slice::from_raw_parts(tag, tag_len) };
    // SAFETY: as above.
    let text = unsafe { slice::from_raw_parts(record, record_len) };

    let Some(enriched) = enrich(&String::from_utf8_lossy(tag), sec, nsec, text) else {
        return record;
    };
    ANSWER.with_borrow_mut(|answer| {
        answer.clear();
        serde_json::to_writer(&mut *answer, &enriched).expect("a map of JSON values is JSON");
        answer.push(0);
        answer.as_ptr()
    })
}

/// The record with our keys behind its own, or `None` if the text is no JSON object.
fn enrich(tag: &str, sec: u32, nsec: u32, text: &[u8]) -> Option<Map<String, Value>> {
    let original = str::from_utf8(text).ok()?;
    let mut record: Map<String, Value> = serde_json::from_str(original).ok()?;
    record.insert("lang".into(), "Rust".into());
    record.insert("tag".into(), tag.into());
    record.insert("time".into(), rfc3339(sec, nsec).into());
    record.insert("original".into(), original.into());
    Some(record)
}

/// `1795355380, 917655454` -> `2026-11-22T13:49:40.917655454Z`
fn rfc3339(sec: u32, nsec: u32) -> String {
    let (year, month, day) = civil_from_days(sec / 86_400);
    let (hour, minute, second) = (sec / 3_600 % 24, sec / 60 % 60, sec % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nsec:09}Z")
}

/// Year, month and day of the `days`th day after 1 January 1970.
///
/// A year is taken to begin in March, so that the leap day, if there is one, is its last. Then 400
/// years are always 146,097 days, and the months before a month have `(153 * month + 2) / 5`.
fn civil_from_days(days: u32) -> (u32, u32, u32) {
    let days = days + 719_468; // since 1 March of the year 0
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let day = day - (153 * month + 2) / 5 + 1;

    let year = era * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    /// Calls the filter as the agent does.
    fn call(tag: &str, sec: u32, nsec: u32, record: &CStr) -> String {
        let record = record.to_bytes_with_nul();
        let len = record.len() - 1;
        // SAFETY: the pointers come from slices of these lengths; the record ends with a NUL.
        let answer = unsafe {
            CStr::from_ptr(
                rust_filter(tag.as_ptr(), tag.len(), sec, nsec, record.as_ptr(), len).cast(),
            )
        };
        answer.to_str().unwrap().to_owned()
    }

    #[test]
    fn keys_are_added_behind_the_records_own() {
        assert_eq!(
            call("dummy.local", 1_795_355_380, 917_655_454, cr#"{"message":"dummy"}"#),
            r#"{"message":"dummy","lang":"Rust","tag":"dummy.local","#.to_owned()
                + r#""time":"2026-11-22T13:49:40.917655454Z","#
                + r#""original":"{\"message\":\"dummy\"}"}"#
        );
    }

    #[test]
    fn a_key_that_is_there_already_keeps_its_place() {
        let answer = call("t", 0, 0, cr#"{"lang":"C","n":1}"#);
        assert!(answer.starts_with(r#"{"lang":"Rust","n":1,"tag":"t","#), "{answer}");
    }

    #[test]
    fn what_is_no_object_is_handed_back() {
        for text in [c"[1,2]", c"no JSON", c"{\"a\":", c""] {
            assert_eq!(call("t", 0, 0, text), text.to_str().unwrap());
        }
    }

    #[test]
    fn a_short_answer_after_a_long_one_has_no_tail() {
        call("t", 0, 0, cr#"{"a":"a text much longer than the next one"}"#);
        assert!(call("t", 0, 0, c"{}").ends_with(r#""original":"{}"}"#));
    }

    #[test]
    fn days_are_dated() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_453, (2025, 12, 31)),
            (49_710, (2106, 2, 7)), // the last day that 32 bits can say
        ] {
            assert_eq!(civil_from_days(days), date, "day {days}");
        }
    }
}
