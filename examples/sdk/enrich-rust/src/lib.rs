//! A log filter in Rust: adds to every record the language it was seen by, its tag, its time in words and its original text.
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```

#![no_std]

use flb_filter::{Context, Record, Verdict};

#[flb_filter::filter]
fn enrich(record: &mut Record, ctx: &Context) -> Verdict {
    record.set("lang", "Rust");
    record.set("tag", ctx.tag());
    record.set("time", record.time().rfc3339());
    record.set("original", record.json());
    Verdict::Keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_filter::testing::Host;

    #[test]
    fn keys_are_added_behind_the_records_own() {
        let host = Host::new().tag("dummy.local").time(1_795_355_380, 917_655_454);
        let wanted = concat!(
            r#"{"message":"dummy","lang":"Rust","tag":"dummy.local","#,
            r#""time":"2026-11-22T13:49:40.917655454Z","original":"{\"message\":\"dummy\"}"}"#
        );
        assert_eq!(host.run(enrich, r#"{"message":"dummy"}"#), [wanted]);
    }

    #[test]
    fn a_key_that_is_there_already_keeps_its_place() {
        let answer = Host::new().run(enrich, r#"{"lang":"C","n":1}"#);
        assert!(answer.records()[0].body.starts_with(r#"{"lang":"Rust","n":1,"tag":"test","#));
    }
}
