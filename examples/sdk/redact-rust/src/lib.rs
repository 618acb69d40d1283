//! A log filter in Rust: masks what logs should not tell, the values of keys that are secret and the names in mail addresses, however
//! deep they stand in a record.
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```

#![no_std]

use flb_filter::{Context, Encode, Record, TextWriter, Value, Verdict, Walk, text};

/// Keys whose values nobody should read, in small letters.
const SECRET: &[&str] = &["authorization", "cookie", "password", "secret", "token"];
/// What stands in their place.
const MASK: &str = "***";

#[flb_filter::filter]
fn redact(record: &mut Record, _: &Context) -> Verdict {
    record.walk(|record, key, value| {
        if is_secret(key) {
            record.put(value, MASK);
            return Walk::Past;
        }
        if let Some(masked) = without_names(value) {
            record.put(value, masked);
        }
        Walk::Into
    });
    Verdict::Keep
}

fn is_secret(key: Value) -> bool {
    let Some(key) = key.as_text() else { return false };
    SECRET.iter().any(|secret| key.eq_ignore_ascii_case(secret.as_bytes()))
}

/// `from jane.doe@example.com` -> `from ***@example.com`; nothing if there is no `@`.
fn without_names(value: Value<'_>) -> Option<impl Encode> {
    value.as_text()?.find(b'@')?;
    let letters = value.as_str()?;
    Some(text(move |to| mask(letters, to)))
}

fn mask(letters: &str, to: &mut TextWriter) {
    let mut rest = letters;
    while let Some((before, behind)) = rest.split_once('@') {
        let name = before.trim_end_matches(is_part_of_name);
        let is_address = name.len() < before.len() && behind.starts_with(char::is_alphanumeric);
        to.push(if is_address { name } else { before });
        to.push(if is_address { MASK } else { "" });
        to.push("@");
        rest = behind;
    }
    to.push(rest);
}

fn is_part_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '.' | '_' | '%' | '+' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_filter::testing::run;

    #[test]
    fn values_of_secret_keys_are_masked_wherever_they_stand() {
        assert_eq!(
            run(redact, r#"{"user":"jane","Password":"x","http":[{"cookie":{"a":1},"path":"/"}]}"#),
            [r#"{"user":"jane","Password":"***","http":[{"cookie":"***","path":"/"}]}"#],
        );
    }

    #[test]
    fn names_in_mail_addresses_are_masked() {
        for (text, masked) in [
            ("jane.doe@example.com", "***@example.com"),
            ("from a+b@c.de, to j%k@l.org!", "from ***@c.de, to ***@l.org!"),
            ("to gr\\u00fcn@example.com", "to ***@example.com"),
            ("a@b@c", "***@***@c"),
            ("@home is @ 5", "@home is @ 5"),
            ("jane\\u0040example.com", "***@example.com"),
            ("nobody", "nobody"),
            ("", ""),
        ] {
            let wanted = [r#"{"m":""#, masked, r#""}"#].concat();
            assert_eq!(run(redact, &[r#"{"m":""#, text, r#""}"#].concat()), [wanted.as_str()]);
        }
    }
}
