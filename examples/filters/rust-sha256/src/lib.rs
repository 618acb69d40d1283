//! A log filter in Rust: adds to every record the SHA-256 of its text, so that whoever gets it can
//! tell whether it was altered on the way.
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```

use std::cell::RefCell;
use std::slice;

use sha2::{Digest, Sha256};

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
pub unsafe extern "C" fn rust_sha256(
    _tag: *const u8,
    _tag_len: usize,
    _sec: u32,
    _nsec: u32,
    record: *const u8,
    record_len: usize,
) -> *const u8 {
    // SAFETY: the caller's promise, above.
    let text = unsafe { slice::from_raw_parts(record, record_len) };
    ANSWER.with_borrow_mut(|answer| {
        answer.clear();
        match with_digest(text, answer) {
            Some(()) => answer.as_ptr(),
            None => record,
        }
    })
}

/// Writes the record with its digest, or nothing if the text is no JSON object.
fn with_digest(text: &[u8], answer: &mut Vec<u8>) -> Option<()> {
    let members = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    answer.extend(&text[..text.len() - 1]);
    if !members.is_empty() {
        answer.push(b',');
    }
    answer.extend(b"\"sha256\":\"");
    for byte in Sha256::digest(text) {
        answer.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    answer.extend(b"\"}\0");
    Some(())
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
            CStr::from_ptr(rust_sha256(ptr::null(), 0, 0, 0, record.as_ptr().cast(), len).cast())
        };
        answer.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_digest_is_added_behind_the_records_own_keys() {
        assert_eq!(
            call(cr#"{"message":"dummy"}"#),
            r#"{"message":"dummy","sha256":""#.to_owned()
                + "b9cb4374c3a5d662b866c4bb0f19053b44be15eaa35561b4c894fccd88b4a28d\"}"
        );
        assert!(call(c"{}").starts_with(r#"{"sha256":"44136fa355b3678a"#));
    }

    #[test]
    fn what_is_no_object_is_handed_back() {
        for text in [c"[1,2]", c"no JSON", c""] {
            assert_eq!(call(text), text.to_str().unwrap());
        }
    }
}
