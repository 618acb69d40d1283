//! What a server says of a bulk: what became of each record.

use std::collections::BTreeMap;
use std::fmt;

use flb_plugin::log::excerpt;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// An answer, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Whether some records failed, if it says so.
    errors: Option<bool>,
    items: Vec<Item>,
    is_whole: bool,
}

#[derive(Debug)]
struct Item {
    status: u16,
    reason: String,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// It may get through another time; why it did not.
    Again(String),
    /// It never will; why.
    Refused(String),
}

impl Answer {
    /// Reads an answer. It may be cut off, or be none at all: what was read before it went wrong counts.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut answer = Self::default();
        let mut reader = serde_json::Deserializer::from_slice(text);
        answer.is_whole = reader.deserialize_map(Members(&mut answer)).is_ok();
        answer
    }

    /// What became of the record at this place of the request; `is_create` if it was to be created.
    pub(super) fn fate(&self, at: usize, is_create: bool) -> Fate {
        match self.items.get(at) {
            Some(item) => item.fate(is_create),
            // It says of all that they are well, and need not say so of each; or its end is lost.
            None if self.errors == Some(false) && (self.items.is_empty() || !self.is_whole) => {
                Fate::Delivered
            }
            None => Fate::Again("the answer does not say what became of each record".to_owned()),
        }
    }
}

impl Item {
    fn fate(&self, is_create: bool) -> Fate {
        match self.status {
            200..=299 => Fate::Delivered,
            // An earlier try got it through, and its answer was lost.
            409 if is_create => Fate::Delivered,
            // Somebody else wrote it in the same moment; the server is busy, or closed for writing.
            401 | 403 | 408 | 409 | 429 => Fate::Again(self.told()),
            400..=499 => Fate::Refused(self.told()),
            _ => Fate::Again(self.told()),
        }
    }

    fn told(&self) -> String {
        format!("status {} {}", self.status, self.reason).trim_end().to_owned()
    }
}

/// The answer's own members.
struct Members<'a>(&'a mut Answer);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "errors" => self.0.errors = Some(members.next_value()?),
                "items" => members.next_value_seed(Items(&mut self.0.items))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// What it says of each record, by the name of the operation: `{"create":{"status":201}}`.
struct Items<'a>(&'a mut Vec<Item>);

#[derive(Deserialize)]
struct Told {
    status: u16,
    #[serde(default)]
    error: Value,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element::<BTreeMap<String, Told>>()? {
            let told = item.into_values().next();
            let item = told.map_or(Item { status: 0, reason: String::new() }, |told| Item {
                status: told.status,
                reason: reason(&told.error),
            });
            self.0.push(item);
        }
        Ok(())
    }
}

/// An error in words: `mapper_parsing_exception: failed to parse field [n]`.
fn reason(error: &Value) -> String {
    let text = |key| error.get(key).and_then(Value::as_str).map(|text| excerpt(text.as_bytes()));
    match (error, text("type"), text("reason")) {
        (Value::String(text), ..) => excerpt(text.as_bytes()),
        (_, Some(kind), Some(reason)) => format!("{kind}: {reason}"),
        (_, kind, reason) => kind.or(reason).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: &str = r#"{"type":"mapper_parsing_exception","reason":"failed to parse field [n]","caused_by":{"type":"x"}}"#;

    fn item(status: u16, error: &str) -> String {
        format!(r#"{{"create":{{"_index":"a","_id":"b","status":{status},"error":{error}}}}}"#)
    }

    fn answer(errors: &str, items: &[String]) -> String {
        format!(r#"{{"took":3,{errors}"items":[{}],"ingest_took":1}}"#, items.join(","))
    }

    /// The fates of four records, a letter each.
    fn fates(text: &str) -> String {
        let answer = Answer::read(text.as_bytes());
        let letter = |at| match answer.fate(at, true) {
            Fate::Delivered => 'd',
            Fate::Again(_) => 'a',
            Fate::Refused(_) => 'r',
        };
        (0..4).map(letter).collect()
    }

    #[test]
    fn each_record_has_its_own_fate() {
        let items = [item(201, "null"), item(400, MAPPING), item(429, "\"busy\""), item(409, "{}")];
        let text = answer("\"errors\":true,", &items);
        assert_eq!(fates(&text), "drad");
        let answer = Answer::read(text.as_bytes());
        let told = "status 400 mapper_parsing_exception: failed to parse field [n]";
        assert_eq!(answer.fate(1, true), Fate::Refused(told.to_owned()));
        assert_eq!(answer.fate(2, true), Fate::Again("status 429 busy".to_owned()));
        // Whoever changes a document has to try again when somebody else did.
        assert_eq!(answer.fate(3, false), Fate::Again("status 409".to_owned()));
    }

    #[test]
    fn what_the_answer_is_silent_of_is_tried_again_unless_all_is_well() {
        let good = [item(201, "null")];
        for (text, expected) in [
            (answer("\"errors\":false,", &[]), "dddd"),
            (r#"{"errors":false}"#.to_owned(), "dddd"),
            (answer("\"errors\":false,", &good), "daaa"),
            (answer("\"errors\":true,", &good), "daaa"),
            (answer("", &good), "daaa"),
            (r#"{"errors":true}"#.to_owned(), "aaaa"),
            (String::new(), "aaaa"),
            ("<html>hello</html>".to_owned(), "aaaa"),
            ("[]".to_owned(), "aaaa"),
            (r#"{"errors":"no"}"#.to_owned(), "aaaa"),
            (r#"{"errors":true,"items":[{},{"index":{}}]}"#.to_owned(), "aaaa"),
        ] {
            assert_eq!(fates(&text), expected, "{text}");
        }
    }

    #[test]
    fn of_half_an_answer_what_is_there_counts() {
        let items = [item(201, "null"), item(400, MAPPING), item(201, "null"), item(201, "null")];
        let text = answer("\"errors\":true,", &items);
        let cut = &text[..text.find("failed").unwrap()];
        assert_eq!(fates(cut), "daaa");
        let cut = answer("\"errors\":false,", &items).replace(&item(400, MAPPING), "{\"create\"");
        assert_eq!(fates(&cut), "dddd");
    }

    #[test]
    fn an_answer_that_nests_without_end_is_none() {
        assert_eq!(fates(&format!(r#"{{"x":{}"#, "[".repeat(100_000))), "aaaa");
        let deep = item(400, &"[".repeat(100_000));
        assert_eq!(fates(&answer("", &[item(201, "null"), deep])), "daaa");
    }
}
