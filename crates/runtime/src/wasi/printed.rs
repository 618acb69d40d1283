//! What a guest prints to its stderr during one call: where a language says why it gives up.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are kept of one call, at least; up to twice as many.
const KEPT: usize = 4096;
/// Longest text of a failure, in characters.
const SHOWN: usize = 300;
/// Lines that begin like this, or hold this, are where a language says why.
const MARKS: [&str; 6] =
    ["panicked at", "panic: ", "fatal error: ", "Assertion failed", "assertion failed", "abort: "];
/// What follows from such a line on is of no use to the operator.
const ENDS: [&str; 3] = ["note: run with `RUST_BACKTRACE", "goroutine ", "stack backtrace:"];

/// The end of what a guest printed during its last call. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Printed(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The number of the call.
    call: u64,
    bytes: Vec<u8>,
}

impl Printed {
    /// Takes what the guest prints during the call of this number.
    pub(crate) fn add(&self, call: u64, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.call != call {
            kept.call = call;
            kept.bytes.clear();
        }
        kept.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
        if kept.bytes.len() > 2 * KEPT {
            let old = kept.bytes.len() - KEPT;
            kept.bytes.drain(..old);
        }
    }

    /// Why the language gave up during the call of this number, on one line; else the last line of all.
    pub(crate) fn words(&self, call: u64) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.call == call).then(|| words(&String::from_utf8_lossy(&kept.bytes))).flatten()
    }
}

fn words(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let holds = |line: &&str, words: &[&str]| words.iter().any(|word| line.contains(word));
    let begin = lines.iter().position(|line| holds(line, &MARKS));
    let said = &lines[begin.unwrap_or(lines.len().saturating_sub(1))..];
    let end = said.iter().position(|line| holds(line, &ENDS)).unwrap_or(said.len());
    let text = said[..end].join(" ");
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    (!shown.is_empty()).then(|| format!("{shown}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(words(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn the_reason_is_found_among_what_was_printed() {
        check(
            "before\n\nthread '<unnamed>' (1) panicked at src/lib.rs:3:5:\nindex out of bounds: the len is 0\n\
             note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
            Some(
                "thread '<unnamed>' (1) panicked at src/lib.rs:3:5: index out of bounds: the len is 0",
            ),
        );
        check(
            "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.f()\n",
            Some("panic: runtime error: index out of range [5] with length 3"),
        );
        check("one\ntwo\n", Some("two"));
        check("\n \n", None);
        let long = "x".repeat(1000);
        assert_eq!(words(&long).unwrap().len(), SHOWN + 3);
    }

    #[test]
    fn only_the_end_of_the_last_call_is_kept() {
        let printed = Printed::default();
        printed.add(1, b"one\n");
        printed.add(2, b"two");
        printed.add(2, b"three\n");
        assert_eq!(printed.words(2).as_deref(), Some("twothree"));
        assert_eq!(printed.words(3), None);
        for _ in 0..100 {
            printed.add(3, &[b'x'; 1000]);
        }
        assert!(printed.0.lock().unwrap().bytes.len() <= 2 * KEPT);
    }
}
