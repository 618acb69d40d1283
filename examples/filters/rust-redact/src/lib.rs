//! A log filter in Rust: masks what logs should not tell, the values of keys that are secret and the
//! names in mail addresses, however deep they stand in a record.
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```

use std::cell::RefCell;
use std::slice;

use serde_json::{Map, Value};

/// Keys whose values nobody should read, in small letters.
const SECRET: &[&str] = &["authorization", "cookie", "password", "secret", "token"];
/// What stands in their place.
const MASK: &str = "***";

thread_local! {
    /// The answer to the last call. The agent copies it before it calls again, so one buffer
    /// serves all records.
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Called by the agent for every record, which is JSON text; answers with the new one, which ends
/// with a NUL. What is no object is handed back as it came.
///
/// # Safety
///
/// `record` must point to `record_len` readable bytes, with a NUL after the last one: this is what
/// the agent promises. The tag is not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rust_redact(
    _tag: *const u8,
    _tag_len: usize,
    _sec: u32,
    _nsec: u32,
    record: *const u8,
    record_len: usize,
) -> *const u8 {
    // SAFETY: the caller's promise, above.
    let text = unsafe { slice::from_raw_parts(record, record_len) };
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(text) else {
        return record;
    };
    redact_members(&mut members);
    ANSWER.with_borrow_mut(|answer| {
        answer.clear();
        serde_json::to_writer(&mut *answer, &members).expect("a map of JSON values is JSON");
        answer.push(0);
        answer.as_ptr()
    })
}

fn redact_members(members: &mut Map<String, Value>) {
    for (key, value) in members {
        if SECRET.iter().any(|secret| key.eq_ignore_ascii_case(secret)) {
            *value = MASK.into();
        } else {
            redact(value);
        }
    }
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => redact_members(members),
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::String(text) => {
            if let Some(masked) = without_names(text) {
                *text = masked;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `from jane.doe@example.com` -> `from ***@example.com`; nothing if there is no such address.
fn without_names(text: &str) -> Option<String> {
    let mut masked = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('@') {
        let name = before.trim_end_matches(is_part_of_name);
        let is_address = name.len() < before.len() && behind.starts_with(char::is_alphanumeric);
        masked.push_str(if is_address { name } else { before });
        masked.push_str(if is_address { MASK } else { "" });
        masked.push('@');
        rest = behind;
    }
    if masked.is_empty() {
        return None;
    }
    masked.push_str(rest);
    Some(masked)
}

fn is_part_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || "._%+-".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::ptr;

    /// Calls the filter as the agent does.
    fn call(record: &CStr) -> String {
        let len = record.to_bytes().len();
        // SAFETY: the pointer and its length come from a text that ends with a NUL.
        let answer = unsafe {
            CStr::from_ptr(rust_redact(ptr::null(), 0, 0, 0, record.as_ptr().cast(), len).cast())
        };
        answer.to_str().unwrap().to_owned()
    }

    #[test]
    fn values_of_secret_keys_are_masked_wherever_they_stand() {
        assert_eq!(
            call(cr#"{"user":"jane","Password":"x","http":[{"cookie":{"a":1},"path":"/"}]}"#),
            r#"{"user":"jane","Password":"***","http":[{"cookie":"***","path":"/"}]}"#
        );
    }

    #[test]
    fn names_in_mail_addresses_are_masked() {
        for (text, masked) in [
            ("jane.doe@example.com", Some("***@example.com")),
            ("from a+b@c.de, to j%k@l.org!", Some("from ***@c.de, to ***@l.org!")),
            ("to grün@example.com", Some("to ***@example.com")),
            ("a@b@c", Some("***@***@c")),
            ("@home is @ 5", Some("@home is @ 5")),
            ("nobody", None),
            ("", None),
        ] {
            assert_eq!(without_names(text).as_deref(), masked, "{text}");
        }
    }

    #[test]
    fn escaped_addresses_are_found() {
        assert_eq!(call(cr#"{"m":"jane\u0040example.com"}"#), r#"{"m":"***@example.com"}"#);
    }

    #[test]
    fn what_is_no_object_is_handed_back() {
        for text in [c"[1,2]", c"no JSON", c"{\"a\":", c""] {
            assert_eq!(call(text), text.to_str().unwrap());
        }
    }
}
