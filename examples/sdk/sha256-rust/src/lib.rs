//! A log filter in Rust: adds to every record the SHA-256 of its text, so that whoever gets it can tell whether it was altered on the
//! way.
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```

#![no_std]

use core::str;

use flb_filter::{Context, Record, Verdict};

#[flb_filter::filter]
fn sha256(record: &mut Record, _: &Context) -> Verdict {
    let digest = flb_filter::sha256(record.json_text());
    let digit = |half: u8| b"0123456789abcdef"[usize::from(half & 15)];
    let digits = digest.map(|byte| [digit(byte >> 4), digit(byte)]);
    record.append("sha256", str::from_utf8(digits.as_flattened()).unwrap_or_default());
    Verdict::Keep
}

#[cfg(test)]
mod tests {
    use flb_filter::testing;

    #[test]
    fn a_record_gets_the_digest_of_its_text() {
        let digest = "9b2d43affbf49a367028df2e1414f84c0e099ac98c3d54a8a80157fd7771af25";
        let wanted = [r#"{"message":"hello","sha256":""#, digest, r#""}"#].concat();
        assert_eq!(testing::run(super::sha256, r#"{"message":"hello"}"#), [wanted.as_str()]);
    }
}
