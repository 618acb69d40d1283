//! What is hidden of records before anybody looks at them: whatever a key or a text says is secret.

use flb_config::{MASK, Secrecy, is_secret_name, masked};
use serde_json::Value;

/// Characters of a text that are shown.
const LONGEST: usize = 4000;

/// A value from a record without its secrets. They are what stands under a key with a secret's name, or in the pair of such a
/// name and a `value`; and within a text what stands behind such a word, and the password of a URL.
pub(super) fn redacted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let names_a_secret = ["key", "name"]
                .iter()
                .any(|key| map.get(*key).and_then(Value::as_str).is_some_and(is_secret_name));
            let shown = map.into_iter().map(|(key, value)| {
                let is_secret = is_secret_name(&key) || (names_a_secret && key == "value");
                let value = if is_secret { Value::from(MASK) } else { redacted(value) };
                (key, value)
            });
            Value::Object(shown.collect())
        }
        Value::Array(list) => list.into_iter().map(redacted).collect(),
        Value::String(text) => {
            let text = masked("", Secrecy::Open, "", &text, false);
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()).into(),
                None => text.into(),
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(record: Value, expected: Value) {
        assert_eq!(redacted(record), expected);
    }

    #[test]
    fn what_stands_under_a_secret_s_name_is_hidden_whatever_it_is() {
        check(
            json!({"user": "jane", "Password": "x", "n": 1, "http": {"Set-Cookie": ["a", "b"], "path": "/"}}),
            json!({"user": "jane", "Password": MASK, "n": 1, "http": {"Set-Cookie": MASK, "path": "/"}}),
        );
        check(json!([{"access_token": {"a": 1}}]), json!([{"access_token": MASK}]));
    }

    #[test]
    fn a_pair_of_a_secret_s_name_and_its_value_is_hidden() {
        check(
            json!([{"key": "api_key", "value": {"stringValue": "x"}}, {"name": "host", "value": "a"}]),
            json!([{"key": "api_key", "value": MASK}, {"name": "host", "value": "a"}]),
        );
    }

    #[test]
    fn texts_lose_what_their_words_say_is_secret() {
        for (text, expected) in [
            ("GET / HTTP/1.1", "GET / HTTP/1.1"),
            ("Authorization: Bearer x", "Authorization: ********"),
            ("see http://me:x@host/", "see http://me:********@host/"),
            (r#"{"a":1,"password":"x"}"#, r#"{"a":1,"password":"********"#),
        ] {
            check(text.into(), expected.into());
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let Value::String(text) = redacted("ö".repeat(5000).into()) else { panic!("a text") };
        assert!(text.ends_with("ö... (10000 bytes)"), "{text}");
        assert_eq!(text.chars().filter(|letter| *letter == 'ö').count(), LONGEST);
    }
}
